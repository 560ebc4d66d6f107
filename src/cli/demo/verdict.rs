//! Exporting both sides, verifying and reconciling them, and the summary.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::program;
use super::sides::Sides;
use super::story::Told;
use crate::audit::Verdict;
use crate::audit::reconcile::reconcile;
use crate::audit::verify::verify_export;
use crate::cli::audit::{export_to, render_verdict};
use crate::cli::connect::quoted;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::print::Screen;
use crate::cli::table::{Fit, Style, Table};
use crate::cli::{status, words};
use crate::crypto::vkey::VerifierKey;
use crate::model::Origin;
use crate::node::peer_card::PeerCard;
use crate::proto::v1;

/// How long the logs may take to settle.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(30);

/// What came of judging the exports.
#[derive(Debug)]
pub(super) struct Judged {
    /// Files, bytes and folder of each export.
    exports: Vec<(u64, u64, PathBuf)>,
    verdicts: Vec<(String, Verdict)>,
}

impl Judged {
    /// Whether nothing is wrong.
    pub(super) fn is_clean(&self) -> bool {
        self.verdicts.iter().all(|(_, verdict)| verdict.clean)
    }

    /// Prints what was exported, and what came of judging it.
    pub(super) fn tell(&self, screen: Screen) -> Result<(), Failure> {
        for (files, bytes, dir) in &self.exports {
            let size = words::bytes(*bytes);
            screen.line(format!(
                "    {files:5} files, {size:>10}  {}",
                dir.display()
            ))?;
        }
        for (what, verdict) in &self.verdicts {
            if verdict.clean {
                let word = Style::Good.paint("nothing is wrong", screen.colour);
                let checked = checked(verdict);
                screen.line(format!("    {what}: {word}\n      ({checked})"))?;
            } else {
                screen.line(format!("    {what}:"))?;
                screen.raw(render_verdict(verdict, "", screen).as_bytes())?;
            }
        }
        Ok(())
    }
}

fn checked(verdict: &Verdict) -> String {
    let counts = &verdict.counts;
    if counts.signatures == 0 {
        return format!("{} entries, {} bodies", counts.entries, counts.bodies);
    }
    let receipts = match counts.proofs {
        0 => String::new(),
        proofs => format!(", {proofs} receipts"),
    };
    format!(
        "{} entries, {} signatures, {} checkpoints{receipts}",
        counts.entries, counts.signatures, counts.checkpoints
    )
}

/// Exports both sides, with a receipt of each message if so wished, and judges what the exports
/// hold from the keys on both cards alone.
pub(super) async fn reach(sides: &Sides, proofs: bool) -> Result<Judged, Failure> {
    settle(sides).await?;
    let trusted = trusted_keys(sides)?;
    let keys_file = sides.trusted_keys_file();
    let request = v1::ExportRequest {
        proofs,
        override_reason: "demonstration: every person in it is made up".to_owned(),
        ..v1::ExportRequest::default()
    };
    let dirs = (sides.export_of(&sides.vn), sides.export_of(&sides.cn));
    let (vn, cn) = tokio::try_join!(
        export_to(sides.vn.desk()?, request.clone(), &dirs.0),
        export_to(sides.cn.desk()?, request, &dirs.1),
    )?;
    let lines: Vec<String> = trusted.iter().map(ToString::to_string).collect();
    std::fs::write(&keys_file, lines.join("\n") + "\n").or_fail(Exit::CannotCreate, || {
        format!("the file {}", keys_file.display())
    })?;
    let exports = vec![
        (vn.files, vn.bytes, dirs.0.clone()),
        (cn.files, cn.bytes, dirs.1.clone()),
    ];
    let verdicts = judge(dirs, [sides.vn.place, sides.cn.place], trusted).await?;
    Ok(Judged { exports, verdicts })
}

/// Each export by itself, and one against the other, side by side.
async fn judge(
    dirs: (PathBuf, PathBuf),
    places: [&str; 2],
    trusted: Vec<VerifierKey>,
) -> Result<Vec<(String, Verdict)>, Failure> {
    let failed = || "the verdict was not reached".to_owned();
    let verifying = |dir: PathBuf| {
        let trusted = trusted.clone();
        tokio::task::spawn_blocking(move || verify_export(&dir, Some(&trusted), &mut |_| {}))
    };
    let both = [verifying(dirs.0.clone()), verifying(dirs.1.clone())];
    let comparing = tokio::task::spawn_blocking(move || reconcile(&dirs.0, &dirs.1, &mut |_| {}));
    let mut verdicts = Vec::new();
    for (verdict, place) in both.into_iter().zip(places) {
        let verdict = verdict.await.or_fail(Exit::Internal, failed)?;
        verdicts.push((format!("the export of {place}"), verdict));
    }
    let compared = comparing.await.or_fail(Exit::Internal, failed)?;
    verdicts.push(("one against the other".to_owned(), compared));
    Ok(verdicts)
}

/// Waits until everything recorded has its receipt: an export ends at the last receipt.
pub(super) async fn settle(sides: &Sides) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + SETTLE_TIME_MAX;
    loop {
        let mut waiting = false;
        for side in [&sides.vn, &sides.cn] {
            let status = status::get(side.desk()?).await?;
            waiting |= status.links.iter().any(|link| {
                // A file that has come is confirmed by a message, which is to be delivered too.
                let files = link.attachments_incoming + link.attachments_outgoing;
                link.own_size > link.delivered_size || files > 0
            });
        }
        if !waiting {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(Failure::new(
                Exit::Negative,
                "not everything was delivered in time",
            ));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every key on the two cards, as an auditor who was given them has it.
fn trusted_keys(sides: &Sides) -> Result<Vec<VerifierKey>, Failure> {
    let mut keys = Vec::new();
    for (side, other) in [(&sides.vn, &sides.cn), (&sides.cn, &sides.vn)] {
        let card = side.card()?;
        let origin = Origin::new(side.node.clone(), other.node.clone());
        keys.extend(card.message_keys().map(|key| key.vkey.clone()));
        for key in card.log_keys() {
            keys.push(key.vkey.clone());
            keys.push(PeerCard::log_verifier(key, &origin).or_exit(Exit::Internal)?);
        }
    }
    Ok(keys)
}

/// Prints what was said, each way.
pub(super) fn summarise(
    sides: &Sides,
    told: &Told,
    judged: &Judged,
    screen: Screen,
) -> Result<(), Failure> {
    let mut counts: BTreeMap<i32, (u64, u64)> = BTreeMap::new();
    let mut times: Vec<Duration> = Vec::new();
    for message in &told.delivered {
        let count = counts.entry(message.kind).or_default();
        if message.from_vn {
            count.0 += 1;
        } else {
            count.1 += 1;
        }
        times.extend(message.took);
    }
    times.sort();
    screen.line("")?;
    screen.styled("Summary", Style::Bold)?;
    let mut table = Table::new(&[
        ("", Fit::Whole),
        ("DELIVERED", Fit::Whole),
        ("LÀO CAI →", Fit::Right),
        ("← HEKOU", Fit::Right),
    ]);
    for (kind, (from_vn, from_cn)) in counts {
        table.row([
            "  ".into(),
            words::kind(kind).into(),
            from_vn.to_string().into(),
            from_cn.to_string().into(),
        ]);
    }
    screen.table(&table)?;
    let median = times.get(times.len() / 2).map_or(0, Duration::as_millis);
    screen.line(format!(
        "    {} messages, each with a receipt; half of them within {median} ms.\n    The whole story: {:.1} s.",
        told.delivered.len(),
        told.took.as_secs_f64()
    ))?;
    if judged.is_clean() {
        let export = sides.export_of(&sides.vn);
        screen.line(format!(
            "    Verify it yourself; no node is needed, nor any configuration:\n      {} audit verify {} \
             --trust {}\n    Every message as JSON:\n      {}/*/notifications",
            program(),
            quoted(&export),
            quoted(&sides.trusted_keys_file()),
            export.display(),
        ))?;
    }
    Ok(())
}
