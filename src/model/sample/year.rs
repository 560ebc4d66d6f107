//! The year 2025 of two pairs of border authorities, message by message.
//!
//! Only the volumes are real: they are those that both pairs have published for that year. Persons,
//! offices, letters and cases are invented, and visibly so. The same year
//! is made each time, to the byte of each draft, so that it is a data set to test, measure and look
//! at.
//!
//! ```text
//! cast.rs      who speaks: two pairs, their offices and officers
//! days.rs      working days and office hours of a side; dice.rs  chance that is always the same
//! script.rs    what is said, when, by whom, in answer to what
//! letters.rs, talks.rs, cases.rs, alerts.rs, verifications.rs, line.rs, patrols.rs, handovers.rs
//!              the year of one kind of work each, as the workflows allow it
//! fold.rs      the whole year folded without any node
//! ```
//!
//! An event says what it answers by id. What cannot be known beforehand is left open: the digest
//! that a countersignature names, which hangs on a random salt ([`Event::signs`]).

mod alerts;
mod cases;
mod cast;
mod days;
mod dice;
mod fold;
mod handovers;
mod letters;
mod line;
mod patrols;
mod script;
mod talks;
mod verifications;

use std::collections::HashMap;

use crate::model::NodeName;
use crate::model::workflow::Millis;
use crate::proto::v1;
use crate::proto::v1::body::Body;

pub use self::fold::Fold;

use self::cast::Cast;
use self::script::Script;

/// 2025-01-01T00:00 in Hanoi: nothing is said before.
pub const BEGINS_AT: Millis = 1_735_664_400_000;
/// 2026-01-01T00:00 in Beijing: everything was said before. The year ends earlier there.
pub const ENDS_AT: Millis = 1_767_196_800_000;

/// Whose message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The Vietnamese side.
    Vn,
    /// The Chinese side.
    Cn,
}

impl Side {
    /// Both, in this order.
    pub const BOTH: [Self; 2] = [Self::Vn, Self::Cn];

    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Vn => Self::Cn,
            Self::Cn => Self::Vn,
        }
    }

    /// Its place in arrays of both.
    #[must_use]
    pub const fn slot(self) -> usize {
        match self {
            Self::Vn => 0,
            Self::Cn => 1,
        }
    }
}

/// A message of the year.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it is said.
    pub at: Millis,
    /// By whom.
    pub by: Side,
    /// What is said: with id, recipient and what it answers. A countersignature has 32 zero bytes
    /// for a digest.
    pub draft: v1::Draft,
    /// Place in the year of the message before it in its case; it is said when that one is known.
    pub after: Option<usize>,
    /// Place in the year of the message that it countersigns.
    pub signs: Option<usize>,
}

impl Event {
    /// The draft, with the digest of the body that it signs if it signs one.
    #[must_use]
    pub fn draft_signing(&self, digest: Option<&[u8]>) -> v1::Draft {
        let mut draft = self.draft.clone();
        if let Some(digest) = digest
            && let Some(Body::Countersignature(signature)) =
                draft.body.as_mut().and_then(|body| body.body.as_mut())
        {
            signature.body_digest = digest.to_vec().into();
        }
        draft
    }
}

/// The year of one pair.
#[derive(Debug, Clone)]
pub struct Year {
    /// Name of the pair for people.
    pub pair: &'static str,
    /// Names of the Vietnamese and of the Chinese place.
    pub places: [&'static str; 2],
    /// Nodes of the Vietnamese and of the Chinese side.
    pub nodes: [NodeName; 2],
    /// Everything said, in order of time.
    pub events: Vec<Event>,
    /// What the published figures of the pair are.
    pub published: &'static [Published],
}

/// A published figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Name of the figure of the report.
    pub figure: &'static str,
    /// Whose it is; `None`: of both.
    pub side: Option<Side>,
    /// What was published.
    pub value: i64,
    /// In words.
    pub words: &'static str,
}

const fn both(figure: &'static str, value: i64, words: &'static str) -> Published {
    Published {
        figure,
        side: None,
        value,
        words,
    }
}

const fn of(side: Side, figure: &'static str, value: i64, words: &'static str) -> Published {
    Published {
        figure,
        side: Some(side),
        value,
        words,
    }
}

/// What Lạng Sơn and Guangxi have published for 2025.
#[rustfmt::skip] // one figure a line
const LANGSON_GUANGXI: &[Published] = &[
    both("meetings.talks", 20, "talks"),
    both("meetings.face-to-face", 74, "face-to-face meetings"),
    both("letters", 679, "official letters"),
    both("calls", 113, "hotline calls"),
    both("cases.illegal-entry-exit.cases", 221, "cases of illegal entry or exit"),
    both("cases.illegal-entry-exit.persons", 1_182, "  persons in them"),
    both("cases.illegal-entry-exit.prosecutions", 49, "  prosecutions among them"),
    both("cases.illegal-entry-exit.suspects", 94, "  suspects prosecuted"),
    both("cases.fireworks.cases", 30, "cases of fireworks"),
    both("cases.fireworks.suspects", 35, "  suspects"),
    both("cases.smuggling.cases", 65, "cases of smuggling"),
    both("cases.smuggling.suspects", 70, "  suspects"),
];

/// What Lào Cai and Honghe have published for 2025; "nearly 10,000" residents are 9,860 here, and
/// which way is which was not said.
#[rustfmt::skip] // one figure a line
const LAOCAI_HONGHE: &[Published] = &[
    both("patrols", 12, "joint patrols"),
    of(Side::Vn, "patrols.officers", 1_200, "  officers of Lào Cai"),
    of(Side::Cn, "patrols.officers", 1_200, "  officers of Honghe"),
    of(Side::Vn, "handover.persons", 61, "persons handed over to Honghe"),
    of(Side::Vn, "handover.cases", 24, "  cases"),
    of(Side::Cn, "handover.persons", 286, "persons handed over to Lào Cai"),
    of(Side::Cn, "handover.cases", 114, "  cases"),
    both("activities.legal-education.participants", 9_860, "residents given legal education"),
];

impl Year {
    /// The two pairs of the year.
    #[must_use]
    pub fn pairs() -> [Self; 2] {
        [Self::langson_guangxi(), Self::laocai_honghe()]
    }

    /// Lạng Sơn and Guangxi.
    #[must_use]
    pub fn langson_guangxi() -> Self {
        let mut script = Script::new(&cast::LANGSON_GUANGXI, 202_501);
        line::open(&mut script);
        letters::write(&mut script, 430, 249);
        talks::call(&mut script, 113);
        talks::meet(&mut script, 20, 74);
        cases::tell_of_entry(&mut script, 110, [221, 1_182, 49, 94]);
        cases::tell_of_goods(&mut script, v1::CaseCategory::Fireworks, 22, [30, 35]);
        cases::tell_of_goods(&mut script, v1::CaseCategory::Smuggling, 48, [65, 70]);
        alerts::raise(&mut script, 240);
        verifications::ask(&mut script, 64);
        line::tell(&mut script);
        Self::of(script, LANGSON_GUANGXI)
    }

    /// Lào Cai and Honghe.
    #[must_use]
    pub fn laocai_honghe() -> Self {
        let mut script = Script::new(&cast::LAOCAI_HONGHE, 202_502);
        line::open(&mut script);
        patrols::walk(&mut script, 12, 100);
        patrols::teach(&mut script, 9_860);
        handovers::hand_over(&mut script, Side::Vn, 24, 61);
        handovers::hand_over(&mut script, Side::Cn, 114, 286);
        handovers::special(&mut script);
        letters::write(&mut script, 120, 64);
        talks::call(&mut script, 36);
        talks::meet(&mut script, 4, 18);
        cases::tell_of_goods(&mut script, v1::CaseCategory::Drugs, 9, [9, 14]);
        cases::tell_of_goods(&mut script, v1::CaseCategory::OnlineFraud, 7, [7, 31]);
        alerts::raise(&mut script, 130);
        verifications::ask(&mut script, 48);
        line::tell(&mut script);
        Self::of(script, LAOCAI_HONGHE)
    }

    fn of(script: Script, published: &'static [Published]) -> Self {
        let Cast { pair, sides } = script.cast;
        Self {
            pair,
            places: [sides[0].place, sides[1].place],
            nodes: [sides[0].node_name(), sides[1].node_name()],
            events: in_order(script.into_events()),
            published,
        }
    }

    /// The same year up to an instant, itself not included.
    #[must_use]
    pub fn until(mut self, end: Millis) -> Self {
        // Whatever an event hangs on was said before it.
        self.events.retain(|event| event.at < end);
        self
    }

    /// The node of a side.
    #[must_use]
    pub fn node(&self, side: Side) -> &NodeName {
        &self.nodes[side.slot()]
    }
}

/// Sorts what was written kind by kind, and finds what each message hangs on.
fn in_order(mut said: Vec<script::Line>) -> Vec<Event> {
    said.sort_by_key(|line| line.at);
    let mut places: HashMap<String, usize> = HashMap::new();
    // The case of each message, and the last message of each case.
    let mut cases: HashMap<String, String> = HashMap::new();
    let mut last: HashMap<String, usize> = HashMap::new();
    let mut events = Vec::with_capacity(said.len());
    for (place, line) in said.into_iter().enumerate() {
        let draft = line.draft;
        let named = [&draft.in_reply_to, &draft.supersedes];
        let named = named.into_iter().find(|id| !id.is_empty());
        let case = named.and_then(|id| cases.get(id)).unwrap_or(&draft.id);
        let case = case.clone();
        let after = last.insert(case.clone(), place);
        let signs = line.is_signature.then(|| places.get(&draft.in_reply_to));
        events.push(Event {
            at: line.at,
            by: line.by,
            after,
            signs: signs.flatten().copied(),
            draft: draft.clone(),
        });
        places.insert(draft.id.clone(), place);
        cases.insert(draft.id, case);
    }
    events
}

#[cfg(test)]
mod tests;
