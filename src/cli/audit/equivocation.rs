//! `liaison audit verify FILE`: whether two notes prove that one key signed two logs.

use std::path::{Path, PathBuf};

use super::{check_proof, trust, verdict};
use crate::audit::equivocation::{SignedNote, TwoLogs, verify_equivocation};
use crate::cli::exit::{Done, Exit, Failure, OrExit as _};
use crate::cli::print::Screen;
use crate::cli::table::Style;
use crate::cli::when;
use crate::model::text::escape;
use crate::tlog::equivocation::EQUIVOCATION_BYTES_MAX;

/// Judges a file of evidence.
pub(super) fn run(file: &Path, trusted: &[PathBuf], screen: Screen) -> Done {
    if trusted.is_empty() {
        let what = "two signed notes prove nothing without keys that you trust";
        return Err(Failure::new(Exit::Usage, what).remedy(
            "name the cards that the sides gave each other: --trust CARD --trust CARD (that of the \
             side accused is enough; the other one dates the notes as well)",
        ));
    }
    let keys = trust::read(trusted)?;
    let bytes = check_proof::read(file, EQUIVOCATION_BYTES_MAX)?;
    let text = String::from_utf8(bytes)
        .or_fail(Exit::Data, || format!("{} is no text", file.display()))?;
    let judged = verify_equivocation(&text, &keys);
    let Some(proven) = &judged.proven else {
        if screen.json {
            json(&judged, screen)?;
        } else {
            screen.raw(verdict::render(&judged.verdict, "", screen).as_bytes())?;
            screen.line("It proves nothing against anybody.")?;
        }
        return Ok(Exit::Negative);
    };
    if screen.json {
        json(&judged, screen)?;
    } else {
        tell(proven, screen)?;
        let notes = &judged.verdict.findings;
        for note in notes {
            screen.line(format!("  note: {}: {}", note.place, escape(&note.what)))?;
        }
    }
    Ok(Exit::Proven)
}

fn json(
    judged: &crate::audit::equivocation::EquivocationVerdict,
    screen: Screen,
) -> Result<(), Failure> {
    let mut value = serde_json::to_value(judged)
        .map_err(|error| Failure::of(Exit::Internal, anyhow::Error::new(error)))?;
    if let (Some(proven), Some(object)) = (&judged.proven, value.as_object_mut()) {
        object.insert("statement".to_owned(), proven.statement().into());
    }
    screen.json(&value)
}

fn tell(proven: &TwoLogs, screen: Screen) -> Result<(), Failure> {
    screen.styled(&escape(&proven.statement()), Style::Bad)?;
    screen.line("")?;
    screen.line(format!("  log          {}", escape(&proven.origin)))?;
    screen.line(format!("  fingerprint  {}", proven.fingerprint))?;
    for (note, name) in proven.notes.iter().zip(["first note", "second note"]) {
        note_lines(note, name, screen)?;
    }
    if let (Some(root), [first, second]) = (&proven.prefix_root, &proven.notes) {
        screen.line(format!(
            "  proof        the tree of {} entries has the root {root} at {}, the first note {}",
            second.size, first.size, first.root
        ))?;
    }
    Ok(())
}

fn note_lines(note: &SignedNote, name: &str, screen: Screen) -> Result<(), Failure> {
    let at = |seconds: Option<u64>| {
        let time = jiff::Timestamp::from_second(i64::try_from(seconds?).ok()?).ok()?;
        Some(when::full(time))
    };
    screen.line(format!(
        "  {name:<11}  {} entries, root {}",
        note.size, note.root
    ))?;
    for (time, word) in [
        (note.authored_at, "dated by its author"),
        (note.cosigned_at, "cosigned by the other side"),
    ] {
        if let Some(time) = at(time) {
            screen.line(format!("               {word} {time}"))?;
        }
    }
    Ok(())
}
