//! A verdict for people.

use std::fmt::Write as _;

use crate::audit::format::MANIFEST;
use crate::audit::{Code, Counts, Finding, KeyUse, Severity, Verdict};
use crate::cli::exit::{Exit, Failure};
use crate::cli::print::Screen;
use crate::cli::summary::count;
use crate::cli::table::{Cell, Fit, Style, Table};
use crate::cli::when;
use crate::model::text::escape;

/// Prints a verdict; `clean` is what is said if nothing is wrong.
pub(crate) fn tell(verdict: &Verdict, clean: &str, screen: Screen) -> Result<Exit, Failure> {
    if screen.json {
        let value = serde_json::to_value(verdict)
            .map_err(|error| Failure::of(Exit::Internal, anyhow::Error::new(error)))?;
        screen.json(&value)?;
    } else {
        screen.raw(render(verdict, clean, screen).as_bytes())?;
    }
    Ok(if verdict.clean {
        Exit::Ok
    } else {
        Exit::Negative
    })
}

/// A verdict as text.
pub(crate) fn render(verdict: &Verdict, clean: &str, screen: Screen) -> String {
    let mut out = String::new();
    if !verdict.logs.is_empty() {
        out.push_str(&logs(verdict).render(screen.width, screen.colour));
        out.push('\n');
    }
    let checked = checked(&verdict.counts);
    if !checked.is_empty() {
        let _ = writeln!(out, "checked: {checked}");
    }
    let not_here = left_out(&verdict.counts);
    if !not_here.is_empty() {
        let _ = writeln!(out, "not in this export: {not_here}; {MANIFEST} says why");
    }
    for finding in &verdict.findings {
        let (word, style) = match finding.severity {
            Severity::Error => ("WRONG", Style::Bad),
            Severity::Note => ("note", Style::Dim),
        };
        let index = finding
            .index
            .map_or_else(String::new, |index| format!(" index {index}"));
        let id = finding
            .id
            .as_ref()
            .map_or_else(String::new, |id| format!(" message {}", escape(id)));
        let _ = writeln!(
            out,
            "{}  {}{index}{id}\n       {}",
            style.paint(&format!("{word:<5}"), screen.colour),
            escape(&finding.place),
            escape(&finding.what)
        );
    }
    if verdict.findings_beyond > 0 {
        let _ = writeln!(
            out,
            "and {} more",
            count_u64(verdict.findings_beyond, "finding")
        );
    }
    let no_manifest = |finding: &Finding| {
        finding.code == Code::Missing && finding.place.rsplit('/').next() == Some(MANIFEST)
    };
    if verdict.findings.iter().any(no_manifest) {
        out.push_str(
            "\nA folder without it is no export, or one that was interrupted (it is written last), \
             or\nsomeone has taken it away. Name the folder that liaison audit export has written.\n",
        );
    }
    let claimed: Vec<&KeyUse> = verdict.rests_on.iter().filter(|key| !key.pinned).collect();
    if !claimed.is_empty() {
        out.push_str(
            "\nThis rests on keys that the export itself names. Name the cards that the sides gave each \
             other:\nliaison audit verify DIR --trust CARD --trust CARD\n",
        );
        for key in claimed {
            let _ = writeln!(out, "  {:<8}  {}", key.role.to_string(), escape(&key.vkey));
        }
    }
    if let Some(claim) = &verdict.claim {
        let _ = writeln!(
            out,
            "\n{}",
            Style::Bold.paint(&escape(&claim.statement), screen.colour)
        );
    }
    let last = if verdict.clean {
        Style::Good.paint(clean, screen.colour).into_owned()
    } else {
        let wrong = format!("{} found", count_u64(verdict.errors, "error"));
        Style::Bad.paint(&wrong, screen.colour).into_owned()
    };
    let _ = writeln!(out, "\n{last}");
    out
}

fn count_u64(number: u64, what: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), what)
}

fn logs(verdict: &Verdict) -> Table {
    let mut table = Table::new(&[
        ("LOG", Fit::Down(20)),
        ("ENTRIES", Fit::Right),
        ("BEYOND", Fit::Right),
        ("RECEIPTED", Fit::Whole),
        ("ROOT", Fit::Down(10)),
    ]);
    for log in &verdict.logs {
        let cosigned = log.cosigned_at.and_then(|at| i64::try_from(at).ok());
        let at = cosigned
            .and_then(|at| jiff::Timestamp::from_second(at).ok())
            .map(when::full);
        table.row([
            escape(&log.origin).into(),
            log.size.to_string().into(),
            Cell::styled(
                if log.recorded_beyond == 0 {
                    String::new()
                } else {
                    log.recorded_beyond.to_string()
                },
                Style::Warn,
            ),
            at.unwrap_or_default().into(),
            log.root
                .as_deref()
                .map(|root| escape(root).into_owned())
                .unwrap_or_default()
                .into(),
        ]);
    }
    table
}

/// What is not there, in words.
fn left_out(counts: &Counts) -> String {
    [
        (counts.bodies_withheld, "withheld"),
        (counts.bodies_erased, "erased"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, what)| match number {
        1 => format!("1 body {what}"),
        _ => format!("{number} bodies {what}"),
    })
    .collect::<Vec<_>>()
    .join(", ")
}

fn checked(counts: &Counts) -> String {
    [
        (counts.files, "file"),
        (counts.entries, "entry"),
        (counts.signatures, "signature"),
        (counts.bodies, "body"),
        (counts.checkpoints, "checkpoint"),
        (counts.tiles, "tile"),
        (counts.proofs, "receipt"),
        (counts.refused, "refusal"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, what)| match (number, what.strip_suffix('y')) {
        (1, _) | (_, None) => count_u64(number, what),
        (_, Some(stem)) => format!("{number} {stem}ies"),
    })
    .collect::<Vec<_>>()
    .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_plurals() {
        let counts = Counts {
            files: 1,
            entries: 2,
            bodies: 3,
            ..Counts::default()
        };
        assert_eq!(checked(&counts), "1 file, 2 entries, 3 bodies");
    }
}
