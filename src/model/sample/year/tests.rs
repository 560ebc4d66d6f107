//! The whole year, folded without any node.

use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::model::check::check_draft;
use crate::model::check::with_defaults;
use crate::model::report::{Period, Whose};
use crate::model::workflow::Standing;

#[test]
fn everything_said_in_the_year_may_be_said() {
    for year in Year::pairs() {
        for event in &year.events {
            let faults = check_draft(&with_defaults(event.draft.clone()));
            assert_eq!(faults, Ok(()), "{:?}", event.draft);
        }
    }
}

#[test]
fn every_message_takes_its_effect() {
    for year in Year::pairs() {
        let mut fold = Fold::new(&year);
        for event in &year.events {
            fold.say(event)
                .unwrap_or_else(|refused| panic!("{refused}\n{event:?}"));
        }
        for thread in fold.book.threads() {
            for judged in &fold.book.folded(thread).unwrap().messages {
                assert_eq!(judged.standing, Standing::Applied, "{judged:?}");
            }
        }
    }
}

#[test]
fn the_year_is_the_same_each_time_and_in_order() {
    for (year, again) in Year::pairs().into_iter().zip(Year::pairs()) {
        assert_eq!(year.events, again.events);
        let ids: HashSet<&str> = year.events.iter().map(|e| e.draft.id.as_str()).collect();
        assert_eq!(ids.len(), year.events.len());
        let mut last = BEGINS_AT;
        for (place, event) in year.events.iter().enumerate() {
            assert!(event.at >= last && event.at < ENDS_AT, "{event:?}");
            last = event.at;
            for before in [event.after, event.signs].into_iter().flatten() {
                assert!(
                    before < place && year.events[before].at < event.at,
                    "{event:?}"
                );
            }
            let named = [&event.draft.in_reply_to, &event.draft.supersedes];
            assert!(
                named
                    .into_iter()
                    .all(|id| id.is_empty() || ids.contains(id.as_str()))
            );
        }
    }
}

#[test]
fn the_year_has_what_makes_it_one() {
    use v1::Kind;
    for year in Year::pairs() {
        let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
        let mut statuses = HashSet::new();
        let mut precedences = HashSet::new();
        let mut attached = 0;
        for event in &year.events {
            let draft = with_defaults(event.draft.clone());
            let content = draft.body.unwrap().body.unwrap();
            *kinds
                .entry(crate::model::body::kind_of(&content))
                .or_default() += 1;
            attached += crate::model::body::attachments(&content).len();
            statuses.insert(draft.status);
            precedences.insert(draft.precedence);
        }
        assert_eq!(statuses.len(), 2, "actual and exercise");
        assert_eq!(precedences.len(), 4);
        assert!(attached > 1);
        for kind in [
            Kind::Calendar,
            Kind::Roster,
            Kind::GateNotice,
            Kind::WorksNotice,
            Kind::MarkerReport,
            Kind::HazardNotice,
            Kind::ExerciseNotice,
            Kind::Withdrawal,
            Kind::DeadlineExtension,
            Kind::VerificationReply,
        ] {
            assert!(
                kinds.get(&kind).is_some_and(|count| *count > 1) || kind == Kind::ExerciseNotice,
                "{kind:?} {kinds:?}"
            );
        }
        assert_eq!(kinds[&Kind::Calendar], 4);
    }
}

#[test]
fn everybody_is_visibly_fictitious() {
    for year in Year::pairs() {
        for event in &year.events {
            let body = event.draft.body.as_ref().unwrap().body.as_ref().unwrap();
            let persons = match body {
                Body::HandoverRequest(request) => request.persons.clone(),
                Body::HandoverSupplement(supplement) => supplement.persons.clone(),
                _ => continue,
            };
            for name in persons.into_iter().filter_map(|person| person.name) {
                assert!(name.native.contains("MẪU") || name.native.contains("示例"));
            }
        }
    }
}

/// The figures that both pairs have published, in everything that was said in the year and in
/// nothing else.
#[test]
fn the_figures_are_those_published() {
    for year in Year::pairs() {
        let mut fold = Fold::of(&year).unwrap();
        let report = fold.report(Period {
            from: BEGINS_AT,
            to: ENDS_AT,
        });
        for published in year.published {
            let whose = match published.side {
                None => Whose::Both,
                Some(side) => Whose::Side(fold.party(side)),
            };
            let figure = report.figure(published.figure, whose).unwrap();
            assert_eq!(figure.value.known(), Some(published.value), "{published:?}");
        }
        // Nothing of the year counts before or after it, and every measure can be told.
        for from in [0, ENDS_AT] {
            let to = if from == 0 { BEGINS_AT } else { i64::MAX };
            let other = fold.report(Period { from, to });
            for figure in &other.figures {
                assert!(figure.made_of.is_empty(), "{figure:?}");
            }
        }
        let share = |name: &str, side| {
            let figure = report.figure(name, Whose::Side(fold.party(side))).unwrap();
            figure.value.known().unwrap()
        };
        for side in Side::BOTH {
            for name in [
                "verification.on-time.share",
                "acknowledgement.on-time.share",
            ] {
                let share = share(name, side);
                assert!((700..1_000).contains(&share), "{name} {side:?} {share}");
            }
            assert!(share("not-counted.exercise-and-test", side) > 0);
        }
    }
}
