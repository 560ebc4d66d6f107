//! What is said in a run: notifications of one size, each with an id and a number of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use jiff::SignedDuration;
use prost::Message as _;

use crate::cli::draft::new_id;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::when::{now, to_wire};
use crate::limits::TEXT_BYTES_MAX;
use crate::model::sample;
use crate::proto::v1::body::Body;
use crate::proto::v1::{self, Draft, Precedence, Status};

/// What kinds a run sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Mix {
    /// Official letters, ROUTINE.
    Letters,
    /// Crossing alerts, IMMEDIATE.
    Alerts,
    /// Letters, and every tenth an alert.
    Mixed,
}

impl Mix {
    /// As it is typed.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Letters => "letters",
            Self::Alerts => "alerts",
            Self::Mixed => "mixed",
        }
    }

    /// What they are, and with what precedence.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Letters => "official letters, ROUTINE",
            Self::Alerts => "crossing alerts, IMMEDIATE",
            Self::Mixed => "official letters, ROUTINE, and every tenth a crossing alert, IMMEDIATE",
        }
    }

    fn is_alert(self, number: u64) -> bool {
        match self {
            Self::Letters => false,
            Self::Alerts => true,
            Self::Mixed => number % ALERTS_EVERY == ALERTS_EVERY - 1,
        }
    }
}

/// Of so many notifications of [`Mix::Mixed`] the last is an alert.
const ALERTS_EVERY: u64 = 10;
/// The largest body that is made: its filling is one text, and that is the limit of one.
pub(super) const SIZE_MAX: usize = TEXT_BYTES_MAX;
/// Digits of a notification's number, so that all are of one size.
const NUMBER_DIGITS: usize = 9;
/// Lengths of a field tried beside the filling, where the length of a length leaps over a size.
const ADJUSTMENTS: usize = 4;

/// Makes notifications whose body is of a size, serialized.
#[derive(Debug, Clone)]
pub(super) struct Drafts {
    mix: Mix,
    letter: Draft,
    alert: Draft,
    /// In turn; none but the one in the drafts if empty.
    recipients: Vec<String>,
    noted: Option<Noted>,
}

/// The ids of some of what is made.
#[derive(Debug, Clone)]
pub(super) struct Noted {
    every: u64,
    made: Arc<AtomicU64>,
    ids: Arc<Mutex<Vec<String>>>,
}

impl Noted {
    /// Those that were noted until now, in the order in which they were made.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.ids.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn made(&self, id: &str) {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        if number.is_multiple_of(self.every) {
            let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
            ids.push(id.to_owned());
        }
    }
}

impl Drafts {
    /// For a recipient; `size` is that of the serialized body in bytes.
    ///
    /// # Errors
    /// A size that such a body cannot have, with those that it can.
    pub(super) fn new(
        recipient: &str,
        mix: Mix,
        size: usize,
        status: Status,
    ) -> Result<Self, Failure> {
        let letter = Draft {
            recipient: recipient.to_owned(),
            status: status.into(),
            body: Some(v1::Body {
                body: Some(letter()),
            }),
            ..Draft::default()
        };
        let drafts = Self {
            mix,
            alert: alert(recipient, status, Precedence::Immediate)?,
            letter,
            recipients: Vec::new(),
            noted: None,
        };
        let (letter, alert) = (drafts.letter.clone(), drafts.alert.clone());
        let (letter_min, alert_min) = (body_bytes(&letter), body_bytes(&alert));
        let min = match mix {
            Mix::Letters => letter_min,
            Mix::Alerts => alert_min,
            Mix::Mixed => letter_min.max(alert_min),
        };
        let refused = || {
            let what = format!(
                "--size {size}: a body of {} cannot have this size",
                mix.as_str()
            );
            Failure::new(Exit::Usage, what).remedy(format!("choose from {min} to {SIZE_MAX} bytes"))
        };
        if !(min..=SIZE_MAX).contains(&size) {
            return Err(refused());
        }
        let fill = |draft: Draft, sent: bool| match filled(&draft, size) {
            Some(filled) => Ok(filled),
            None if !sent => Ok(draft),
            None => Err(refused()),
        };
        Ok(Self {
            letter: fill(letter, mix != Mix::Alerts)?,
            alert: fill(alert, mix != Mix::Letters)?,
            ..drafts
        })
    }

    /// The same, to several recipients in turn.
    pub(super) fn among(self, recipients: Vec<String>) -> Self {
        Self { recipients, ..self }
    }

    /// The same, and the ids of every `every`-th that it will make.
    pub(super) fn noting(self, every: u64) -> (Self, Noted) {
        let noted = Noted {
            every: every.max(1),
            made: Arc::default(),
            ids: Arc::default(),
        };
        let drafts = Self {
            noted: Some(noted.clone()),
            ..self
        };
        (drafts, noted)
    }

    /// The notification of a number, with an id of its own.
    pub(super) fn make(&self, number: u64) -> Result<Draft, Failure> {
        let template = if self.mix.is_alert(number) {
            &self.alert
        } else {
            &self.letter
        };
        let mut draft = template.clone();
        draft.id = new_id()?.to_string();
        if let Some(noted) = &self.noted {
            noted.made(&draft.id);
        }
        let turn = number.checked_rem(self.recipients.len() as u64);
        if let Some(recipient) =
            turn.and_then(|turn| self.recipients.get(usize::try_from(turn).ok()?))
        {
            recipient.clone_into(&mut draft.recipient);
        }
        if let Some(Body::OfficialLetter(letter)) = content(&mut draft) {
            letter.letter_number = numbered(number);
        }
        Ok(draft)
    }
}

fn numbered(number: u64) -> String {
    format!("{number:0NUMBER_DIGITS$}/MẪU")
}

fn content(draft: &mut Draft) -> Option<&mut Body> {
    draft.body.as_mut()?.body.as_mut()
}

fn body_bytes(draft: &Draft) -> usize {
    draft.body.as_ref().map_or(0, v1::Body::encoded_len)
}

fn vietnamese(text: &str) -> v1::LocalizedText {
    v1::LocalizedText {
        texts: [("vi".to_owned(), text.to_owned())].into(),
    }
}

/// A letter that says as little as a letter may.
fn letter() -> Body {
    Body::OfficialLetter(v1::OfficialLetter {
        common: Some(v1::Common {
            from_office: "Phòng mẫu".to_owned(),
            to_office: "示例办公室".to_owned(),
            legal_basis: vec!["Điều 1".to_owned()],
            languages: vec!["vi".to_owned()],
            not_applicable: vec!["place".to_owned(), "replyBy".to_owned()],
            ..v1::Common::default()
        }),
        letter_number: numbered(0),
        subject: Some(vietnamese("Đo tốc độ")),
        text: Some(vietnamese(FILLING)),
        signatory: Some(v1::Officer {
            name: "Nguyễn Văn Mẫu".to_owned(),
            rank: "Đại úy".to_owned(),
            office: "Phòng mẫu".to_owned(),
            phone: String::new(),
        }),
        ..v1::OfficialLetter::default()
    })
}

/// The alert of a sensor, with the texts that it must have, in one language.
pub(super) fn alert(
    recipient: &str,
    status: Status,
    precedence: Precedence,
) -> Result<Draft, Failure> {
    let missing = || Failure::new(Exit::Internal, "the sample of an alert is missing");
    let sample = sample::find("crossing-alert-sensor").ok_or_else(missing)?;
    let mut draft = sample.draft().or_exit(Exit::Internal)?;
    recipient.clone_into(&mut draft.recipient);
    draft.status = status.into();
    draft.precedence = precedence.into();
    draft.acknowledge_by = None;
    let Some(Body::CrossingAlert(alert)) = content(&mut draft) else {
        return Err(missing());
    };
    let common = alert.common.get_or_insert_default();
    "Trạm mẫu".clone_into(&mut common.from_office);
    "示例站".clone_into(&mut common.to_office);
    common.languages = vec!["vi".to_owned()];
    common.precedence_reason = Some(vietnamese("Mẫu"));
    alert.means = Some(vietnamese("Bè tre"));
    alert.description = Some(vietnamese(FILLING));
    if let Some(place) = &mut alert.place {
        place.description = Some(vietnamese("Mốc 102"));
    }
    // Whole seconds, as everything that people write.
    let seen = now()
        .checked_sub(SignedDuration::from_secs(1))
        .ok()
        .and_then(|at| jiff::Timestamp::from_second(at.as_second()).ok());
    alert.occurred_at = seen.map(to_wire);
    Ok(draft)
}

/// What a text is filled with.
const FILLING: &str = "x";

/// The same draft with a body of exactly so many bytes, serialized; none if it cannot have so many.
fn filled(draft: &Draft, size: usize) -> Option<Draft> {
    (0..ADJUSTMENTS).find_map(|adjustment| {
        let mut draft = draft.clone();
        adjust(&mut draft, adjustment);
        let mut length = FILLING.len();
        // The lengths of the messages around it grow with it, by a byte each at most.
        for _ in 0..8 {
            set_filling(&mut draft, length);
            let bytes = body_bytes(&draft);
            if bytes == size {
                return Some(draft);
            }
            length = (length + size).checked_sub(bytes)?.max(1);
        }
        None
    })
}

fn adjust(draft: &mut Draft, by: usize) {
    let office = match content(draft) {
        Some(Body::OfficialLetter(letter)) => letter.common.as_mut(),
        Some(Body::CrossingAlert(alert)) => alert.common.as_mut(),
        _ => None,
    };
    if let Some(common) = office {
        common.from_office.push_str(&FILLING.repeat(by));
    }
}

fn set_filling(draft: &mut Draft, length: usize) {
    let filling = Some(vietnamese(&FILLING.repeat(length)));
    match content(draft) {
        Some(Body::OfficialLetter(letter)) => letter.text = filling,
        Some(Body::CrossingAlert(alert)) => alert.description = filling,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::check::{check_draft, with_defaults};

    #[test]
    fn every_size_is_made_to_the_byte_and_is_a_good_draft() {
        for mix in [Mix::Letters, Mix::Alerts, Mix::Mixed] {
            for size in [400, 511, 512, 513, 4_096, 16_500, 60_000] {
                let drafts = Drafts::new("hekou.ni.cn.example", mix, size, Status::Actual).unwrap();
                for number in [0, 9, 123_456_789] {
                    let draft = drafts.make(number).unwrap();
                    assert_eq!(body_bytes(&draft), size, "{mix:?}");
                    check_draft(&with_defaults(draft)).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_size_that_cannot_be_is_refused_with_those_that_can() {
        for size in [0, 100, SIZE_MAX + 1] {
            let refused = Drafts::new("x.example", Mix::Letters, size, Status::Actual);
            let Err(Failure::Told(told)) = refused else {
                panic!("{size} was taken");
            };
            assert_eq!(told.exit, Exit::Usage);
            let text = told.text();
            assert!(text.contains(&format!("--size {size}")), "{text}");
            assert!(text.contains("choose from "), "{text}");
        }
    }
}
