//! A case after its messages were applied, each judged.

use std::collections::HashMap;
use std::sync::Arc;

use super::matter::{Act, Effect, Matter};
use super::thread::{Items, place, seen_after};
use super::{Facts, Impossible, Party, Said, Standing, Step, is_talk, may_begin, needs_matter};
use crate::limits::{CASE_LOOKBACK_MAX, CASE_MESSAGES_MAX};
use crate::model::MessageId;
use crate::proto::v1::Kind;

/// A case after its messages were applied.
#[derive(Debug, Clone)]
pub struct Folded {
    /// Messages in order, with what became of each; those beyond the limit of a case aside.
    pub messages: Vec<Judged>,
    /// What the case is about, in the order opened.
    pub matters: Vec<Matter>,
    /// Messages beyond the limit of a case, by side.
    beyond: [Vec<Judged>; 2],
    /// Position of each message.
    at: HashMap<MessageId, usize>,
    /// The matters that a message belongs to.
    belongs: HashMap<MessageId, Vec<usize>>,
    /// The last of each side.
    last: [Option<u64>; 2],
    /// What each side has claimed to have seen.
    seen: [u64; 2],
    /// What each side knew at most, as far as the order goes.
    knows: [u64; 2],
    has_waiting: bool,
    is_forced: bool,
    /// The body of a message is not here any more.
    has_erased: bool,
    /// Messages that may still be looked at again to tell who could know what.
    lookback: usize,
}

impl Default for Folded {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            matters: Vec::new(),
            beyond: Default::default(),
            at: HashMap::new(),
            belongs: HashMap::new(),
            last: [None; 2],
            seen: [0; 2],
            knows: [0; 2],
            has_waiting: false,
            is_forced: false,
            has_erased: false,
            lookback: CASE_LOOKBACK_MAX,
        }
    }
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

/// A message in its place.
#[derive(Debug, Clone)]
pub(super) struct Ordered {
    pub(super) by: Party,
    pub(super) index: u64,
    /// How many entries of the other log its author says to have seen, here or before in the case.
    pub(super) seen: u64,
    pub(super) facts: Arc<Facts>,
}

/// The matters that a message acts on, and by which message of theirs that it names.
struct Targets<'a> {
    acts: Vec<(usize, &'a Judged)>,
    superseded: Option<&'a Judged>,
}

impl Folded {
    /// Applies all messages of a case.
    pub(super) fn of(items: &Items) -> Self {
        let (messages, is_forced) = items.in_order();
        let mut folded = Self {
            is_forced,
            ..Self::default()
        };
        for message in &messages {
            folded.step(message, items);
        }
        for by in [Party::A, Party::B] {
            for (index, facts) in items.beyond(by) {
                folded.push_beyond(by, index, Arc::clone(facts));
            }
        }
        folded
    }

    /// A message that is next in its log, if it comes last in the order of the case as well.
    pub(super) fn at_end(&self, by: Party, index: u64, facts: &Arc<Facts>) -> Option<Ordered> {
        let find = |id| {
            let named = self.message(id).filter(|named| named.by != by)?;
            Some(named.index)
        };
        let place = place(index, facts, find);
        // Nobody says to have seen it already, and it comes after all of the other side: A goes
        // first where it can.
        let is_news = self.knows[by.other().slot()] <= index;
        let is_last = match by {
            Party::A => self.last[1].is_none_or(|last| last < place.knows.max(self.knows[0])),
            Party::B => true,
        };
        let is_simple = !self.has_waiting && !self.is_forced;
        (is_simple && is_news && is_last && !self.at.contains_key(&facts.id)).then(|| Ordered {
            by,
            index,
            seen: seen_after(self.seen[by.slot()], facts),
            facts: Arc::clone(facts),
        })
    }

    /// Applies the next message, and judges one that is not possible by what its author knew.
    pub(super) fn step(&mut self, message: &Ordered, items: &Items) {
        let standing = match self.apply(message.by, &message.facts) {
            Ok(true) => Standing::Applied,
            Ok(false) => Standing::Waiting,
            Err(impossible) if self.is_innocent(message, items) => Standing::Crossed(impossible),
            Err(impossible) => Standing::Breach(impossible),
        };
        self.push(message, standing);
    }

    /// Whether a message that is not possible was possible by what its author knew: everything
    /// before it but what the other side had said meanwhile.
    ///
    /// It is asked as that author's node had asked. When too much would have to be looked at, the
    /// author has the benefit of the doubt.
    fn is_innocent(&mut self, message: &Ordered, items: &Items) -> bool {
        // What was erased may have made it possible: nobody can tell any more.
        if self.has_erased {
            return true;
        }
        // What came ahead of its turn is talked of without being judged.
        let is_ahead =
            |named: &Judged| named.by != message.by && named.index >= message.facts.seen_size;
        let answered = message.facts.in_reply_to.and_then(|id| self.message(id));
        if is_talk(message.facts.kind()) && answered.is_some_and(is_ahead) {
            return true;
        }
        if !self.is_forced && !self.said_unseen(message) {
            return false;
        }
        let known = items.known_to(message);
        let Some(left) = self.lookback.checked_sub(known.len()) else {
            return true;
        };
        self.lookback = left;
        let mut then = Self::default();
        for earlier in &known {
            // What was not possible then changed nothing then either.
            drop(then.apply(earlier.by, &earlier.facts));
            then.push(earlier, Standing::Applied);
        }
        then.judge(message.by, &message.facts).is_ok()
    }

    /// Whether the other side had said something before it that its author had not seen.
    fn said_unseen(&self, message: &Ordered) -> bool {
        let last = self.last[message.by.other().slot()];
        last.is_some_and(|last| last >= message.seen)
    }

    fn push(&mut self, message: &Ordered, standing: Standing) {
        let facts = &message.facts;
        let (by, index) = (message.by, message.index);
        let find = |id| {
            let named = self.message(id).filter(|named| named.by != by)?;
            Some(named.index)
        };
        let place = place(index, facts, find);
        let slot = by.slot();
        self.knows[slot] = self.knows[slot].max(place.knows);
        self.seen[slot] = message.seen;
        self.last[slot] = Some(index);
        self.has_erased |= facts.said == Said::Erased;
        self.at.entry(facts.id).or_insert(self.messages.len());
        // What it names may come yet, and then stands before it.
        let mut named = [facts.in_reply_to, facts.supersedes, Some(facts.thread)].into_iter();
        self.has_waiting |= named.any(|id| id.is_some_and(|id| !self.at.contains_key(&id)));
        self.messages.push(Judged {
            by,
            index,
            facts: Arc::clone(facts),
            standing,
        });
    }

    pub(super) fn push_beyond(&mut self, by: Party, index: u64, facts: Arc<Facts>) {
        let standing = if facts.is_of_the_node() {
            Standing::Applied
        } else {
            Standing::Breach(Self::is_full())
        };
        self.beyond[by.slot()].push(Judged {
            by,
            index,
            facts,
            standing,
        });
    }

    /// Why a side that has said as much as a case takes says no more in it.
    pub(super) fn is_full() -> Impossible {
        Impossible {
            state: format!("{CASE_MESSAGES_MAX} messages of this side"),
            reason: "the case takes no more messages of this side; begin another".to_owned(),
            allowed: Vec::new(),
        }
    }

    /// Every message: in order, and then those beyond the limit of a case, by side.
    pub fn all_messages(&self) -> impl Iterator<Item = &Judged> {
        self.messages.iter().chain(self.beyond.iter().flatten())
    }

    /// Changes what is thought of messages, where more is known than this case tells.
    pub(super) fn reconsider(&mut self, think: impl Fn(&Judged) -> Option<Standing>) {
        let beyond = self.beyond.iter_mut().flatten();
        for judged in self.messages.iter_mut().chain(beyond) {
            if let Some(standing) = think(judged) {
                judged.standing = standing;
            }
        }
    }

    /// The message of that id.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<&Judged> {
        self.messages.get(*self.at.get(&id)?)
    }

    /// The matters that a message belongs to.
    pub fn matters_of(&self, id: MessageId) -> impl Iterator<Item = &Matter> {
        self.belonging(id).iter().map(|at| &self.matters[*at])
    }

    fn belonging(&self, id: MessageId) -> &[usize] {
        self.belongs.get(&id).map_or(&[][..], Vec::as_slice)
    }

    /// What is possible now, in all that the case is about.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = self.matters.iter().flat_map(Matter::steps).collect();
        steps.sort();
        steps.dedup();
        steps
    }

    /// Judges a message that would come next.
    pub(super) fn judge(&self, by: Party, facts: &Facts) -> Result<(), Impossible> {
        let Some(targets) = self.targets(by, facts)? else {
            return Err(self.impossible("the message it names is not one of this case"));
        };
        let mut acted_on = Vec::new();
        for (at, target) in &targets.acts {
            let mut matter = self.matters[*at].clone();
            let effect = matter.apply(&targets.act(by, facts, target))?;
            acted_on.push((*at, effect));
        }
        self.effects(facts, &acted_on)?;
        let continued = self.continued(&acted_on);
        let opened = Matter::open(by, facts, &continued);
        opened.and_then(|(_, fault)| fault).map_or(Ok(()), Err)
    }

    /// Applies a message; says whether it could be placed: false if what it names is not here.
    fn apply(&mut self, by: Party, facts: &Facts) -> Result<bool, Impossible> {
        let Some(targets) = self.targets(by, facts)? else {
            return Ok(false);
        };
        let mut acted_on = Vec::new();
        if let [(at, target)] = targets.acts[..] {
            // The ordinary course. A matter that cannot take the step stays as it is.
            let (target, superseded) = (target.shared(), targets.superseded.map(Judged::shared));
            let act = Act {
                by,
                facts,
                target: (target.0, &target.1),
                superseded: superseded.as_ref().map(|(_, facts)| &**facts),
            };
            let effect = self.matters[at].apply(&act)?;
            acted_on.push((at, effect));
            self.effects(facts, &acted_on)?;
        } else {
            // On all of them, or on none.
            let mut changed = Vec::new();
            for (at, target) in &targets.acts {
                let mut matter = self.matters[*at].clone();
                let effect = matter.apply(&targets.act(by, facts, target))?;
                acted_on.push((*at, effect));
                changed.push((*at, matter));
            }
            self.effects(facts, &acted_on)?;
            for (at, matter) in changed {
                self.matters[at] = matter;
            }
        }
        let continued = self.continued(&acted_on);
        let mut belongs: Vec<usize> = acted_on.into_iter().map(|(at, _)| at).collect();
        let mut fault = None;
        if let Some((opened, its_fault)) = Matter::open(by, facts, &continued) {
            // What opens something belongs to that; what only talks, to what it talks of as well.
            if !is_talk(facts.kind()) || facts.supersedes.is_some() {
                belongs.clear();
            }
            belongs.push(self.matters.len());
            self.matters.push(opened);
            fault = its_fault;
        }
        if !belongs.is_empty() {
            self.belongs.entry(facts.id).or_insert(belongs);
        }
        // What was opened against the rules is open all the same: what was said of persons there
        // is not forgotten.
        fault.map_or(Ok(true), Err)
    }

    /// What a message acts on, or why it cannot; `None` if what it names is not here.
    fn targets(&self, by: Party, facts: &Facts) -> Result<Option<Targets<'_>>, Impossible> {
        let mut targets = Targets {
            acts: Vec::new(),
            superseded: None,
        };
        if facts.is_of_the_node() {
            return Ok(Some(targets));
        }
        let mut answered = None;
        if let Some(id) = facts.in_reply_to {
            answered = self.message(id);
            if answered.is_none() {
                return Ok(None);
            }
        }
        if let Some(id) = facts.supersedes {
            targets.superseded = self.message(id);
            if targets.superseded.is_none() {
                return Ok(None);
            }
        }
        if let Some(reason) = self.fault_of_header(by, facts, answered, targets.superseded) {
            return Err(self.impossible(reason));
        }
        // What is taken back is what is acted on, whatever is answered by that.
        let named = if facts.kind() == Kind::Withdrawal {
            [targets.superseded, None]
        } else {
            [answered, targets.superseded]
        };
        for judged in named.into_iter().flatten() {
            let belonging = self.belonging(judged.facts.id);
            let is_apart = !targets.acts.is_empty()
                && !belonging.is_empty()
                && belonging
                    .iter()
                    .all(|at| targets.acts.iter().all(|(other, _)| at != other));
            if is_apart && !is_talk(facts.kind()) {
                return Err(self.impossible("it answers one thing and corrects another"));
            }
            for at in belonging {
                if targets.acts.iter().all(|(other, _)| at != other) {
                    targets.acts.push((*at, judged));
                }
            }
        }
        if let Some(reason) = self.fault_of_request(by, facts) {
            return Err(self.impossible(reason));
        }
        Ok(Some(targets))
    }

    /// What is wrong with what a message names, whatever the matter.
    fn fault_of_header(
        &self,
        by: Party,
        facts: &Facts,
        answered: Option<&Judged>,
        superseded: Option<&Judged>,
    ) -> Option<&'static str> {
        let first = self.message(facts.thread);
        let is_withdrawal = facts.kind() == Kind::Withdrawal;
        if first.is_some_and(|first| first.facts.status != facts.status) {
            Some(
                "what is real is never mixed with an exercise or test: the status differs from \
                 that of the case",
            )
        } else if answered.is_none() && superseded.is_none() && !facts.is_first() {
            Some("a message of an existing case names the message of that case which it answers")
        } else if facts.is_first() && !may_begin(facts.kind()) {
            Some("this kind is a step of a case and begins none")
        } else if superseded.is_some_and(|judged| judged.by != by) {
            Some("only its author corrects or withdraws a message")
        } else if is_withdrawal && superseded.is_none() {
            Some("a withdrawal names the message that it takes back")
        } else if !is_withdrawal && superseded.is_some_and(|judged| judged.facts.kind != facts.kind)
        {
            Some("a message is corrected by another of its kind, or withdrawn")
        } else {
            None
        }
    }

    /// A claim for protection is not got rid of by another request: within a case it stands until
    /// an authority has decided, and numbers of one request are never those of another.
    fn fault_of_request(&self, by: Party, facts: &Facts) -> Option<&'static str> {
        let Said::HandoverRequest(_) = facts.said else {
            return None;
        };
        let mut earlier = self
            .matters
            .iter()
            .filter(|matter| matter.opened_by() == by);
        earlier.find_map(|matter| {
            if matter.holds_claim() {
                Some(
                    "a person of the earlier request has claimed protection: no other request of \
                     this case replaces it; tell more by a supplement, or record what the \
                     authority decided",
                )
            } else if matter.is_open_handover() && facts.supersedes != Some(matter.opening()) {
                Some(
                    "a handover of this side is under way in this case: supersede or withdraw that \
                     request, or begin another case",
                )
            } else {
                None
            }
        })
    }

    /// Whether a step meant something to what it was addressed to.
    fn effects(&self, facts: &Facts, acted_on: &[(usize, Effect)]) -> Result<(), Impossible> {
        let is_step = needs_matter(facts.kind()) || facts.kind() == Kind::Withdrawal;
        if !is_step || acted_on.iter().any(|(_, effect)| *effect == Effect::Took) {
            return Ok(());
        }
        let foreign = acted_on.iter().find_map(|(at, effect)| match effect {
            Effect::Foreign(reason) => Some((*at, *reason)),
            _ => None,
        });
        match foreign {
            Some((at, reason)) => Err(self.matters[at].impossible(reason.to_owned())),
            None if needs_matter(facts.kind()) => {
                Err(self.impossible("what it answers opened nothing that this answers"))
            }
            None => Ok(()),
        }
    }

    fn continued(&self, acted_on: &[(usize, Effect)]) -> Vec<Kind> {
        let took = acted_on
            .iter()
            .filter(|(_, effect)| *effect == Effect::Took);
        took.map(|(at, _)| self.matters[*at].kind()).collect()
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

impl Judged {
    fn shared(&self) -> (Party, Arc<Facts>) {
        (self.by, Arc::clone(&self.facts))
    }
}

impl Targets<'_> {
    fn act<'a>(&'a self, by: Party, facts: &'a Facts, target: &'a Judged) -> Act<'a> {
        Act {
            by,
            facts,
            target: (target.by, &target.facts),
            superseded: self.superseded.map(|judged| &*judged.facts),
        }
    }
}
