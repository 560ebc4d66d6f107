//! What is owed, as it is kept: whatever was written, lost and derived again, the agenda says what the
//! cases themselves say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use liaison::exchange::Exchange;
use liaison::exchange::clock::timestamp_of_ms;
use liaison::exchange::due::{Due, Dues, Overdue};
use liaison::exchange::remind::{self, Stage};
use liaison::model::sample;
use liaison::model::workflow::Millis;
use liaison::proto::v1;
use liaison::proto::v1::body::Body;

use crate::sides::{Side, flash, join, letter, link_of, quiet, sides, submit};

const HOUR: u64 = 3_600_000;

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

/// A letter that asks for a reply some hours from now, or for none.
fn asking(from: &Side, to: &Side, number: usize, dice: &mut Dice) -> v1::Draft {
    use liaison::exchange::clock::Clock as _;
    let mut draft = letter(to, number);
    if dice.below(4) == 0 {
        return draft;
    }
    let at = timestamp_of_ms(from.clock.unix_ms() + (1 + dice.below(60)) * HOUR);
    if dice.below(3) == 0 {
        draft.acknowledge_by = Some(at);
        return draft;
    }
    let Some(Body::OfficialLetter(letter)) = &mut draft.body.as_mut().unwrap().body else {
        unreachable!()
    };
    letter.reply_by = Some(at);
    let common = letter.common.as_mut().unwrap();
    common.not_applicable.retain(|field| field != "replyBy");
    draft
}

fn answer(to: &Side, id: &str, dice: &mut Dice) -> v1::Draft {
    let name = if dice.below(2) == 0 {
        "acknowledgement"
    } else {
        "official-letter"
    };
    let mut draft = sample::find(name).unwrap().draft().unwrap();
    draft.id.clear();
    draft.recipient = to.name.to_string();
    draft.thread_id.clear();
    draft.supersedes.clear();
    id.clone_into(&mut draft.in_reply_to);
    if name == "official-letter" {
        draft.body = letter(to, 7).body;
        draft.precedence = 0;
        draft.acknowledge_by = None;
        draft.respond_by = None;
    }
    draft
}

/// What the agenda says, against what follows from each case by itself.
fn compared(exchange: &Exchange) -> Vec<Due> {
    let link = link_of(exchange);
    let now = exchange.now();
    let agrees = |dues: &mut Dues<'_>| {
        let all = dues.all().unwrap();
        let mut overdue = Overdue::default();
        let mut falls: Vec<(Millis, Stage)> = Vec::new();
        for due in &all {
            if due.is_overdue(now) {
                *match (due.is_actual(), due.duty.owed_by == link.party()) {
                    (false, _) => &mut overdue.exercises,
                    (true, true) => &mut overdue.own,
                    (true, false) => &mut overdue.theirs,
                } += 1;
            }
            let reached: Vec<Stage> = dues.stages_of(due).unwrap().iter().map(|s| s.0).collect();
            let open = remind::stages(due).into_iter();
            falls.extend(open.filter(|(_, stage)| !reached.contains(stage)));
        }
        assert_eq!(dues.overdue(now).unwrap(), overdue);
        let next = falls.iter().map(|(at, _)| *at).filter(|at| *at > now).min();
        assert_eq!(dues.next_after(now).unwrap(), next);
        let mut paged = Vec::new();
        let mut last = None;
        while let Some(page) = Some(dues.page(last, true).unwrap()).filter(|page| !page.is_empty())
        {
            last = page.last().map(|(case, _)| *case);
            paged.extend(page.into_iter().flat_map(|(_, dues)| dues));
        }
        let by_a_time = |dues: &[Due]| -> Vec<Due> {
            let dues = dues.iter().filter(|due| due.duty.term.is_some());
            dues.cloned().collect()
        };
        assert_eq!(by_a_time(&paged), by_a_time(&all));
        all
    };
    exchange.with_dues(&link, agrees).unwrap()
}

async fn storm(seed: u64) {
    let (a, b) = sides();
    let mut dice = Dice(seed);
    let (mut left, mut right) = (a.open(&b), b.open(&a));
    let mut asked: [Vec<String>; 2] = Default::default();
    for number in 0..60 {
        let running = (dice.below(3) > 0).then(|| join(&left, &right));
        for _ in 0..dice.below(4) {
            let slot = usize::try_from(dice.below(2)).unwrap();
            let (from, to, exchange) = [(&a, &b, &left), (&b, &a, &right)][slot];
            let others = &asked[1 - slot];
            let draft = match dice.below(5) {
                0 | 1 if !others.is_empty() => {
                    let at = dice.below(others.len() as u64);
                    answer(to, &others[usize::try_from(at).unwrap()], &mut dice)
                }
                2 => flash(to, number),
                _ => asking(from, to, number, &mut dice),
            };
            let is_answer = !draft.in_reply_to.is_empty();
            // An answer may be too late, or to what has not arrived: then it is not recorded.
            if let Ok(recorded) = submit(exchange, draft).await
                && !is_answer
            {
                asked[slot].push(recorded.id.to_string());
            }
        }
        if let Some(running) = running {
            quiet(&left, &right).await;
            drop(running.end().await);
        }
        for side in [&a, &b] {
            side.clock.advance(dice.below(20) * HOUR);
        }
        for exchange in [&left, &right] {
            let link = link_of(exchange);
            match dice.below(6) {
                0 | 1 => drop(exchange.turn(&link).await.unwrap()),
                2 | 3 => exchange.keep_folded(&link).await.unwrap(),
                4 => exchange.forget_folded(&link),
                _ => {}
            }
            compared(exchange);
        }
        if dice.below(3) == 0 {
            let before = [&left, &right].map(|exchange| compared(exchange));
            // Killed, and up again.
            drop((left, right));
            (left, right) = (a.open(&b), b.open(&a));
            assert_eq!([&left, &right].map(|exchange| compared(exchange)), before);
        }
    }
    all_alike(&left);
    all_alike(&right);
}

/// Made anew from both logs alone, it is the same.
fn all_alike(exchange: &Arc<Exchange>) {
    let before = compared(exchange);
    exchange.forget_folded(&link_of(exchange));
    assert_eq!(compared(exchange), before);
    assert!(!before.is_empty(), "nothing was owed");
}

#[tokio::test]
async fn the_agenda_says_what_the_cases_say_whatever_was_written_or_lost() {
    for seed in 1..7 {
        storm(seed).await;
    }
}
