//! Paths of tiles and entry bundles (C2SP tlog-tiles).

use std::fmt;
use std::str::FromStr;

use super::{TILE_WIDTH, decimal};

/// Highest tile level that tlog-tiles names.
pub const LEVEL_MAX: u8 = 63;

/// `tile/<level>/<N>[.p/<width>]`; the suffix only below a width of 256.
#[must_use]
pub fn tile_path(level: u8, index: u64, width: u64) -> String {
    TilePath {
        kind: TileKind::Hashes { level },
        index,
        width,
    }
    .to_string()
}

/// `tile/entries/<N>[.p/<width>]`; the suffix only below a width of 256.
#[must_use]
pub fn entries_path(index: u64, width: u64) -> String {
    TilePath {
        kind: TileKind::Entries,
        index,
        width,
    }
    .to_string()
}

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of a level.
    Hashes {
        /// 0 for leaf hashes, up to 63.
        level: u8,
    },
    /// An entry bundle.
    Entries,
}

/// A parsed tile path. Each tile has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    /// Hashes or entries.
    pub kind: TileKind,
    /// Index of the tile within its level.
    pub index: u64,
    /// Items it holds, 1 to 256.
    pub width: u64,
}

impl TilePath {
    /// Parses a path relative to the log's folder.
    ///
    /// # Errors
    /// Anything that [`fmt::Display`] would not have written.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        parse(text)
            .filter(|path| path.to_string() == text)
            .ok_or(PathError)
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes { level } => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        // Groups of three digits, most significant first, all but the last marked with an x.
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for group in groups[1..].iter().rev() {
            write!(f, "x{group:03}/")?;
        }
        write!(f, "{:03}", groups[0])?;
        if self.width < TILE_WIDTH {
            write!(f, ".p/{}", self.width)
        } else {
            Ok(())
        }
    }
}

impl FromStr for TilePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

/// The text is no tile path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a path of C2SP tlog-tiles: tile/<level or entries>/<index>[.p/<width>]")]
pub struct PathError;

/// Reads the parts; that the text is the canonical one is left to the caller.
fn parse(text: &str) -> Option<TilePath> {
    let (kind, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let kind = if kind == "entries" {
        TileKind::Entries
    } else {
        let level = u8::try_from(decimal(kind)?)
            .ok()
            .filter(|level| *level <= LEVEL_MAX)?;
        TileKind::Hashes { level }
    };
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => (
            index,
            decimal(width).filter(|width| (1..TILE_WIDTH).contains(width))?,
        ),
        None => (rest, TILE_WIDTH),
    };
    let mut number = 0u64;
    for group in index.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        number = number
            .checked_mul(1000)?
            .checked_add(digits.parse().ok()?)?;
    }
    Some(TilePath {
        kind,
        index: number,
        width,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(tile_path(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(tile_path(0, 1_234, 5), "tile/0/x001/234.p/5");
        assert_eq!(tile_path(63, 0, 256), "tile/63/000");
        assert_eq!(entries_path(273, 112), "tile/entries/273.p/112");
        assert_eq!(entries_path(1000, 256), "tile/entries/x001/000");
        let last = "tile/0/x018/x446/x744/x073/x709/x551/615";
        assert_eq!(tile_path(0, u64::MAX, 256), last);
        assert_eq!(TilePath::parse(last).unwrap().index, u64::MAX);
    }

    #[test]
    fn only_the_canonical_path_parses() {
        for bad in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/00/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/Entries/000",
            "/tile/0/000",
            "tile/0/000/",
            "tile/0/x000/000",
            "tile/0/x001",
            "tile/0/001/000",
            "tile/0/x001/x000",
            "tile/0/+01",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/1.p/1",
            "tile/0/000.p",
            "tile/0/../000",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
        ] {
            assert_eq!(TilePath::parse(bad), Err(PathError), "{bad:?}");
        }
    }
}
