//! The joint report between two nodes: both find the same figures, and no node signs others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use liaison::exchange::submit::SubmitError;
use liaison::exchange::{Exchange, LogSide, Recorded};
use liaison::model::check::FieldFault;
use liaison::model::report::{Period, Report};
use liaison::model::{MessageId, sample};
use liaison::proto::v1;
use liaison::proto::v1::body::Body;

use super::world::at;
use crate::sides::{Running, Side, join, letter, link_of, quiet, sides, submit};

/// The month in which the clock of these tests stands.
const FROM: &str = "2026-11-01T00:00:00+07:00";
const TO: &str = "2026-12-01T00:00:00+07:00";

struct Two {
    sides: (Side, Side),
    a: std::sync::Arc<Exchange>,
    b: std::sync::Arc<Exchange>,
    running: Running,
}

impl Two {
    /// Two nodes that have exchanged some letters.
    async fn with_letters() -> Self {
        let sides = sides();
        let (a, b) = (sides.0.open(&sides.1), sides.1.open(&sides.0));
        let running = join(&a, &b);
        for number in 1..=3 {
            submit(&a, letter(&sides.1, number)).await.unwrap();
        }
        submit(&b, letter(&sides.0, 1)).await.unwrap();
        quiet(&a, &b).await;
        Self {
            sides,
            a,
            b,
            running,
        }
    }

    /// A draft of the joint report, as the first side computes it.
    fn proposal(&self) -> v1::Draft {
        let link = link_of(&self.a);
        let logs = self.a.countable(&link).unwrap();
        let report = compute(&self.a, [logs[0].size, logs[1].size]);
        let mut body = v1::PeriodReport {
            common: Some(v1::Common {
                from_office: "Phòng mẫu".to_owned(),
                to_office: "示例办公室".to_owned(),
                ..v1::Common::default()
            }),
            from: Some(wire(FROM)),
            to: Some(wire(TO)),
            logs,
            figures: report.to_proposal(),
        };
        body.figures
            .sort_by(|x, y| (&x.name, &x.side).cmp(&(&y.name, &y.side)));
        draft(&self.sides.1, Body::PeriodReport(body))
    }

    /// Proposes, after a change; gives the message's id.
    async fn propose(&self, change: impl FnOnce(&mut v1::PeriodReport)) -> Recorded {
        let mut draft = self.proposal();
        if let Some(Body::PeriodReport(report)) = &mut draft.body.as_mut().unwrap().body {
            change(report);
        }
        let recorded = submit(&self.a, draft).await.unwrap();
        quiet(&self.a, &self.b).await;
        recorded
    }

    /// The digest of a message as the second side holds it.
    fn digest(&self, id: MessageId) -> Vec<u8> {
        let link = link_of(&self.b);
        let digest = self.b.with_cases(&link, |cases| {
            let folded = cases.folded(id).unwrap().unwrap();
            folded.message(id).map(|judged| judged.facts.body_digest)
        });
        digest.unwrap().unwrap().to_vec()
    }

    /// The second side signs a message, with a digest.
    async fn sign(&self, id: MessageId, digest: Vec<u8>) -> Result<Recorded, SubmitError> {
        let body = v1::Countersignature {
            common: Some(v1::Common {
                from_office: "示例办公室".to_owned(),
                ..v1::Common::default()
            }),
            body_digest: digest.into(),
            officer: Some(officer()),
            stance: v1::CountersignatureStance::Signed as i32,
            ..v1::Countersignature::default()
        };
        let answer = v1::Draft {
            in_reply_to: id.to_string(),
            ..draft(&self.sides.0, Body::Countersignature(body))
        };
        submit(&self.b, answer).await
    }

    /// Why the second side does not sign.
    async fn refused(&self, id: MessageId) -> Vec<FieldFault> {
        let before = link_of(&self.b).head().own_size;
        let error = self.sign(id, self.digest(id)).await.unwrap_err();
        assert_eq!(
            link_of(&self.b).head().own_size,
            before,
            "nothing is recorded"
        );
        match error {
            SubmitError::Faults(faults) => faults,
            other => panic!("{other:?}"),
        }
    }
}

fn officer() -> v1::Officer {
    v1::Officer {
        name: "陈示例".to_owned(),
        rank: "二级警督".to_owned(),
        office: "示例办公室".to_owned(),
        phone: "+86 000 0000 0001".to_owned(),
    }
}

fn draft(recipient: &Side, body: Body) -> v1::Draft {
    v1::Draft {
        recipient: recipient.name.to_string(),
        body: Some(v1::Body { body: Some(body) }),
        ..v1::Draft::default()
    }
}

fn wire(time: &str) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at(time) / 1_000,
        nanos: 0,
    }
}

fn compute(exchange: &Exchange, sizes: [u64; 2]) -> Report {
    let period = Period {
        from: at(FROM),
        to: at(TO),
    };
    exchange.report(&link_of(exchange), period, sizes).unwrap()
}

fn text(faults: &[FieldFault]) -> String {
    let lines = faults
        .iter()
        .map(|f| format!("{}: {}; {}", f.field, f.reason, f.remedy));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(start_paused = true)]
async fn both_sides_find_the_same_figures_and_the_other_one_signs() {
    let two = Two::with_letters().await;
    let (x, y) = (compute(&two.a, [3, 1]), compute(&two.b, [1, 3]));
    assert_eq!(x, y);
    let report = two.propose(|_| ()).await;
    let signed = two.sign(report.id, two.digest(report.id)).await.unwrap();
    assert!(!signed.already_recorded);
    quiet(&two.a, &two.b).await;
    let judged = two
        .a
        .judge_period_report(&link_of(&two.a), report.id)
        .unwrap();
    assert!(judged.is_equal(), "{}", text(&judged.faults()));
    // The case shows it on both sides.
    for exchange in [&two.a, &two.b] {
        let state = exchange.with_cases(&link_of(exchange), |cases| {
            let folded = cases.folded(report.id).unwrap().unwrap();
            folded.matters[0].state()
        });
        assert_eq!(state.unwrap(), "countersigned");
    }
    // Still so when more has been said since.
    submit(&two.b, letter(&two.sides.0, 9)).await.unwrap();
    quiet(&two.a, &two.b).await;
    let judged = two
        .b
        .judge_period_report(&link_of(&two.b), report.id)
        .unwrap();
    assert!(judged.is_equal(), "{}", text(&judged.faults()));
    two.running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_figure_that_differs_is_named_with_its_entries_and_not_signed() {
    let two = Two::with_letters().await;
    let name = two.sides.0.name.to_string();
    let tampered = two
        .propose(|report| {
            let letters = report.figures.iter_mut();
            let mut letters = letters.filter(|f| f.name == "letters" && f.side == name);
            letters.next().unwrap().value = 4;
        })
        .await;
    let faults = two.refused(tampered.id).await;
    assert_eq!(faults.len(), 1, "{}", text(&faults));
    let told = text(&faults);
    assert!(
        told.contains(&format!("figures.letters of {name}")),
        "{told}"
    );
    assert!(told.contains("says 4, the logs give 3"), "{told}");
    let ids: Vec<String> = two
        .b
        .with_cases(&link_of(&two.b), |cases| {
            let case = |index| cases.case_at(LogSide::Mirror, index).unwrap().unwrap();
            (0..3).map(|index| case(index).to_string()).collect()
        })
        .unwrap();
    for (index, id) in ids.iter().enumerate() {
        assert!(
            told.contains(&format!("{name} index {index} ({id})")),
            "{told}"
        );
    }
    // A figure that is not there, and one left out.
    let invented = two
        .propose(|report| {
            report.figures.retain(|figure| !figure.side.is_empty());
            report.figures.insert(
                0,
                v1::Figure {
                    name: "alerts".to_owned(),
                    side: String::new(),
                    value: 7,
                },
            );
        })
        .await;
    let told = text(&two.refused(invented.id).await);
    assert!(
        told.contains("figures.alerts") && told.contains("figures.letters"),
        "{told}"
    );
    // It may be refused in so many words.
    two.running.end().await;
}

#[tokio::test(start_paused = true)]
async fn other_logs_than_those_here_are_not_counted_for() {
    let two = Two::with_letters().await;
    let other_root = two
        .propose(|report| report.logs[0].root = vec![7; 32].into())
        .await;
    let told = text(&two.refused(other_root.id).await);
    assert!(
        told.contains("root") && told.contains(&two.sides.0.name.to_string()),
        "{told}"
    );

    let beyond = two.propose(|report| report.logs[1].size = 1_000).await;
    let told = text(&two.refused(beyond.id).await);
    assert!(told.contains("1000 entries"), "{told}");
    two.running.end().await;
}

/// A report on few entries gives true figures of these, and hides the rest.
#[tokio::test(start_paused = true)]
async fn a_report_on_too_few_entries_is_not_signed() {
    let two = Two::with_letters().await;
    let few = compute(&two.a, [1, 1]).to_proposal();
    let link = link_of(&two.a);
    let root = two
        .a
        .reader(&link, LogSide::Own)
        .root_at(&link.tree(LogSide::Own), 1)
        .unwrap();
    let hiding = two
        .propose(|report| {
            report.logs[0].size = 1;
            report.logs[0].root = root.0.to_vec().into();
            report.figures = few;
        })
        .await;
    let told = text(&two.refused(hiding.id).await);
    assert!(
        told.contains("too few entries") && told.contains("figures.letters"),
        "{told}"
    );
    two.running.end().await;
}

/// The signature must be in answer to the report itself, not to something beside it.
#[tokio::test(start_paused = true)]
async fn there_is_no_way_round_by_signing_beside_the_report() {
    let two = Two::with_letters().await;
    let tampered = two
        .propose(|report| {
            for figure in &mut report.figures {
                figure.value += 1;
            }
        })
        .await;
    let note = liaison::model::body::acknowledgement(officer(), None, wire(FROM));
    let note = v1::Draft {
        in_reply_to: tampered.id.to_string(),
        ..draft(&two.sides.0, note)
    };
    let note = submit(&two.b, note).await.unwrap();
    let beside = two.sign(note.id, two.digest(tampered.id)).await;
    assert!(beside.is_err(), "{beside:?}");
    let other_text = two.sign(tampered.id, vec![7; 32]).await;
    assert!(other_text.is_err(), "{other_text:?}");
    // Not to sign is always possible.
    let body = v1::Countersignature {
        common: Some(v1::Common {
            from_office: "示例办公室".to_owned(),
            languages: vec!["zh-Hans".to_owned()],
            ..v1::Common::default()
        }),
        body_digest: two.digest(tampered.id).into(),
        officer: Some(officer()),
        stance: v1::CountersignatureStance::NotSigned as i32,
        reason: Some(v1::LocalizedText {
            texts: [("zh-Hans".to_owned(), "数字有误".to_owned())].into(),
        }),
        ..v1::Countersignature::default()
    };
    let refusal = v1::Draft {
        in_reply_to: tampered.id.to_string(),
        ..draft(&two.sides.0, Body::Countersignature(body))
    };
    submit(&two.b, refusal).await.unwrap();
    two.running.end().await;
}

/// Minutes of which one side holds another character than was recorded: their digest is another.
#[tokio::test(start_paused = true)]
async fn minutes_with_one_other_character_are_not_signed() {
    let two = Two::with_letters().await;
    let mut draft = sample::find("meeting-minutes").unwrap().draft().unwrap();
    draft.recipient = two.sides.1.name.to_string();
    draft.in_reply_to.clear();
    let minutes = submit(&two.a, draft.clone()).await.unwrap();
    let Some(Body::MeetingMinutes(changed)) = &mut draft.body.as_mut().unwrap().body else {
        panic!("these are minutes")
    };
    let text = changed.text.as_mut().unwrap().texts.get_mut("vi").unwrap();
    text.push('.');
    draft.in_reply_to.clear();
    let other = submit(&two.a, draft).await.unwrap();
    quiet(&two.a, &two.b).await;
    let (right, wrong) = (two.digest(minutes.id), two.digest(other.id));
    assert_ne!(right, wrong);
    assert!(two.sign(minutes.id, wrong).await.is_err());
    two.sign(minutes.id, right).await.unwrap();
    two.running.end().await;
}
