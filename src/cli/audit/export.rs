//! `liaison audit export`: the logs as a folder that needs none of our software to be read.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::audit::Absence;
use crate::audit::format::{MANIFEST, Manifest, ManifestAbsent, ManifestLog};
use crate::cli::connect::{Desk, Target, quoted};
use crate::cli::exit::{Done, Exit, Failure, OrExit as _};
use crate::cli::print::{Bar, Screen};
use crate::cli::table::{Fit, Table};
use crate::cli::{refused, words};
use crate::limits::{EXPORT_DEPTH_MAX, EXPORT_FILES_MAX};
use crate::model::text::escape;
use crate::proto::v1;

/// Bodies that are listed as left out.
const ABSENT_SHOWN_MAX: usize = 20;

/// Writes the logs of one link or of all as a folder for auditors.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// An empty or new directory.
    dir: PathBuf,
    /// Only the link with this node.
    #[arg(long, value_name = "PEER")]
    link: Option<String>,
    /// Also write the receipt of each delivered entry.
    #[arg(long)]
    proofs: bool,
    /// Leave out what the messages say.
    #[arg(long)]
    withhold_bodies: bool,
    /// Leave out what messages of these kinds or with these handling codes say, such as
    /// handover-request,H2.
    #[arg(long, value_name = "KIND|CODE", value_delimiter = ',', value_parser = parse_withheld)]
    withhold: Vec<Withheld>,
    /// Why bodies may be exported although their handling code restricts that; it is recorded. Without,
    /// they are left out, and listed.
    #[arg(long = "override", value_name = "REASON")]
    reason: Option<String>,
}

/// Bodies to leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Withheld {
    Kind(v1::Kind),
    Code(v1::HandlingCode),
}

fn parse_withheld(typed: &str) -> Result<Withheld, String> {
    if let Ok(code) = words::parse_handling_code(typed) {
        return Ok(Withheld::Code(code));
    }
    words::parse_kind(typed)
        .map(Withheld::Kind)
        .map_err(|known| format!("neither a handling code (H0, H1, H2, H3) nor a kind; {known}"))
}

impl Export {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        refuse_full(&self.dir)?;
        let desk = target.connect().await?;
        let kinds = self.withhold.iter().filter_map(|withheld| match withheld {
            Withheld::Kind(kind) => Some((*kind).into()),
            Withheld::Code(_) => None,
        });
        let codes = self.withhold.iter().filter_map(|withheld| match withheld {
            Withheld::Code(code) => Some((*code).into()),
            Withheld::Kind(_) => None,
        });
        let request = v1::ExportRequest {
            withhold_kinds: kinds.collect(),
            withhold_codes: codes.collect(),
            peer: self.link.unwrap_or_default(),
            proofs: self.proofs,
            withhold_bodies: self.withhold_bodies,
            override_reason: self.reason.clone().unwrap_or_default(),
        };
        let exported = export_to(&desk, request, &self.dir).await?;
        let manifest = manifest(&self.dir)?;
        let absent = || {
            let of_log = |log: &'_ ManifestLog| log.absent.clone();
            manifest.logs.iter().flat_map(of_log)
        };
        if screen.json {
            screen.json(&serde_json::json!({
                "directory": self.dir, "files": exported.files, "bytes": exported.bytes,
                "absent": absent().collect::<Vec<_>>(),
            }))?;
        } else {
            let number = absent().count();
            if number > 0 {
                screen.table(&table(absent().take(ABSENT_SHOWN_MAX)))?;
                if number > ABSENT_SHOWN_MAX {
                    let more = number - ABSENT_SHOWN_MAX;
                    screen.line(format!("and {more} more; {MANIFEST} lists them all"))?;
                }
                screen.line(format!("{} not exported", bodies(number)))?;
            }
            screen.line(format!(
                "{} files, {} in {}",
                exported.files,
                words::bytes(exported.bytes),
                self.dir.display()
            ))?;
            if self.reason.is_none() && absent().any(|body| is_restricted(&body)) {
                screen.note(
                    "what a handling code restricts is exported with a reason, which is recorded: \
                     --override \"REASON\"",
                );
            }
            screen.note(format!(
                "check it, on any machine: liaison audit verify {}",
                quoted(&self.dir)
            ));
        }
        Ok(Exit::Ok)
    }
}

/// The manifest of an export that was written a moment ago.
fn manifest(dir: &Path) -> Result<Manifest, Failure> {
    let path = dir.join(MANIFEST);
    let reading = || format!("the manifest {}", path.display());
    let bytes = std::fs::read(&path).or_fail(Exit::Internal, reading)?;
    serde_json::from_slice(&bytes).or_fail(Exit::Internal, reading)
}

/// Left out for its handling code alone, and not because it was asked for.
fn is_restricted(body: &ManifestAbsent) -> bool {
    body.absence == Absence::Withheld
        && body.why.starts_with("handling code ")
        && body.why.contains(": ")
}

fn bodies(number: usize) -> String {
    match number {
        1 => "1 body".to_owned(),
        _ => format!("{number} bodies"),
    }
}

fn table(absent: impl Iterator<Item = ManifestAbsent>) -> Table {
    let mut table = Table::new(&[
        ("NOT EXPORTED", Fit::Whole),
        ("", Fit::Whole),
        ("WHY", Fit::Down(20)),
    ]);
    for body in absent {
        table.row([
            escape(&body.id).into(),
            body.absence.word().into(),
            escape(&body.why).into(),
        ]);
    }
    table
}

pub(crate) fn refuse_full(dir: &Path) -> Result<(), Failure> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Failure::new(
                Exit::CannotCreate,
                format!("{} is not empty", dir.display()),
            )
            .remedy("an export is never mixed with other files; name a new directory")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).or_fail(Exit::CannotCreate, || {
            format!("the directory {}", dir.display())
        }),
    }
}

/// What was exported.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Exported {
    /// Files written.
    pub(crate) files: u64,
    /// Bytes in them.
    pub(crate) bytes: u64,
}

/// Writes an export into a directory that is empty or new.
pub(crate) async fn export_to(
    desk: &Desk,
    request: v1::ExportRequest,
    dir: &Path,
) -> Result<Exported, Failure> {
    let mut parts = refused::answer(desk.audit().export(request).await)?;
    let mut folder = Folder::new(dir)?;
    let bar = Bar::items("exporting", 0);
    loop {
        let part = parts.message().await.map_err(|status| {
            refused::failure(&status).while_doing("the export is incomplete and not to be used")
        })?;
        let Some(part) = part else { break };
        if part.files_total > 0 {
            bar.total(part.files_total);
        }
        folder.take(&part)?;
        bar.at(folder.done.files);
    }
    folder.finish()
}

/// The folder being written.
pub(crate) struct Folder {
    dir: PathBuf,
    made: HashSet<PathBuf>,
    open: Option<(String, File)>,
    done: Exported,
}

impl Folder {
    pub(crate) fn new(dir: &Path) -> Result<Self, Failure> {
        let mut folder = Self {
            dir: dir.to_owned(),
            made: HashSet::new(),
            open: None,
            done: Exported::default(),
        };
        folder.make_dir(dir)?;
        Ok(folder)
    }

    /// What the messages say is in it: the owner's eyes only.
    fn make_dir(&mut self, path: &Path) -> Result<(), Failure> {
        if self.made.insert(path.to_owned()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .or_fail(Exit::CannotCreate, || {
                    format!("the directory {}", path.display())
                })?;
        }
        Ok(())
    }

    pub(crate) fn take(&mut self, part: &v1::ExportResponse) -> Result<(), Failure> {
        let is_open = matches!(&self.open, Some((path, _)) if *path == part.path);
        if !is_open {
            if let Some((path, _)) = &self.open {
                let what = format!(
                    "the node began {} before {} was whole",
                    escape(&part.path),
                    escape(path)
                );
                return Err(Failure::new(Exit::Internal, what));
            }
            let relative = safe_path(&part.path).ok_or_else(|| {
                let what = format!(
                    "the node names a file outside the export: {}",
                    escape(&part.path)
                );
                Failure::new(Exit::Internal, what).remedy("nothing was written there; report this")
            })?;
            if self.done.files >= EXPORT_FILES_MAX as u64 {
                return Err(Failure::new(
                    Exit::Internal,
                    "the export has more files than any may have",
                ));
            }
            let path = self.dir.join(relative);
            self.make_dir(path.parent().unwrap_or(&self.dir).to_owned().as_path())?;
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .or_fail(Exit::CannotCreate, || {
                    format!("the file {}", path.display())
                })?;
            self.open = Some((part.path.clone(), file));
        }
        if let Some((path, file)) = &mut self.open {
            file.write_all(&part.chunk)
                .or_fail(Exit::CannotCreate, || {
                    format!("the file {path} of the export")
                })?;
            self.done.bytes += part.chunk.len() as u64;
        }
        if part.last {
            self.open = None;
            self.done.files += 1;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Exported, Failure> {
        match self.open {
            None => Ok(self.done),
            Some((path, _)) => Err(Failure::new(
                Exit::Internal,
                format!(
                    "the export ended within {}; it is incomplete and not to be used",
                    escape(&path)
                ),
            )),
        }
    }
}

/// A path that stays within the export: names of letters, digits, `.`, `_` and `-` only, none of
/// which begins with a dot.
fn safe_path(path: &str) -> Option<PathBuf> {
    let parts: Vec<&str> = path.split('/').collect();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let good = |part: &&str| {
        !part.is_empty() && part.len() <= 600 && !part.starts_with('.') && part.bytes().all(plain)
    };
    (parts.len() <= EXPORT_DEPTH_MAX && parts.iter().all(good)).then(|| parts.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_codes_are_read_side_by_side() {
        assert_eq!(
            parse_withheld("handover-request"),
            Ok(Withheld::Kind(v1::Kind::HandoverRequest))
        );
        assert_eq!(
            parse_withheld("h2"),
            Ok(Withheld::Code(v1::HandlingCode::H2))
        );
        let error = parse_withheld("H7").unwrap_err();
        assert!(
            error.contains("H3") && error.contains("official-letter"),
            "{error}"
        );
    }

    #[test]
    fn paths_stay_in_the_folder() {
        for path in [
            "MANIFEST.json",
            "a.b_c.d/tile/0/x001/234.p/5",
            "a_b/tile/entries/000.p/3",
        ] {
            assert_eq!(safe_path(path), Some(PathBuf::from(path)), "{path}");
        }
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../x",
            "a//b",
            "a/",
            "./a",
            ".hidden",
            "a\\b",
            "a/\u{202E}",
            "a\0",
        ] {
            assert_eq!(safe_path(path), None, "{path:?}");
        }
        assert_eq!(safe_path(&"a/".repeat(EXPORT_DEPTH_MAX + 1)), None);
    }

    fn part(path: &str, chunk: &'static [u8], last: bool) -> v1::ExportResponse {
        v1::ExportResponse {
            path: path.to_owned(),
            chunk: chunk.into(),
            last,
            files_total: 0,
        }
    }

    #[test]
    fn files_come_whole_or_the_export_fails() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(&dir.path().join("a")).unwrap();
        folder.take(&part("x/1", b"one", false)).unwrap();
        folder.take(&part("x/1", b"two", true)).unwrap();
        folder.take(&part("x/2", b"", true)).unwrap();
        assert!(
            folder.take(&part("x/1", b"again", true)).is_err(),
            "nothing is overwritten"
        );
        let done = folder.finish().unwrap();
        assert_eq!((done.files, done.bytes), (2, 6));
        assert_eq!(std::fs::read(dir.path().join("a/x/1")).unwrap(), b"onetwo");

        let mut folder = Folder::new(&dir.path().join("b")).unwrap();
        folder.take(&part("x", b"one", false)).unwrap();
        assert!(folder.take(&part("y", b"", true)).is_err());
        assert!(folder.finish().is_err());
        assert!(refuse_full(dir.path()).is_err());
        assert!(refuse_full(&dir.path().join("new")).is_ok());
    }
}
