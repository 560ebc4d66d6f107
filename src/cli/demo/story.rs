//! The order of events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::board::{Board, Delivered, INDENT};
use super::drafts;
use super::pdf;
use super::sides::{Side, Sides};
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::print::Screen;
use crate::cli::send::submit;
use crate::cli::table::{Style, wrap};
use crate::cli::{attach, draft, levels, refused, show, when};
use crate::model::sample::People;
use crate::proto::v1::{self, Draft, Kind, Level};

/// Bytes of the file that goes with a letter.
const ANNEX_BYTES: usize = 2 << 20;
/// Persons handed over at once, as on record for September 2022.
const BATCH: usize = 110;

/// What was told.
#[derive(Debug)]
pub(super) struct Told {
    /// Every message that has its receipt.
    pub(super) delivered: Vec<Delivered>,
    /// From the start of the nodes to the end of the story.
    pub(super) took: Duration,
}

/// Runs the nodes and has them talk.
pub(super) async fn tell(sides: &mut Sides, screen: Screen) -> Result<Told, Failure> {
    let begun = Instant::now();
    introduce(sides, screen)?;
    sides.start().await?;
    let board = Board::new(screen);
    board.listen(&sides.vn, sides.cn.place, true).await?;
    board.listen(&sides.cn, sides.vn.place, false).await?;
    let up = format!(
        "Both nodes run and have found each other over mutual TLS after {} ms.",
        begun.elapsed().as_millis()
    );
    screen.line(up)?;

    let story = Story {
        board: Arc::clone(&board),
        screen,
    };
    story.alerts(sides).await?;
    let batch = story.handovers(sides).await?;
    story.letters(sides).await?;
    story.withdrawals(sides).await?;
    story.refusals(sides).await?;
    story.receipt(sides, &batch).await?;
    Ok(Told {
        delivered: board.all(),
        took: begun.elapsed(),
    })
}

fn introduce(sides: &Sides, screen: Screen) -> Result<(), Failure> {
    let Sides { vn, cn, .. } = sides;
    screen.styled("Two sides of one border, two nodes, one link", Style::Bold)?;
    for side in [vn, cn] {
        let fingerprint = side.card()?.fingerprint();
        let (place, node) = (side.place, &side.node);
        screen.line(format!(
            "  {}  {}  {}",
            crate::cli::table::pad(place, 7),
            crate::cli::table::pad(node.as_str(), 20),
            side.config.display()
        ))?;
        screen.line(format!("           its card's fingerprint: {fingerprint}"))?;
    }
    screen.line(
        "  Each has the other's card; officers would compare the fingerprints by voice.\n  \
         The authorities are throw-away ones, the keys unencrypted: for trials only.\n",
    )
}

struct Story {
    board: Arc<Board>,
    screen: Screen,
}

impl Story {
    fn heading(&self, text: &str) -> Result<(), Failure> {
        self.screen.line("")?;
        self.screen.styled(text, Style::Bold)
    }

    fn remark(&self, text: &str) -> Result<(), Failure> {
        let room = self
            .screen
            .width
            .map_or(usize::MAX, |width| width.saturating_sub(INDENT).max(40));
        for line in wrap(text, room) {
            self.screen
                .styled(&format!("{}{line}", " ".repeat(INDENT)), Style::Dim)?;
        }
        Ok(())
    }

    /// Sends and waits for the receipt.
    async fn send(&self, from: &Side, draft: &Draft) -> Result<(), Failure> {
        let draft = draft::check(draft.clone())?;
        let submitted = submit(from.desk()?, draft).await?;
        self.board.delivered(&submitted.id).await
    }

    async fn acknowledge(
        &self,
        from: &Side,
        id: &str,
        officer: v1::Officer,
        remark: v1::LocalizedText,
    ) -> Result<(), Failure> {
        let request = v1::AcknowledgeRequest {
            id: id.to_owned(),
            officer: Some(officer),
            remark: Some(remark),
            acknowledgement_id: draft::new_id()?.to_string(),
        };
        let answer = refused::answer(from.desk()?.desk().acknowledge(request).await)?;
        self.board.delivered(&answer.id).await
    }

    /// Says how far a message has come, as its author's node sees it.
    async fn levels(&self, author: &Side, id: &str) -> Result<(), Failure> {
        let message = show::get(author.desk()?, id).await?;
        self.remark(&levels::line(&message, when::now()))
    }

    async fn alerts(&self, sides: &mut Sides) -> Result<(), Failure> {
        self.heading("1  Alerts: the receipt comes by itself, the acknowledgement from a person")?;
        let alert = drafts::patrol_alert()?;
        self.send(&sides.cn, &alert).await?;
        let flash = drafts::flash_alert()?;
        self.send(&sides.vn, &flash).await?;
        self.levels(&sides.vn, &flash.id).await?;
        let officer = drafts::officer_of_the_chinese_side()?;
        let remark = drafts::text(
            "Đã nhận. Tổ tuần tra đang ra bờ sông.",
            "收悉。巡逻组正前往河岸。",
        );
        self.acknowledge(&sides.cn, &flash.id, officer, remark)
            .await?;
        self.levels(&sides.vn, &flash.id).await?;
        let officer = drafts::officer_of_the_vietnamese_side()?;
        let remark = drafts::text("Đã nhận, đang kiểm tra.", "收悉，正在核查。");
        self.acknowledge(&sides.vn, &alert.id, officer, remark)
            .await?;
        sides.first_alert = Some(flash.id);
        Ok(())
    }

    /// Returns the id of the large request.
    async fn handovers(&self, sides: &Sides) -> Result<String, Failure> {
        self.heading(&format!(
            "2  Handover: a batch of {BATCH} persons, answered person by person"
        ))?;
        let (vn, cn) = (sides.vn.node.as_str(), sides.cn.node.as_str());
        let batch = drafts::handover(cn, People::Chinese, BATCH)?;
        self.send(&sides.vn, &batch).await?;
        self.send(&sides.cn, &drafts::handover_reply(&batch, vn)?)
            .await?;
        let few = drafts::handover(vn, People::Vietnamese, 2)?;
        self.send(&sides.cn, &few).await?;
        self.send(&sides.vn, &drafts::handover_reply(&few, cn)?)
            .await?;
        Ok(batch.id)
    }

    async fn letters(&self, sides: &Sides) -> Result<(), Failure> {
        self.heading(
            "3  Letters: an attachment of 2 MiB travels beside its letter, never in its way",
        )?;
        let file = sides.dir.join("phu-luc-27-scan.pdf");
        std::fs::write(
            &file,
            pdf::document("Annex to letter 27/DBPLC-TM (SAMPLE)", ANNEX_BYTES),
        )
        .or_fail(Exit::CannotCreate, || {
            format!("the file {}", file.display())
        })?;
        let letter = drafts::letter("27/ĐBPLC-TM (MẪU)")?;
        self.send_with(&sides.vn, &letter, &file).await?;
        let annex = sides.dir.join("samples/phu-luc-27.pdf");
        let back = drafts::letter_back(
            "河边检函〔2026〕27号（示例）",
            sides.vn.node.as_str(),
            Some(&letter),
        )?;
        self.send_with(&sides.cn, &back, &annex).await?;
        // Each node confirms the files that it got, by a message of its own.
        let confirmed = Kind::AttachmentsReceived as i32;
        self.board
            .wait(|known| {
                let by = |vn| {
                    known
                        .values()
                        .any(|m| m.kind == confirmed && m.from_vn == vn)
                };
                by(true) && by(false)
            })
            .await?;
        self.levels(&sides.vn, &letter.id).await
    }

    async fn send_with(
        &self,
        from: &Side,
        draft: &Draft,
        file: &std::path::Path,
    ) -> Result<(), Failure> {
        let file = attach::describe(file, None).await?;
        let mut draft = draft.clone();
        attach::add(&mut draft, std::slice::from_ref(&file))?;
        attach::upload(from.desk()?, &file).await?;
        self.send(from, &draft).await
    }

    async fn withdrawals(&self, sides: &Sides) -> Result<(), Failure> {
        self.heading(
            "4  Nothing is ever deleted: what was said by mistake is withdrawn, on record",
        )?;
        let letter = drafts::letter("28/ĐBPLC-TM (MẪU)")?;
        self.send(&sides.vn, &letter).await?;
        self.send(&sides.vn, &drafts::withdrawal(&letter)?).await?;
        let back =
            drafts::letter_back("河边检函〔2026〕28号（示例）", sides.vn.node.as_str(), None)?;
        self.send(&sides.cn, &back).await?;
        self.send(&sides.cn, &drafts::withdrawal(&back)?).await
    }

    /// Two letters with one id, by a mistake of the programs that sent them: neither node could know
    /// while it was alone. Each takes the other's into its mirror, and refuses it as a message.
    async fn refusals(&self, sides: &mut Sides) -> Result<(), Failure> {
        self.heading(
            "5  Cut off, killed, mistaken: nothing is lost, and a refusal is signed as well",
        )?;
        let Sides { vn, cn, .. } = sides;
        cn.stop().await;
        let letter = drafts::letter("29/ĐBPLC-TM (MẪU)")?;
        let recorded = submit(vn.desk()?, draft::check(letter.clone())?).await?;
        self.remark(&format!(
            "{} is stopped; {} records a letter all the same (index {}), and is killed (SIGKILL).",
            cn.place, vn.place, recorded.index
        ))?;
        vn.kill().await;

        cn.start()?;
        cn.wait_until(false).await?;
        self.board.listen(cn, vn.place, false).await?;
        let mut back = drafts::letter_back("河边检函〔2026〕29号（示例）", vn.node.as_str(), None)?;
        back.id.clone_from(&letter.id);
        submit(cn.desk()?, draft::check(back)?).await?;
        self.remark(&format!(
            "{} is back alone, and a program there uses the same id for another letter.",
            cn.place
        ))?;
        vn.start()?;
        vn.wait_until(true).await?;
        cn.wait_until(true).await?;
        self.board.listen(vn, cn.place, true).await?;
        let refusal = Kind::Refusal as i32;
        self.board
            .wait(|known| {
                let by = |vn| known.values().any(|m| m.kind == refusal && m.from_vn == vn);
                by(true) && by(false)
            })
            .await?;
        let message = show::get(vn.desk()?, &letter.id).await?;
        if message.level() != Level::Refused {
            return Err(Failure::new(
                Exit::Negative,
                "the letter with a used id was not refused",
            ));
        }
        self.remark(&levels::line(&message, when::now()))
    }

    async fn receipt(&self, sides: &Sides, id: &str) -> Result<(), Failure> {
        self.heading(
            "6  The receipt of the 110 persons, as a stranger verifies it (C2SP .tlog-proof)",
        )?;
        let id = id.to_owned();
        let outcome = sides
            .vn
            .desk()?
            .audit()
            .proof(v1::ProofRequest { id, root_at: 0 })
            .await;
        let proof = refused::answer(outcome)?;
        for line in proof.tlog_proof.lines() {
            self.screen.line(format!("    {line}").trim_end())?;
        }
        Ok(())
    }
}
