//! What is said, when, by whom, in answer to what.

use std::collections::BTreeMap;

use prost_types::Timestamp;

use super::cast::Cast;
use super::days::Days;
use super::dice::Dice;
use super::{ENDS_AT, Side};
use crate::model::workflow::Millis;
use crate::model::{MessageId, body};
use crate::proto::v1;
use crate::proto::v1::body::Body;

pub(super) const SECOND: Millis = 1_000;
pub(super) const MINUTE: Millis = 60 * SECOND;
pub(super) const HOUR: Millis = 60 * MINUTE;
pub(super) const DAY: Millis = 24 * HOUR;

/// A line of the script.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) at: Millis,
    pub(super) by: Side,
    pub(super) draft: v1::Draft,
    pub(super) is_signature: bool,
}

/// A message that was said, to be answered.
#[derive(Debug, Clone)]
pub(super) struct Ref {
    pub(super) id: String,
    pub(super) at: Millis,
    pub(super) by: Side,
}

/// The year of one pair while it is written.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) cast: &'static Cast,
    pub(super) dice: Dice,
    days: [Days; 2],
    lines: Vec<Line>,
    letter_numbers: [u32; 2],
}

impl Script {
    pub(super) fn new(cast: &'static Cast, seed: u64) -> Self {
        Self {
            cast,
            dice: Dice::new(seed),
            days: [
                Days::of_sample(cast.of(Side::Vn).calendar),
                Days::of_sample(cast.of(Side::Cn).calendar),
            ],
            lines: Vec::new(),
            letter_numbers: [0; 2],
        }
    }

    pub(super) fn into_events(self) -> Vec<Line> {
        self.lines
    }

    pub(super) fn days(&self, side: Side) -> &Days {
        &self.days[side.slot()]
    }

    /// One of the sides.
    pub(super) fn a_side(&mut self) -> Side {
        *self.dice.pick(&Side::BOTH)
    }

    /// A moment of office hours for the `number`th of `of` things that are spread over the year,
    /// but for its last `kept` working days, which are for what follows from them.
    pub(super) fn office_time(
        &mut self,
        by: Side,
        number: usize,
        of: usize,
        kept: usize,
    ) -> Millis {
        let open = self.days(by).len().saturating_sub(kept + 1);
        let about = 1 + number * open / of.max(1);
        let day = (about + self.dice.below(4)).min(open);
        self.days(by).nth(day) + self.dice.between(20, 8 * 60 + 20) * MINUTE + self.seconds()
    }

    /// A moment of any day and night, spread likewise; `kept` are days.
    pub(super) fn any_time(&mut self, number: usize, of: usize, kept: i64) -> Millis {
        let begin = super::BEGINS_AT + 2 * DAY;
        let span = ENDS_AT - begin - kept * DAY;
        let step = span / i64::try_from(of.max(1)).unwrap_or(i64::MAX);
        let number = i64::try_from(number).unwrap_or_default();
        begin + number * step + self.dice.between(0, step - 1)
    }

    /// Up to a minute.
    fn seconds(&mut self) -> Millis {
        self.dice.between(0, 59_999)
    }

    /// So many minutes later, when the office of a side is open.
    pub(super) fn soon(&mut self, by: Side, at: Millis, minutes: (i64, i64)) -> Millis {
        let later = at + self.dice.between(minutes.0, minutes.1) * MINUTE + self.seconds();
        self.days(by).office(later)
    }

    /// So many working days of a side later.
    pub(super) fn in_days(&mut self, by: Side, at: Millis, days: (i64, i64)) -> Millis {
        let days = usize::try_from(self.dice.between(days.0, days.1)).unwrap_or_default();
        let morning = self.days(by).after(at, days);
        // On the same day: not before it was asked.
        let earliest = morning.max(at);
        earliest + self.dice.between(15, 300) * MINUTE + self.seconds()
    }

    /// Whether something still belongs to the year.
    pub(super) fn is_in_year(at: Millis) -> bool {
        at < ENDS_AT - DAY
    }

    /// What every message of a side says, between offices of the same number.
    pub(super) fn common(&self, by: Side, office: usize) -> v1::Common {
        v1::Common {
            from_office: self.cast.office(by, office).to_owned(),
            to_office: self.cast.office(by.other(), office).to_owned(),
            legal_basis: vec![self.cast.of(by).basis.to_owned()],
            languages: vec!["vi".to_owned(), "zh-Hans".to_owned()],
            ..v1::Common::default()
        }
    }

    /// A draft to the other side.
    pub(super) fn draft(&self, by: Side, body: Body) -> v1::Draft {
        v1::Draft {
            recipient: self.cast.of(by.other()).node_name().as_str().to_owned(),
            body: Some(v1::Body { body: Some(body) }),
            ..v1::Draft::default()
        }
    }

    /// An answer to a message of either side.
    pub(super) fn answer(&self, by: Side, to: &Ref, body: Body) -> v1::Draft {
        v1::Draft {
            in_reply_to: to.id.clone(),
            ..self.draft(by, body)
        }
    }

    /// Writes it down.
    pub(super) fn say(&mut self, at: Millis, by: Side, draft: v1::Draft) -> Ref {
        let unix_ms = u64::try_from(at).unwrap_or_default();
        let id = MessageId::from_parts(unix_ms, self.dice.bytes()).to_string();
        let content = draft.body.as_ref().and_then(|body| body.body.as_ref());
        let is_signature = matches!(content, Some(Body::Countersignature(_)));
        let draft = v1::Draft {
            id: id.clone(),
            ..draft
        };
        self.lines.push(Line {
            at,
            by,
            draft,
            is_signature,
        });
        Ref { id, at, by }
    }

    /// A person of the other side takes note.
    pub(super) fn acknowledge(&mut self, of: &Ref, at: Millis, status: v1::Status) -> Ref {
        const REMARKS: [(&str, &str); 3] = [
            ("Đã nhận.", "收悉。"),
            ("Đã nhận, đang xử lý.", "收悉，正在办理。"),
            ("Đã nhận và báo cáo chỉ huy.", "收悉，已报告值班首长。"),
        ];
        let by = of.by.other();
        let officer = self.cast.officer(by, self.dice.below(5), 0);
        let remark = *self.dice.pick(&REMARKS);
        let body = body::acknowledgement(officer, Some(both(remark.0, remark.1)), time(at));
        let mut draft = self.answer(by, of, body);
        draft.status = status.into();
        self.say(at, by, draft)
    }

    /// The other side agrees, declines or differs.
    pub(super) fn respond(
        &mut self,
        to: &Ref,
        at: Millis,
        stance: v1::Stance,
        statement: Option<v1::LocalizedText>,
    ) -> Ref {
        let by = to.by.other();
        let languages = if statement.is_some() {
            vec!["vi".to_owned(), "zh-Hans".to_owned()]
        } else {
            Vec::new()
        };
        let body = Body::Response(v1::Response {
            common: Some(v1::Common {
                from_office: self.cast.office(by, 0).to_owned(),
                languages,
                ..v1::Common::default()
            }),
            stance: stance.into(),
            statement,
            officer: Some(self.cast.officer(by, self.dice.below(5), 0)),
        });
        let draft = self.answer(by, to, body);
        self.say(at, by, draft)
    }

    /// The other side signs, but for persons whom it disputes; or does not sign, for a reason.
    pub(super) fn countersign(
        &mut self,
        of: &Ref,
        at: Millis,
        disputed: Vec<v1::DisputedPerson>,
        reason: Option<v1::LocalizedText>,
    ) -> Ref {
        let by = of.by.other();
        let stance = if reason.is_some() {
            v1::CountersignatureStance::NotSigned
        } else {
            v1::CountersignatureStance::Signed
        };
        let languages = if reason.is_some() || !disputed.is_empty() {
            vec!["vi".to_owned(), "zh-Hans".to_owned()]
        } else {
            Vec::new()
        };
        let body = Body::Countersignature(v1::Countersignature {
            common: Some(v1::Common {
                from_office: self.cast.office(by, 0).to_owned(),
                languages,
                ..v1::Common::default()
            }),
            // The digest comes when the body has its salt.
            body_digest: vec![0; 32].into(),
            officer: Some(self.cast.officer(by, self.dice.below(5), 0)),
            stance: stance.into(),
            disputed,
            reason,
        });
        let draft = self.answer(by, of, body);
        self.say(at, by, draft)
    }

    /// A side takes back what it said.
    pub(super) fn withdraw(&mut self, of: &Ref, at: Millis, reason: v1::LocalizedText) -> Ref {
        let body = Body::Withdrawal(v1::Withdrawal {
            common: Some(self.common(of.by, 0)),
            reason: Some(reason),
        });
        let draft = v1::Draft {
            supersedes: of.id.clone(),
            ..self.draft(of.by, body)
        };
        self.say(at, of.by, draft)
    }

    /// A side ends a matter, for persons of these numbers or all.
    pub(super) fn close(
        &mut self,
        by: Side,
        of: &Ref,
        at: Millis,
        outcome: v1::ClosureOutcome,
        numbers: Vec<u32>,
        status: v1::Status,
    ) -> Ref {
        let body = Body::Closure(v1::Closure {
            common: Some(v1::Common {
                from_office: self.cast.office(by, 0).to_owned(),
                not_applicable: vec!["statement".to_owned()],
                ..v1::Common::default()
            }),
            outcome: outcome.into(),
            numbers,
            statement: None,
        });
        let mut draft = self.answer(by, of, body);
        draft.status = status.into();
        self.say(at, by, draft)
    }

    /// The next letter number of a side.
    pub(super) fn letter_number(&mut self, by: Side) -> String {
        let number = &mut self.letter_numbers[by.slot()];
        *number += 1;
        let (before, behind) = self.cast.of(by).letters;
        format!("{before}{number}{behind}")
    }

    /// The gate of the pair's offices of a number.
    pub(super) fn gate(&self, office: usize) -> &'static str {
        const LANGSON: [&str; 4] = [
            "huu-nghi/youyi-guan",
            "huu-nghi/youyi-guan",
            "chi-ma/ai-dian",
            "binh-nghi/ping-er-guan",
        ];
        if self.cast.of(Side::Vn).place == "Lào Cai" {
            "lao-cai/hekou"
        } else {
            LANGSON[office % LANGSON.len()]
        }
    }

    /// A boundary marker on the pair's part of the line.
    pub(super) fn marker(&mut self) -> u32 {
        if self.cast.of(Side::Vn).place == "Lào Cai" {
            self.dice.count(87, 167)
        } else {
            self.dice.count(1_000, 1_240)
        }
    }
}

/// A text in both national languages.
pub(super) fn both(vi: &str, zh: &str) -> v1::LocalizedText {
    v1::LocalizedText {
        texts: BTreeMap::from([
            ("vi".to_owned(), vi.to_owned()),
            ("zh-Hans".to_owned(), zh.to_owned()),
        ]),
    }
}

/// An instant on the wire, in whole seconds.
pub(super) fn time(at: Millis) -> Timestamp {
    Timestamp {
        seconds: at.div_euclid(SECOND),
        nanos: 0,
    }
}

/// The place that a gate is.
pub(super) fn at_gate(gate: &str) -> v1::Place {
    v1::Place {
        r#where: Some(v1::place::Where::Gate(gate.to_owned())),
        description: None,
    }
}

/// The place of some markers.
pub(super) fn at_markers(first: u32, last: u32) -> v1::Place {
    v1::Place {
        r#where: Some(v1::place::Where::Markers(v1::MarkerRange { first, last })),
        description: None,
    }
}

/// Names fields as not applicable.
pub(super) fn without(mut common: v1::Common, fields: &[&str]) -> v1::Common {
    let fields = fields.iter().map(|field| (*field).to_owned());
    common.not_applicable.extend(fields);
    common
}
