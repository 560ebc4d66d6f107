//! Drafts to learn from and to demonstrate with. Every person in them is visibly fictitious.

mod batch;
pub mod year;

use super::json::{self, JsonError};
use crate::proto::v1;

use self::batch::handover_persons;
pub use self::batch::{People, handover_batch};

/// A draft in proto3 JSON, as somebody would write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Name of the file in `samples/`, without `.json`.
    pub name: &'static str,
    /// The file's text.
    pub json: &'static str,
}

impl Sample {
    /// The draft.
    ///
    /// # Errors
    /// None for those of [`SAMPLES`]; a test reads them all.
    pub fn draft(&self) -> Result<v1::Draft, JsonError> {
        json::from_json(self.json)
    }
}

macro_rules! samples {
    ($($name:literal),+ $(,)?) => {
        &[$(Sample {
            name: $name,
            json: include_str!(concat!("../../samples/", $name, ".json")),
        }),+]
    };
}

/// One draft of each kind that people and programs send, and two of crossing alerts. Ids that
/// they answer or withdraw, and recipients, are to be replaced by real ones.
pub const SAMPLES: &[Sample] = samples![
    "crossing-alert-sensor",
    "crossing-alert-patrol",
    "case-notice",
    "verification-request",
    "verification-reply",
    "deadline-extension",
    "handover-request",
    "handover-reply",
    "handover-supplement",
    "handover-schedule",
    "handover-record",
    "protection-decision",
    "official-letter",
    "hotline-call",
    "acknowledgement",
    "response",
    "countersignature",
    "closure",
    "withdrawal",
    "meeting-proposal",
    "meeting-minutes",
    "patrol-plan",
    "patrol-report",
    "gate-notice",
    "works-notice",
    "marker-report",
    "hazard-notice",
    "activity-report",
    "exercise-notice",
    "period-report",
    "calendar",
    "roster",
];

/// The files that the samples attach, by name.
pub const FILES: [(&str, &[u8]); 3] = [
    (
        "phu-luc-27.pdf",
        include_bytes!("../../samples/phu-luc-27.pdf"),
    ),
    (
        "anh-mau-1.png",
        include_bytes!("../../samples/anh-mau-1.png"),
    ),
    (
        "anh-mau-moc-106.png",
        include_bytes!("../../samples/anh-mau-moc-106.png"),
    ),
];

/// The sample of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Sample> {
    SAMPLES.iter().find(|sample| sample.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{body, check};
    use sha2::{Digest as _, Sha256};

    #[test]
    fn every_sample_may_be_sent() {
        for sample in SAMPLES {
            let draft = sample
                .draft()
                .unwrap_or_else(|e| panic!("{}: {e}", sample.name));
            assert_eq!(check::check_draft(&draft), Ok(()), "{}", sample.name);
        }
    }

    #[test]
    fn attachments_are_the_files_beside_the_samples() {
        let mut attached = 0;
        for sample in SAMPLES {
            let draft = sample.draft().unwrap();
            let content = draft.body.unwrap().body.unwrap();
            for attachment in body::attachments(&content) {
                let (_, file) = FILES.iter().find(|(n, _)| *n == attachment.name).unwrap();
                assert_eq!(attachment.size, file.len() as u64);
                assert_eq!(attachment.sha256.as_ref(), Sha256::digest(file).as_slice());
                attached += 1;
            }
        }
        assert_eq!(attached, FILES.len());
    }

    #[test]
    fn batches_of_any_size_may_be_sent() {
        for people in [People::Vietnamese, People::Chinese] {
            for persons in [1, 2, 110, 500] {
                let draft = handover_batch("hekou.ni.cn.example", people, persons);
                assert_eq!(check::check_draft(&draft), Ok(()), "{persons}");
                assert_eq!(
                    draft,
                    handover_batch("hekou.ni.cn.example", people, persons)
                );
            }
        }
    }

    #[test]
    fn everybody_in_a_batch_is_visibly_fictitious() {
        for (people, mark) in [(People::Vietnamese, "MẪU"), (People::Chinese, "示例")] {
            let draft = handover_batch("a.b", people, 110);
            let Some(v1::body::Body::HandoverRequest(request)) = draft.body.unwrap().body else {
                unreachable!("a batch is a handover request")
            };
            assert_eq!(request.persons.len(), 110);
            for person in request.persons {
                assert!(person.name.unwrap().native.contains(mark));
            }
        }
    }
}
