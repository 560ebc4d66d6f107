//! What stands outside cases: calendars, rosters and gates, each by the side that says so.
//!
//! One side writes each of them, so the order of its own log is enough.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::{Facts, Impossible, Millis, Party, Said};
use crate::limits::{CALENDARS_MAX, ROSTERS_MAX};
use crate::model::MessageId;
use crate::proto::v1::Kind;

/// A message of a board: which, and where in its side's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Posted {
    /// Index in its side's log.
    pub index: u64,
    /// Its id.
    #[serde(skip)]
    pub id: MessageId,
    /// [`crate::proto::v1::Status`].
    #[serde(skip)]
    pub status: i32,
    /// Its version; 0 where there is none.
    pub version: u32,
    /// When it was said.
    pub said_at: Millis,
}

/// A gate notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GateState {
    /// The notice.
    pub posted: Posted,
    /// [`crate::proto::v1::GateStatus`].
    pub status: i32,
    /// In force from.
    pub from: Millis,
    /// In force until; open if `None`.
    pub until: Option<Millis>,
}

/// The boards of both sides. What was not admitted or was taken back stays here unseen, so that it
/// makes no difference when that became known.
#[derive(Debug, Clone, Default)]
pub struct Boards {
    calendars: [BTreeMap<i32, Vec<Posted>>; 2],
    rosters: [Vec<Posted>; 2],
    gates: BTreeMap<String, [Vec<GateState>; 2]>,
    /// Where on a board each id is, and whether that is a gate notice; by side.
    ids: [HashMap<MessageId, Vec<(u64, bool)>>; 2],
    /// Entries that post, correct or withdraw, by side.
    acts: [BTreeSet<u64>; 2],
    /// Those of them that were not admitted, by side.
    void: [BTreeSet<u64>; 2],
    /// Index of what was withdrawn or corrected, with the index of what did it, by side.
    replaced: [BTreeSet<(u64, u64)>; 2],
}

impl Boards {
    /// Judges a message that would be posted.
    ///
    /// # Errors
    /// A version that is not higher than the one before; one calendar or roster more than count.
    pub fn judge(&self, by: Party, facts: &Facts) -> Result<(), Impossible> {
        self.fault(by, u64::MAX, facts).map_or(Ok(()), Err)
    }

    /// What is wrong with what a side posts at an index of its log: a version that is not higher
    /// than every one before that was up then; or so many were posted before that it is on no board.
    pub(super) fn fault(&self, by: Party, index: u64, facts: &Facts) -> Option<Impossible> {
        if self.is_full(by, index, &facts.said) {
            return Some(Impossible {
                state: "the most that count have been published".to_owned(),
                reason: format!(
                    "one side publishes no more than {CALENDARS_MAX} calendars and {ROSTERS_MAX} \
                     rosters on a link; what comes after them has no effect"
                ),
                allowed: Vec::new(),
            });
        }
        let (what, posted, version) = match facts.said {
            Said::Calendar { year, version } => (
                format!("calendar of {year}"),
                self.calendars[by.slot()].get(&year)?,
                version,
            ),
            Said::Roster { version } => ("roster".to_owned(), &self.rosters[by.slot()], version),
            _ => return None,
        };
        let earlier = posted.iter().take_while(|posted| posted.index < index);
        let last = earlier
            .filter(|posted| self.was_up(by, posted, index))
            .map(|posted| posted.version)
            .max()?;
        (version <= last).then(|| Impossible {
            state: format!("{what} version {last} is in force"),
            reason: format!(
                "version {version} does not follow version {last}; give it version {}",
                last.saturating_add(1)
            ),
            allowed: Vec::new(),
        })
    }

    /// Whether the board of such a message was full before the entry of that index. What was refused or
    /// taken back counts, so that it makes no difference when that became known.
    fn is_full(&self, by: Party, index: u64, said: &Said) -> bool {
        let before = |posted: &[Posted]| posted.partition_point(|posted| posted.index < index);
        match said {
            Said::Calendar { .. } => {
                let years = self.calendars[by.slot()].values();
                years.map(|posted| before(posted)).sum::<usize>() >= CALENDARS_MAX
            }
            Said::Roster { .. } => before(&self.rosters[by.slot()]) >= ROSTERS_MAX,
            _ => false,
        }
    }

    /// Posts a message, if it belongs on a board, and takes off what it withdraws or corrects; says
    /// whether it does either. Of an id that was used again, all that is there is taken off.
    pub(super) fn take(&mut self, by: Party, index: u64, facts: &Facts) -> bool {
        let replaces = facts.supersedes.is_some_and(|id| {
            // A calendar or roster gives way to a higher version only, or to a withdrawal.
            let of = self.ids[by.slot()].get(&id).into_iter().flatten();
            let all = facts.said == Said::Withdrawal;
            let gates = facts.kind() == Kind::GateNotice;
            let replaced = of.filter(|(_, is_gate)| all || gates && *is_gate);
            let before = self.replaced[by.slot()].len();
            self.replaced[by.slot()].extend(replaced.map(|(of, _)| (*of, index)));
            self.replaced[by.slot()].len() > before
        });
        let posts = self.post(by, index, facts);
        if replaces || posts {
            self.acts[by.slot()].insert(index);
        }
        replaces || posts
    }

    fn post(&mut self, by: Party, index: u64, facts: &Facts) -> bool {
        let posted = |version| Posted {
            index,
            id: facts.id,
            status: facts.status,
            version,
            said_at: facts.created_at,
        };
        if self.is_full(by, index, &facts.said) {
            return false;
        }
        match &facts.said {
            Said::Calendar { year, version } => {
                let years = &mut self.calendars[by.slot()];
                years.entry(*year).or_default().push(posted(*version));
            }
            Said::Roster { version } => self.rosters[by.slot()].push(posted(*version)),
            Said::Gate {
                gate,
                status,
                from,
                until,
            } => {
                let sides = self.gates.entry(gate.clone()).or_default();
                sides[by.slot()].push(GateState {
                    posted: posted(0),
                    status: *status,
                    from: *from,
                    until: *until,
                });
            }
            _ => return false,
        }
        let ids = self.ids[by.slot()].entry(facts.id).or_default();
        ids.push((index, facts.kind() == Kind::GateNotice));
        true
    }

    /// An entry was not admitted by the other side.
    pub(super) fn void(&mut self, by: Party, index: u64) {
        if self.acts[by.slot()].contains(&index) {
            self.void[by.slot()].insert(index);
        }
    }

    fn is_up(&self, by: Party, posted: &Posted) -> bool {
        self.was_up(by, posted, u64::MAX)
    }

    /// Whether it was up before the entry of that index.
    fn was_up(&self, by: Party, posted: &Posted, before: u64) -> bool {
        let void = &self.void[by.slot()];
        let replaced = &self.replaced[by.slot()];
        let mut replaced = replaced.range((posted.index, 0)..(posted.index, before));
        !void.contains(&posted.index) && !replaced.any(|(_, by_index)| !void.contains(by_index))
    }

    /// Those that are up, each of a higher version than the one before.
    fn versions(&self, by: Party, posted: &[Posted]) -> Vec<Posted> {
        let mut versions: Vec<Posted> = Vec::new();
        for posted in posted.iter().filter(|posted| self.is_up(by, posted)) {
            if versions
                .last()
                .is_none_or(|last| posted.version > last.version)
            {
                versions.push(*posted);
            }
        }
        versions
    }

    /// A side's calendars of a year, oldest first.
    #[must_use]
    pub fn calendars(&self, by: Party, year: i32) -> Vec<Posted> {
        let posted = self.calendars[by.slot()].get(&year);
        posted.map_or_else(Vec::new, |posted| self.versions(by, posted))
    }

    /// Every calendar of a side, by year, oldest first.
    #[must_use]
    pub fn all_calendars(&self, by: Party) -> Vec<Posted> {
        let years = self.calendars[by.slot()].keys();
        years.flat_map(|year| self.calendars(by, *year)).collect()
    }

    /// Every calendar that a side has published, in the order of its log, those it took back
    /// included: with the index of the withdrawal. For deadlines, which no later word moves.
    #[must_use]
    pub fn published_calendars(&self, by: Party) -> Vec<(Posted, Option<u64>)> {
        let void = &self.void[by.slot()];
        // A calendar gives way to a higher version only, or to a withdrawal: the latter stand here.
        let withdrawn = &self.replaced[by.slot()];
        let admitted = |posted: &&Posted| !void.contains(&posted.index);
        let mut published: Vec<_> = self.calendars[by.slot()]
            .values()
            .flatten()
            .filter(admitted)
            .map(|posted| {
                let mut withdrawals = withdrawn.range((posted.index, 0)..=(posted.index, u64::MAX));
                let first = withdrawals.find(|(_, withdrawal)| !void.contains(withdrawal));
                (*posted, first.map(|(_, withdrawal)| *withdrawal))
            })
            .collect();
        published.sort_by_key(|(posted, _)| posted.index);
        published
    }

    /// A side's rosters, oldest first.
    #[must_use]
    pub fn rosters(&self, by: Party) -> Vec<Posted> {
        self.versions(by, &self.rosters[by.slot()])
    }

    /// Every gate of which a notice is up.
    pub fn gates(&self) -> impl Iterator<Item = &str> {
        let gates = self.gates.keys().map(String::as_str);
        gates.filter(|gate| {
            [Party::A, Party::B]
                .into_iter()
                .any(|by| self.notices(gate, by).next().is_some())
        })
    }

    /// A side's notices of a gate, oldest first.
    #[must_use]
    pub fn notices(&self, gate: &str, by: Party) -> impl DoubleEndedIterator<Item = &GateState> {
        let notices = self
            .gates
            .get(gate)
            .map_or(&[][..], |sides| &sides[by.slot()]);
        notices
            .iter()
            .filter(move |notice| self.is_up(by, &notice.posted))
    }

    /// The notice of a side in force for a gate at an instant: the latest that has begun and not
    /// ended.
    #[must_use]
    pub fn gate_at(&self, gate: &str, by: Party, now: Millis) -> Option<&GateState> {
        let in_force =
            |notice: &&GateState| notice.from <= now && notice.until.is_none_or(|end| now < end);
        self.notices(gate, by).rev().find(in_force)
    }

    /// All of it, to be compared between sides.
    #[must_use]
    pub fn view(&self) -> BoardsView {
        let of_sides = |of: &dyn Fn(Party) -> Vec<Posted>| [of(Party::A), of(Party::B)];
        let gates = self.gates().map(|gate| {
            let notices = |by| self.notices(gate, by).cloned().collect();
            (gate.to_owned(), [notices(Party::A), notices(Party::B)])
        });
        BoardsView {
            calendars: of_sides(&|by| self.all_calendars(by)),
            rosters: of_sides(&|by| self.rosters(by)),
            gates: gates.collect(),
        }
    }
}

/// The boards as both sides see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoardsView {
    /// Of A and of B.
    pub calendars: [Vec<Posted>; 2],
    /// Of A and of B.
    pub rosters: [Vec<Posted>; 2],
    /// Of A and of B, by gate.
    pub gates: BTreeMap<String, [Vec<GateState>; 2]>,
}
