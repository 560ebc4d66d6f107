//! `liaison ack`: a person has taken note.

use clap::Args;

use super::connect::Target;
use super::draft;
use super::exit::{Done, Exit, Failure};
use super::print::Screen;
use super::refused;
use crate::model::{MessageId, json, language};
use crate::proto::v1;

/// Language of a remark that names none.
const LANGUAGE: &str = "en";

/// Says to the other side that a person has taken note of its message.
#[derive(Debug, Args)]
pub(crate) struct Ack {
    /// The peer's message.
    #[arg(value_parser = MessageId::parse)]
    id: MessageId,
    /// Who has taken note.
    #[arg(long)]
    name: String,
    /// The officer's rank.
    #[arg(long)]
    rank: String,
    /// The officer's office.
    #[arg(long)]
    office: String,
    /// The officer's phone.
    #[arg(long, default_value = "")]
    phone: String,
    /// A remark; vi=… or zh-Hans=… says its language, else English. May be given several times.
    #[arg(long, value_name = "[LANGUAGE=]TEXT")]
    remark: Vec<String>,
    /// Id of the acknowledgement itself, to send again what may have been sent.
    #[arg(long = "ack-id", value_name = "ID", value_parser = MessageId::parse)]
    own_id: Option<MessageId>,
}

impl Ack {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let ack_id = self.own_id.map_or_else(draft::new_id, Ok)?.to_string();
        let request = v1::AcknowledgeRequest {
            id: self.id.to_string(),
            officer: Some(v1::Officer {
                name: self.name,
                rank: self.rank,
                office: self.office,
                phone: self.phone,
            }),
            remark: remark(&self.remark)?,
            acknowledgement_id: ack_id.clone(),
        };
        let desk = target.connect().await?;
        let outcome = desk.desk().acknowledge(request).await;
        let answer = refused::answer(outcome).map_err(|failure| match failure.exit() {
            Exit::Unavailable | Exit::TryLater | Exit::Internal => failure.remedy(format!(
                "it may or may not be recorded; repeat with --ack-id {ack_id}, which never says it twice"
            )),
            _ => failure,
        })?;
        if screen.json {
            screen.json(&json::to_json_whole(&answer))?;
        } else {
            screen.line(format!(
                "recorded      {}  index {}",
                answer.id, answer.index
            ))?;
        }
        Ok(Exit::Ok)
    }
}

/// A text from what was typed: `vi=…`, `zh-Hans=…`, else English; none if nothing was.
pub(crate) fn remark(given: &[String]) -> Result<Option<v1::LocalizedText>, Failure> {
    let mut text = v1::LocalizedText::default();
    for remark in given {
        let (tag, words) = match remark.split_once('=') {
            Some((tag, words)) if language::is_well_formed(tag) => (tag, words),
            _ => (LANGUAGE, remark.as_str()),
        };
        if text
            .texts
            .insert(tag.to_owned(), words.to_owned())
            .is_some()
        {
            let what = format!("two remarks in one language ({tag})");
            return Err(
                Failure::new(Exit::Usage, what).remedy("write --remark vi=… --remark zh-Hans=…")
            );
        }
    }
    Ok((!text.texts.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_name_their_language() {
        let given = [
            "vi=Đã nhận".to_owned(),
            "zh-Hans=收悉".to_owned(),
            "1 + 1 = 2".to_owned(),
        ];
        let text = remark(&given).unwrap().unwrap();
        assert_eq!(text.texts["vi"], "Đã nhận");
        assert_eq!(text.texts["zh-Hans"], "收悉");
        assert_eq!(text.texts["en"], "1 + 1 = 2");
        assert!(remark(&[]).unwrap().is_none());
        assert_eq!(
            remark(&["a".to_owned(), "b".to_owned()])
                .unwrap_err()
                .exit(),
            Exit::Usage
        );
    }
}
