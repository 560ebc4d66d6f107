//! Persons whom a side asked the other to take over, and those who were handed over.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::{Entry, Tally};
use super::{Case, Period};
use crate::model::workflow::Judged;
use crate::model::workflow::{Matter, Said};
use crate::proto::v1::{CountersignatureStance, HandoverOutcome};

pub(super) fn count(case: &Case<'_>, period: Period, tally: &mut Tally) {
    count_handed_over(case, period, tally);
    for judged in case.live() {
        if let Said::HandoverRequest(_) = judged.facts.said
            && let Some(matter) = case.opened_by(judged)
        {
            count_request(case, judged, matter, period, tally);
        }
    }
}

/// Persons handed over: those of whom the receiver has signed the giver's record.
///
/// They count when they were handed over, for the side that gave them. A case is one in which
/// somebody was handed over in the period, however many records it took.
fn count_handed_over(case: &Case<'_>, period: Period, tally: &mut Tally) {
    let mut counted_cases = BTreeSet::new();
    for judged in case.live() {
        let Said::HandoverRecord {
            persons,
            at,
            is_return: false,
        } = &judged.facts.said
        else {
            continue;
        };
        let recorded: BTreeSet<u32> = persons.iter().map(|person| person.number).collect();
        let mut confirmed: BTreeSet<u32> = BTreeSet::new();
        for answer in case.answers(judged) {
            if let Said::Countersignature {
                stance, disputed, ..
            } = &answer.facts.said
                && *stance == CountersignatureStance::Signed as i32
            {
                confirmed.extend(recorded.iter().filter(|n| !disputed.contains(n)));
            }
        }
        let count = i64::try_from(confirmed.len()).unwrap_or(i64::MAX);
        if count > 0 && period.has(*at) {
            let by = judged.by;
            tally.add(
                period,
                "handover.persons",
                by,
                Entry::of(judged, *at, count),
            );
            if counted_cases.insert(by) {
                tally.add(period, "handover.cases", by, Entry::of(judged, *at, 1));
            }
        }
    }
}

/// What became of the persons of a request, as far as the logs are counted.
fn count_request(
    case: &Case<'_>,
    judged: &Judged,
    matter: &Matter,
    period: Period,
    tally: &mut Tally,
) {
    let at = judged.facts.created_at;
    let (refused_last, persons) = (refused(case, matter), matter.persons());
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for person in &persons {
        let name = match person.state.as_str() {
            "refused" => "handover.refused",
            "closed" if refused_last.contains(&person.number) => "handover.refused",
            "requested" | "acknowledged" | "verifying" | "information asked" | "suspended" => {
                "handover.pending"
            }
            "protected" => "handover.protected",
            // Accepted, and whatever comes after.
            _ => "handover.accepted",
        };
        *counts.entry(name).or_default() += 1;
    }
    let by = judged.by;
    let all = i64::try_from(persons.len()).unwrap_or(i64::MAX);
    tally.add(period, "handover.requests", by, Entry::of(judged, at, 1));
    tally.add(period, "handover.requested", by, Entry::of(judged, at, all));
    for (name, count) in counts {
        tally.add(period, name, by, Entry::of(judged, at, count));
    }
}

/// Persons whose last decision is a refusal.
fn refused(case: &Case<'_>, matter: &Matter) -> BTreeSet<u32> {
    let mut refused = BTreeSet::new();
    for judged in case.live().filter(|judged| case.is_of(judged, matter)) {
        let Said::HandoverReply { decisions, .. } = &judged.facts.said else {
            continue;
        };
        for decision in decisions {
            if decision.outcome == HandoverOutcome::Refused as i32 {
                refused.insert(decision.number);
            } else {
                refused.remove(&decision.number);
            }
        }
    }
    refused
}
