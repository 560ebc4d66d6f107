//! `liaison countersign`: signing what the other side has put on record, or saying why not.

use clap::Args;

use super::ack::remark;
use super::connect::{Desk, Target};
use super::exit::{Done, Exit, Failure};
use super::print::Screen;
use super::show::get;
use super::{draft, form, send, summary, words};
use crate::model::text::escape;
use crate::model::{MessageId, json};
use crate::proto::v1::body::Body;
use crate::proto::v1::{self, CountersignatureStance, Kind, Side};

/// Signs minutes, a handover record, minutes on a marker or a period report of the other side.
///
/// The signature names the digest of exactly the text that this node holds: if one character of it
/// were another on the other side, it would not be the same text. A period report is computed again
/// from both logs first, and is not signed if a figure differs.
#[derive(Debug, Args)]
pub(crate) struct Countersign {
    /// The message of the other side.
    #[arg(value_parser = MessageId::parse)]
    id: MessageId,
    #[command(flatten)]
    signature: Signature,
    /// Do not sign; --reason says why.
    #[arg(long, requires = "reason")]
    not_signed: bool,
    /// Why it is not signed: vi=… or zh-Hans=…. May be given several times.
    #[arg(long, value_name = "LANGUAGE=TEXT", requires = "not_signed")]
    reason: Vec<String>,
    /// Sign a handover record but for this person, with the reason: 3:vi=… or 3:zh-Hans=…. May be
    /// given several times.
    #[arg(
        long,
        value_name = "NUMBER:LANGUAGE=REASON",
        conflicts_with = "not_signed"
    )]
    dispute: Vec<String>,
}

/// Who signs what.
#[derive(Debug, Args)]
pub(crate) struct Signature {
    /// Who signs.
    #[arg(long, visible_alias = "name", value_name = "NAME")]
    officer_name: String,
    /// The officer's rank.
    #[arg(long)]
    rank: String,
    /// The officer's office.
    #[arg(long)]
    office: String,
    /// The officer's phone.
    #[arg(long, default_value = "")]
    phone: String,
    /// Sign only if the digest of the text is this one, as it was shown before.
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
    /// Id of the countersignature itself, to send again what may have been sent.
    #[arg(long = "countersignature-id", value_name = "ID", value_parser = MessageId::parse)]
    own_id: Option<MessageId>,
}

/// What is said with it.
#[derive(Debug, Default)]
pub(crate) struct Content {
    not_signed: bool,
    reason: Option<v1::LocalizedText>,
    disputed: Vec<v1::DisputedPerson>,
}

impl Countersign {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let content = Content {
            not_signed: self.not_signed,
            reason: remark(&self.reason)?,
            disputed: disputed(&self.dispute)?,
        };
        let desk = target.connect().await?;
        let message = get(&desk, &self.id.to_string()).await?;
        self.signature.send(&desk, &message, content, screen).await
    }
}

impl Signature {
    /// Shows what is signed, and signs it.
    pub(crate) async fn send(
        self,
        desk: &Desk,
        message: &v1::Message,
        content: Content,
        screen: Screen,
    ) -> Done {
        check(message, &content)?;
        let digest = hex::encode(&message.body_digest);
        if let Some(expected) = &self.digest
            && !expected.eq_ignore_ascii_case(&digest)
        {
            return Err(Failure::new(
                Exit::Negative,
                format!(
                    "the text has the digest {digest}, and not the one given; nothing was signed"
                ),
            )
            .remedy("read the text again: liaison show ID"));
        }
        let own_id = self.own_id.map_or_else(draft::new_id, Ok)?.to_string();
        let signed = !content.not_signed;
        let draft = draft::check(self.draft(message, content, own_id.clone()))?;
        if !screen.json {
            show(message, &digest, screen)?;
        }
        let submitted =
            send::submit(desk, draft)
                .await
                .map_err(|failure| {
                    match failure.exit() {
                Exit::Unavailable | Exit::TryLater | Exit::Internal => failure.remedy(format!(
                    "it may or may not be recorded; repeat with --countersignature-id {own_id}, \
                     which never says it twice"
                )),
                _ => failure,
            }
                })?;
        if screen.json {
            screen.json(&json::to_json_whole(&submitted))?;
        } else {
            let what = if signed { "signed" } else { "not signed" };
            screen.line(format!(
                "{what:<14}{}  index {}",
                submitted.id, submitted.index
            ))?;
        }
        Ok(Exit::Ok)
    }

    fn draft(self, message: &v1::Message, content: Content, id: String) -> v1::Draft {
        let mut languages: Vec<String> = Vec::new();
        let reasons = content.disputed.iter().filter_map(|d| d.reason.as_ref());
        for tag in reasons.chain(&content.reason).flat_map(|r| r.texts.keys()) {
            if !languages.contains(tag) {
                languages.push(tag.clone());
            }
        }
        languages.sort_unstable();
        let stance = if content.not_signed {
            CountersignatureStance::NotSigned
        } else {
            CountersignatureStance::Signed
        };
        let countersignature = v1::Countersignature {
            common: Some(v1::Common {
                from_office: self.office.clone(),
                languages,
                ..v1::Common::default()
            }),
            body_digest: message.body_digest.clone(),
            officer: Some(v1::Officer {
                name: self.officer_name,
                rank: self.rank,
                office: self.office,
                phone: self.phone,
            }),
            stance: stance as i32,
            disputed: content.disputed,
            reason: content.reason,
        };
        v1::Draft {
            id,
            recipient: message.peer.clone(),
            status: message.status,
            handling: Some(v1::Handling {
                classification: message.handling.map_or(0, |h| h.classification),
                ..v1::Handling::default()
            }),
            thread_id: message.thread_id.clone(),
            in_reply_to: message.id.clone(),
            body: Some(v1::Body {
                body: Some(Body::Countersignature(countersignature)),
            }),
            ..v1::Draft::default()
        }
    }
}

/// What cannot be signed is told before anything else.
fn check(message: &v1::Message, content: &Content) -> Result<(), Failure> {
    let kind = words::kind(message.kind_number);
    if message.side() != Side::Peer {
        return Err(Failure::new(
            Exit::Data,
            "this side wrote that message; the other side countersigns it",
        )
        .remedy("give the id of a message of the peer"));
    }
    let is_signed = match message.body.as_ref().and_then(|body| body.body.as_ref()) {
        Some(Body::MarkerReport(report)) => report.is_minutes,
        Some(Body::HandoverRecord(_) | Body::MeetingMinutes(_) | Body::PeriodReport(_)) => true,
        Some(_) => false,
        None => {
            return Err(Failure::new(
                Exit::Negative,
                "the text is not held here, or may not be read by you; nothing was signed",
            ));
        }
    };
    if !is_signed {
        return Err(Failure::new(Exit::Data, format!("{kind} is not countersigned")).remedy(
            "countersigned are minutes of meetings, minutes on markers, handover records and period \
             reports",
        ));
    }
    if !content.disputed.is_empty() && message.kind() != Kind::HandoverRecord {
        return Err(
            Failure::new(Exit::Data, "persons are disputed in a handover record only")
                .remedy("leave --dispute out, or do not sign: --not-signed --reason vi=…"),
        );
    }
    if message.body_digest.len() != 32 {
        return Err(Failure::new(
            Exit::Internal,
            "the node does not tell the digest of the text",
        )
        .remedy("bring node and command to one version"));
    }
    Ok(())
}

fn show(message: &v1::Message, digest: &str, screen: Screen) -> Result<(), Failure> {
    let body = message.body.clone().unwrap_or_default();
    screen.line(format!(
        "{} of {}  {}",
        words::kind(message.kind_number),
        escape(&message.peer),
        message.id
    ))?;
    let line = body.body.as_ref().map(summary::of).unwrap_or_default();
    if !line.is_empty() {
        screen.line(line)?;
    }
    screen.raw(form::render(&body, screen.text_width(), screen.colour).as_bytes())?;
    screen.line(format!("{:<14}{digest}", "digest"))
}

/// Reads `3:vi=…`; several languages of one person go together.
fn disputed(given: &[String]) -> Result<Vec<v1::DisputedPerson>, Failure> {
    let mut persons: Vec<(u32, Vec<String>)> = Vec::new();
    for dispute in given {
        let read = dispute
            .split_once(':')
            .and_then(|(number, reason)| Some((number.trim().parse().ok()?, reason)));
        let Some((number, reason)) = read else {
            return Err(Failure::new(
                Exit::Usage,
                format!("--dispute {} names no person", escape(dispute)),
            )
            .remedy("write the number in the manifest and the reason: --dispute 3:vi=…"));
        };
        match persons.iter_mut().find(|(known, _)| *known == number) {
            Some((_, reasons)) => reasons.push(reason.to_owned()),
            None => persons.push((number, vec![reason.to_owned()])),
        }
    }
    persons
        .into_iter()
        .map(|(number, reasons)| {
            Ok(v1::DisputedPerson {
                number,
                reason: remark(&reasons)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disputes_are_read_person_by_person() {
        let given = ["3:vi=Sai tên", "3:zh-Hans=姓名有误", "5:vi=Vắng: không đến"];
        let persons = disputed(&given.map(str::to_owned)).unwrap();
        assert_eq!(persons.len(), 2);
        let texts = &persons[0].reason.as_ref().unwrap().texts;
        assert_eq!((persons[0].number, texts.len()), (3, 2));
        let text = &persons[1].reason.as_ref().unwrap().texts["vi"];
        assert_eq!(text, "Vắng: không đến");
        for wrong in ["3", "x:vi=a", "-1:vi=a", "3:vi=a"] {
            let twice = [wrong.to_owned(), "3:vi=b".to_owned()];
            assert_eq!(disputed(&twice).unwrap_err().exit(), Exit::Usage, "{wrong}");
        }
    }
}
