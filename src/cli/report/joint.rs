//! The joint report: proposed by one side, computed again and signed by the other.

use clap::Args;

use super::ask;
use super::period::{PeriodArgs, own_zone};
use crate::cli::connect::{Desk, Target};
use crate::cli::countersign::{Content, Signature};
use crate::cli::exit::{Done, Exit, Failure};
use crate::cli::print::Screen;
use crate::cli::show::get;
use crate::cli::{draft, send};
use crate::document::report::label_of;
use crate::model::report::compare::to_proposal;
use crate::model::text::escape;
use crate::model::{MessageId, json};
use crate::proto::v1::body::Body;
use crate::proto::v1::{self, Kind, Side};

/// Entries that are named of a figure that differs.
const ENTRIES_SHOWN: usize = 10;

/// Computes the figures of a period and proposes them to the other side as the joint report.
#[derive(Debug, Args)]
pub(super) struct Propose {
    #[command(flatten)]
    period: PeriodArgs,
    /// The office that proposes.
    #[arg(long)]
    from_office: String,
    /// The office that is to sign.
    #[arg(long)]
    to_office: String,
    /// An own report that this one replaces, because it was not signed.
    #[arg(long, value_name = "ID", value_parser = MessageId::parse)]
    supersedes: Option<MessageId>,
    /// Id of the report itself, to send again what may have been sent.
    #[arg(long, value_name = "ID", value_parser = MessageId::parse)]
    id: Option<MessageId>,
}

impl Propose {
    pub(super) async fn run(self, target: &Target, screen: Screen) -> Done {
        let zone = self.period.zone(target)?;
        let request = self.period.request(&zone)?;
        let desk = target.connect().await?;
        let answer = ask(&desk, request).await?;
        if answer.not_delivered > 0 {
            screen.note(format!(
                "{} own entries are not counted, because the peer does not hold them yet; if one of \
                 them lies in the period, the peer will not sign. Propose again when they are \
                 delivered",
                answer.not_delivered
            ));
        }
        let report = v1::PeriodReport {
            common: Some(v1::Common {
                from_office: self.from_office,
                to_office: self.to_office,
                ..v1::Common::default()
            }),
            from: answer.from,
            to: answer.to,
            logs: answer.logs.clone(),
            figures: to_proposal(&answer.figures),
        };
        let id = self.id.map_or_else(draft::new_id, Ok)?.to_string();
        let draft = draft::check(v1::Draft {
            id,
            recipient: answer.peer.clone(),
            supersedes: self.supersedes.map(|id| id.to_string()).unwrap_or_default(),
            body: Some(v1::Body {
                body: Some(Body::PeriodReport(report)),
            }),
            ..v1::Draft::default()
        })?;
        let submitted = send::submit(&desk, draft).await?;
        if screen.json {
            screen.json(&json::to_json_whole(&submitted))?;
        } else {
            screen.line(format!(
                "proposed      {}  index {}",
                submitted.id, submitted.index
            ))?;
            screen.line(format!(
                "the other side: liaison report verify {0}, then liaison report countersign {0} …",
                submitted.id
            ))?;
        }
        Ok(Exit::Ok)
    }
}

/// Computes a period report again, from exactly the entries that it names, and says what differs.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The period report, of either side.
    #[arg(value_parser = MessageId::parse)]
    id: MessageId,
}

impl Verify {
    pub(super) async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let answer = again(&desk, self.id, target).await?;
        if screen.json {
            screen.json(&json::to_json_whole(&answer))?;
        }
        let verdict = answer.verdict.clone().unwrap_or_default();
        if verdict.equal {
            if !screen.json {
                let whose = match verdict.side() {
                    Side::Own => "this side's own report",
                    Side::Peer | Side::Unspecified => "the peer's report",
                };
                screen.line(format!(
                    "equal         every figure of {whose} is what both logs give here"
                ))?;
                for log in &answer.logs {
                    screen.line(format!(
                        "counted       {}  {} entries  {}",
                        escape(&log.origin),
                        log.size,
                        hex::encode(&log.root)
                    ))?;
                }
            }
            return Ok(Exit::Ok);
        }
        if !screen.json {
            for text in differences(&verdict) {
                screen.line(text)?;
            }
        }
        Err(differs(self.id, &verdict))
    }
}

/// Computes a period report again, and signs it if nothing differs.
#[derive(Debug, Args)]
pub(super) struct Countersign {
    /// The peer's period report.
    #[arg(value_parser = MessageId::parse)]
    id: MessageId,
    #[command(flatten)]
    signature: Signature,
}

impl Countersign {
    pub(super) async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let message = get(&desk, &self.id.to_string()).await?;
        if message.kind() != Kind::PeriodReport {
            return Err(Failure::new(Exit::Data, "that message is no period report")
                .remedy("sign other messages with: liaison countersign ID"));
        }
        let answer = again(&desk, self.id, target).await?;
        let verdict = answer.verdict.unwrap_or_default();
        if !verdict.equal {
            if !screen.json {
                for text in differences(&verdict) {
                    screen.line(text)?;
                }
            }
            return Err(differs(self.id, &verdict).while_doing("it was not signed"));
        }
        // The node computes it once more, whoever asks.
        let content = Content::default();
        self.signature.send(&desk, &message, content, screen).await
    }
}

async fn again(desk: &Desk, id: MessageId, target: &Target) -> Result<v1::ReportResponse, Failure> {
    let request = v1::ReportRequest {
        period_report: id.to_string(),
        time_zone: own_zone(target),
        ..v1::ReportRequest::default()
    };
    ask(desk, request).await
}

fn differs(id: MessageId, verdict: &v1::PeriodVerdict) -> Failure {
    let count = verdict.differences.len() + verdict.grounds.len();
    let what = if count == 1 { "point" } else { "points" };
    Failure::new(
        Exit::Negative,
        format!("the period report {id} differs in {count} {what} from what both logs give here"),
    )
    .remedy(
        "compare the entries named with the other side; it may propose a corrected report, or you \
         refuse this one: liaison countersign ID --not-signed --reason vi=…",
    )
}

/// Each difference with both values and the entries that make it up here.
fn differences(verdict: &v1::PeriodVerdict) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for ground in &verdict.grounds {
        lines.push(format!("report        {}", escape(ground)));
    }
    for difference in &verdict.differences {
        let name = escape(&difference.name);
        let side = match difference.side.as_str() {
            "" => "both sides".into(),
            side => escape(side),
        };
        let counted = match difference.counted {
            Some(counted) => counted.to_string(),
            None => "nothing".to_owned(),
        };
        lines.push(format!(
            "differs       {name}, {side}: the report says {}, the logs give {counted} here",
            difference.stated
        ));
        if let Some(label) = label_of(&difference.name) {
            lines.push(format!("              {}", label.en));
        }
        if !difference.reason.is_empty() {
            lines.push(format!("              {}", escape(&difference.reason)));
        }
        for entry in difference.entries.iter().take(ENTRIES_SHOWN) {
            lines.push(format!(
                "  made up of  {} index {}  {}  {}",
                escape(&entry.side),
                entry.index,
                escape(&entry.id),
                entry.amount
            ));
        }
        let shown = difference.entries.len().min(ENTRIES_SHOWN) as u64;
        if difference.entries_total > shown {
            let more = difference.entries_total - shown;
            lines.push(format!("              and {more} more entries"));
        }
    }
    lines
}
