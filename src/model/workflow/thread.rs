//! A case: its messages in one order, each judged and applied.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::matter::{Act, Matter, MatterView};
use super::order::{self, Place};
use super::{Facts, Impossible, Millis, Party, Said, Standing, Step};
use crate::limits::CASE_LOOKBACK_MAX;
use crate::model::MessageId;
use crate::proto::v1::Kind;

/// One message of a case.
#[derive(Debug, Clone)]
struct Item {
    index: u64,
    /// The other side did not admit it: it is no message there, and so none here.
    is_void: bool,
    facts: Arc<Facts>,
}

/// A case, as far as its messages are here.
#[derive(Debug, Clone, Default)]
pub struct Thread {
    items: [Vec<Item>; 2],
    folded: Option<Folded>,
}

/// A case after its messages were applied.
#[derive(Debug, Clone, Default)]
pub struct Folded {
    /// Messages in order, with what became of each.
    pub messages: Vec<Judged>,
    /// What the case is about, in the order opened.
    pub matters: Vec<Matter>,
    /// Position of each message.
    at: HashMap<MessageId, usize>,
    /// The matters that a message belongs to.
    belongs: HashMap<MessageId, Vec<usize>>,
    has_waiting: bool,
}

/// A message and what became of it.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Whose.
    pub by: Party,
    /// Where in that side's log.
    pub index: u64,
    /// What it says.
    pub facts: Arc<Facts>,
    /// What became of it.
    pub standing: Standing,
}

/// How a case stands at an instant; the same on both sides that hold the same messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadView {
    /// The id of its first message.
    pub id: String,
    /// Messages in order: whose, index, id and standing.
    pub messages: Vec<MessageView>,
    /// What it is about.
    pub matters: Vec<MatterView>,
    /// Something is still to be done.
    pub is_open: bool,
}

/// A message of a [`ThreadView`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageView {
    /// Whose.
    pub by: Party,
    /// Where in that side's log.
    pub index: u64,
    /// Its id.
    pub id: String,
    /// [`Kind`] or the number of a newer one.
    pub kind: i32,
    /// What became of it.
    pub standing: Standing,
}

impl Thread {
    /// Takes in a message. Taking it again changes nothing.
    pub fn take(&mut self, by: Party, index: u64, facts: Arc<Facts>) {
        let items = &mut self.items[by.slot()];
        let Err(at) = items.binary_search_by_key(&index, |item| item.index) else {
            return;
        };
        let item = Item {
            index,
            is_void: false,
            facts,
        };
        let is_next = at == items.len();
        items.insert(at, item);
        if let Some(mut folded) = self.folded.take()
            && is_next
            && !folded.has_waiting
        {
            // Whatever comes last in the order only adds to what was folded.
            let order = self.ordered();
            if let Some((last, before)) = order.split_last()
                && (last.by, last.index) == (by, index)
                && before.len() == folded.messages.len()
            {
                folded.step(before, last);
                self.folded = Some(folded);
            }
        }
    }

    /// The other side did not admit the message at this index.
    pub fn void(&mut self, by: Party, index: u64) {
        let items = &mut self.items[by.slot()];
        if let Ok(at) = items.binary_search_by_key(&index, |item| item.index) {
            items[at].is_void = true;
            self.folded = None;
        }
    }

    /// The case as its messages leave it.
    pub fn folded(&mut self) -> &Folded {
        if self.folded.is_none() {
            let messages = self.ordered();
            self.folded = Some(Folded::of(&messages));
        }
        self.folded.get_or_insert_default()
    }

    /// Judges a message that is about to be recorded by a side which knows all that is here.
    ///
    /// # Errors
    /// Why it is not possible as things stand.
    pub fn judge(&mut self, by: Party, facts: &Facts) -> Result<(), Impossible> {
        let folded = self.folded();
        match folded.plan(by, facts)? {
            Plan::Step { fault: None, .. } => Ok(()),
            Plan::Step {
                fault: Some(fault), ..
            } => Err(fault),
            Plan::Wait => Err(folded.impossible("the message it names is not one of this case")),
        }
    }

    /// How it stands at an instant.
    pub fn view(&mut self, id: MessageId, now: Millis) -> ThreadView {
        let folded = self.folded();
        let matters: Vec<MatterView> = folded.matters.iter().map(|m| m.view(now)).collect();
        ThreadView {
            id: id.to_string(),
            messages: folded
                .messages
                .iter()
                .map(|judged| MessageView {
                    by: judged.by,
                    index: judged.index,
                    id: judged.facts.id.to_string(),
                    kind: judged.facts.kind,
                    standing: judged.standing.clone(),
                })
                .collect(),
            is_open: matters.iter().any(|matter| matter.is_open),
            matters,
        }
    }

    /// How many messages it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.iter().map(Vec::len).sum()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its messages in the order that both sides find.
    fn ordered(&self) -> Vec<Ordered> {
        let mut at: HashMap<MessageId, (Party, u64)> = HashMap::new();
        for party in [Party::A, Party::B] {
            for item in &self.items[party.slot()] {
                at.insert(item.facts.id, (party, item.index));
            }
        }
        let places = |party: Party| -> Vec<Place> {
            let mut knows = 0;
            let items = self.items[party.slot()].iter();
            items
                .map(|item| {
                    let answered = item.facts.in_reply_to.and_then(|id| at.get(&id));
                    let answered = answered.filter(|(whose, _)| *whose != party);
                    let answered = answered.map_or(0, |(_, index)| index + 1);
                    let known = knows.max(item.facts.seen_size).max(answered);
                    // Whatever a person knew before, that side knew still. A node says what it
                    // says by itself beside that.
                    if !matches!(item.facts.said, Said::System | Said::Refusal { .. }) {
                        knows = known;
                    }
                    Place {
                        index: item.index,
                        knows: known,
                    }
                })
                .collect()
        };
        let places = [places(Party::A), places(Party::B)];
        order::merge(&places[0], &places[1])
            .into_iter()
            .filter_map(|(by, position)| {
                let item = &self.items[by.slot()][position];
                (!item.is_void).then(|| Ordered {
                    by,
                    index: item.index,
                    knows: places[by.slot()][position].knows,
                    facts: Arc::clone(&item.facts),
                })
            })
            .collect()
    }
}

/// A message in its place.
#[derive(Debug, Clone)]
struct Ordered {
    by: Party,
    index: u64,
    knows: u64,
    facts: Arc<Facts>,
}

/// What a message would do.
enum Plan {
    /// It names a message that is not here.
    Wait,
    /// It changes these matters and opens one of its own; with what is wrong with that one.
    Step {
        changed: Vec<(usize, Matter)>,
        opened: Option<Box<Matter>>,
        fault: Option<Impossible>,
    },
}

impl Folded {
    /// Applies messages in order.
    fn of(messages: &[Ordered]) -> Self {
        let mut folded = Self::default();
        for (at, message) in messages.iter().enumerate() {
            folded.step(&messages[..at], message);
        }
        folded
    }

    /// Applies the next message, and judges one that is not possible by what its author knew.
    fn step(&mut self, before: &[Ordered], message: &Ordered) {
        let standing = match self.apply(message.by, &message.facts) {
            Ok(true) => Standing::Applied,
            Ok(false) => Standing::Waiting,
            Err(impossible) if was_possible(before, message) => Standing::Crossed(impossible),
            Err(impossible) => Standing::Breach(impossible),
        };
        self.push(message, standing);
    }

    fn push(&mut self, message: &Ordered, standing: Standing) {
        self.has_waiting |= standing == Standing::Waiting;
        self.at
            .entry(message.facts.id)
            .or_insert(self.messages.len());
        self.messages.push(Judged {
            by: message.by,
            index: message.index,
            facts: Arc::clone(&message.facts),
            standing,
        });
    }

    /// The message of that id.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<&Judged> {
        self.messages.get(*self.at.get(&id)?)
    }

    /// The matters that a message belongs to.
    pub fn matters_of(&self, id: MessageId) -> impl Iterator<Item = &Matter> {
        let positions = self.belongs.get(&id).map_or(&[][..], Vec::as_slice);
        positions.iter().map(|at| &self.matters[*at])
    }

    /// What is possible now, in all that the case is about.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = self.matters.iter().flat_map(Matter::steps).collect();
        steps.sort();
        steps.dedup();
        steps
    }

    /// Applies a message; says whether it could be placed: false if what it names is not here.
    fn apply(&mut self, by: Party, facts: &Facts) -> Result<bool, Impossible> {
        let Plan::Step {
            changed,
            opened,
            fault,
        } = self.plan(by, facts)?
        else {
            return Ok(false);
        };
        let mut belongs = Vec::new();
        for (at, matter) in changed {
            self.matters[at] = matter;
            belongs.push(at);
        }
        if let Some(matter) = opened {
            // What replaces a request or letter begins anew: what it ended takes no step any more.
            if facts.supersedes.is_some() {
                belongs.clear();
            }
            belongs.push(self.matters.len());
            self.matters.push(*matter);
        }
        if !belongs.is_empty() {
            self.belongs.entry(facts.id).or_insert(belongs);
        }
        // What was opened against the rules is open all the same, and goes no further.
        fault.map_or(Ok(true), Err)
    }

    /// What a message would do, or why it is not possible.
    fn plan(&self, by: Party, facts: &Facts) -> Result<Plan, Impossible> {
        let nothing = Plan::Step {
            changed: Vec::new(),
            opened: None,
            fault: None,
        };
        if matches!(facts.said, Said::System | Said::Refusal { .. }) {
            return Ok(nothing);
        }
        let mut named = Vec::new();
        for id in [facts.in_reply_to, facts.supersedes].into_iter().flatten() {
            match self.message(id) {
                Some(judged) => named.push(judged),
                None => return Ok(Plan::Wait),
            }
        }
        if named.is_empty() && !facts.is_first() {
            return Err(self.impossible(
                "a message of an existing case names the message of that case which it answers",
            ));
        }
        if self
            .messages
            .first()
            .is_some_and(|first| first.facts.status != facts.status)
        {
            return Err(self.impossible(
                "what is real is never mixed with an exercise or test: the status differs from \
                 that of the case",
            ));
        }
        let superseded = facts.supersedes.and_then(|id| self.message(id));
        if superseded.is_some_and(|judged| judged.by != by) {
            return Err(self.impossible("only its author corrects or withdraws a message"));
        }
        let superseded = superseded.map(|judged| &*judged.facts);
        self.act(by, facts, &named, superseded)
    }

    /// Lets a message act on every matter that the messages it names belong to, and open its own:
    /// on all of them, or on none.
    fn act(
        &self,
        by: Party,
        facts: &Facts,
        named: &[&Judged],
        superseded: Option<&Facts>,
    ) -> Result<Plan, Impossible> {
        let mut changed: BTreeMap<usize, Matter> = BTreeMap::new();
        for target in named {
            for at in self.belongs.get(&target.facts.id).into_iter().flatten() {
                if changed.contains_key(at) {
                    continue;
                }
                let mut matter = self.matters[*at].clone();
                matter.apply(&Act {
                    by,
                    facts,
                    target: (target.by, &target.facts),
                    superseded,
                })?;
                changed.insert(*at, matter);
            }
        }
        if changed.is_empty() && !named.is_empty() && needs_matter(facts.kind()) {
            return Err(self.impossible("what it answers opened nothing that this answers"));
        }
        let continued: Vec<Kind> = changed.values().map(Matter::kind).collect();
        let (opened, fault) = Matter::open(by, facts, &continued).unzip();
        Ok(Plan::Step {
            changed: changed.into_iter().collect(),
            opened: opened.map(Box::new),
            fault: fault.flatten(),
        })
    }

    fn impossible(&self, reason: &str) -> Impossible {
        let states: Vec<String> = self.matters.iter().map(Matter::state).collect();
        Impossible {
            state: if states.is_empty() {
                "nothing opened".to_owned()
            } else {
                states.join("; ")
            },
            reason: reason.to_owned(),
            allowed: self.steps(),
        }
    }
}

/// Whether a message was possible by what its author knew: everything before it but what the
/// other side had said meanwhile.
fn was_possible(before: &[Ordered], message: &Ordered) -> bool {
    let is_unknown = |earlier: &Ordered| earlier.by != message.by && earlier.index >= message.knows;
    if before.len() > CASE_LOOKBACK_MAX || !before.iter().any(is_unknown) {
        return false;
    }
    let mut seen = Folded::default();
    for earlier in before.iter().filter(|earlier| !is_unknown(earlier)) {
        // What was not possible then changed nothing then either.
        drop(seen.apply(earlier.by, &earlier.facts));
        seen.push(earlier, Standing::Applied);
    }
    matches!(seen.apply(message.by, &message.facts), Ok(true))
}

/// Kinds that mean something only as a step of something opened before.
pub(super) fn needs_matter(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::VerificationReply
            | Kind::DeadlineExtension
            | Kind::HandoverReply
            | Kind::HandoverSupplement
            | Kind::HandoverSchedule
            | Kind::HandoverRecord
            | Kind::ProtectionDecision
            | Kind::Response
            | Kind::Countersignature
            | Kind::Closure
    )
}
