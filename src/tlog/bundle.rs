//! Entry bundles (C2SP tlog-tiles): entries one after the other, each behind a big-endian u16 length.

use super::TILE_WIDTH;
use crate::limits::ENTRY_BYTES_MAX;

/// Largest bundle: 256 entries of 65,535 bytes and their lengths, 16 MiB.
pub const BUNDLE_BYTES_MAX: usize = 256 * (2 + ENTRY_BYTES_MAX);

/// Why there is no bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// An entry does not fit its u16 length.
    #[error("entry {position} of the bundle has {bytes} bytes, at most 65535 fit")]
    EntryTooLarge {
        /// Position in the bundle, from 0.
        position: usize,
        /// Its length.
        bytes: usize,
    },
    /// The last entry is cut short.
    #[error("entry {position} of the bundle is cut short")]
    CutShort {
        /// Position in the bundle, from 0.
        position: usize,
    },
    /// More than 256 entries.
    #[error("the bundle holds more than 256 entries")]
    TooMany,
}

/// Encodes up to 256 entries.
///
/// # Errors
/// Too many entries, or one that is too large.
pub fn encode<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, BundleError> {
    if entries.len() as u64 > TILE_WIDTH {
        return Err(BundleError::TooMany);
    }
    let bytes = entries.iter().map(|entry| 2 + entry.as_ref().len()).sum();
    let mut bundle = Vec::with_capacity(bytes);
    for (position, entry) in entries.iter().enumerate() {
        let entry = entry.as_ref();
        let length = u16::try_from(entry.len()).map_err(|_| BundleError::EntryTooLarge {
            position,
            bytes: entry.len(),
        })?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// The entries of a bundle, verbatim.
///
/// # Errors
/// An entry cut short, or more than 256.
pub fn decode(mut bundle: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let position = entries.len();
        if position as u64 == TILE_WIDTH {
            return Err(BundleError::TooMany);
        }
        let cut_short = BundleError::CutShort { position };
        let (length, rest) = bundle.split_first_chunk::<2>().ok_or(cut_short)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, rest) = rest.split_at_checked(length).ok_or(cut_short)?;
        entries.push(entry);
        bundle = rest;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_come_back() {
        let largest = vec![7; ENTRY_BYTES_MAX];
        let entries = [b"".as_slice(), b"one", &largest];
        let bundle = encode(&entries).unwrap();
        assert_eq!(&bundle[..7], b"\0\0\0\x03one");
        assert_eq!(decode(&bundle).unwrap(), entries);
        assert_eq!(decode(b"").unwrap(), Vec::<&[u8]>::new());
    }

    #[test]
    fn bad_bundles_are_refused() {
        assert_eq!(decode(b"\0"), Err(BundleError::CutShort { position: 0 }));
        assert_eq!(
            decode(b"\0\0\0\x02x"),
            Err(BundleError::CutShort { position: 1 })
        );
        assert_eq!(decode(&[0; 2 * 257]), Err(BundleError::TooMany));
        assert_eq!(encode(&[b""; 257]), Err(BundleError::TooMany));
        let large = vec![0; ENTRY_BYTES_MAX + 1];
        let error = BundleError::EntryTooLarge {
            position: 0,
            bytes: ENTRY_BYTES_MAX + 1,
        };
        assert_eq!(encode(&[large]), Err(error));
    }
}
