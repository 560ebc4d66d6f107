//! A process ends at every point of a conversation: each alone, and each with each.
//!
//! What the points are is in [`Point`]; among them are all between *submitted* and *shown as
//! delivered*. `LIAISON_CRASH_PAIRS=1` tries every pair: over both nodes, and twice on one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use liaison::model::MessageId;
use liaison::proto::v1;
use liaison::proto::v1::body::Body;

use super::faults::Special;
use super::life::{Kind, Point, What};
use super::world::{Figures, Noticed, Order, World};
use crate::sides::{Side, flash, letter};

/// Of all pairs, one in so many is tried on every change.
const PAIRS_STEP: usize = 541;

/// What one node says, with ids, so that it may be said again.
fn drafts(to: &Side) -> Vec<Arc<v1::Draft>> {
    let draft = |number: u8| {
        let mut draft = match number {
            2 | 4 => flash(to, usize::from(number)),
            _ => letter(to, usize::from(number)),
        };
        if number == 3
            && let Some(Body::OfficialLetter(letter)) = &mut draft.body.as_mut().unwrap().body
        {
            // Its body lies in a file.
            let texts = &mut letter.text.as_mut().unwrap().texts;
            texts.insert("vi".to_owned(), "dài ".repeat(3_000));
        }
        let random = [number + 1, to.seed, 0, 0, 0, 0, 0, 0, 0, 0];
        draft.id = MessageId::from_parts(1_795_000_000_000, random).to_string();
        Arc::new(draft)
    };
    (0..6).map(draft).collect()
}

/// The conversation. Returns the points that the first process of each node passed.
async fn converse(orders: Vec<Order>) -> Result<([Vec<Point>; 2], Figures), Noticed> {
    let mut world = World::new(0);
    world.special = Special::None;
    world.orders = Some(orders);
    let said = [
        drafts(&world.machines[1].side),
        drafts(&world.machines[0].side),
    ];
    let mut lives = [None, None];
    for (turn, parts) in [0..3, 3..5, 5..6, 6..6].into_iter().enumerate() {
        for who in [0, 1] {
            world.start(who).await?;
            let life = world.machines[who].life.clone();
            lives[who].get_or_insert(life);
        }
        if turn != 1 {
            world.connect(true);
        }
        // Those that are urgent and come while nobody listens are said ahead of their turn.
        for part in parts {
            for who in [0, 1] {
                if turn > 0 && world.machines[who].process.is_none() {
                    world.start(who).await?;
                }
                world.submit(who, Arc::clone(&said[who][part])).await;
            }
        }
        if turn == 1 {
            world.connect(true);
        }
        // A heartbeat or two.
        let ms = if turn == 2 { 61_000 } else { 100 };
        world.nap(ms).await;
        world.nap(100).await;
    }
    // Who was down when something was said is told now.
    for (who, said) in said.iter().enumerate() {
        for draft in said {
            world.start(who).await?;
            world.submit(who, Arc::clone(draft)).await;
        }
    }
    let passed = lives.map(|life| life.unwrap().passed());
    world.calm().await?;
    for who in [0, 1] {
        world.kill(who, true).await;
    }
    world.calm().await?;
    world.check(true);
    for machine in &world.machines {
        assert_eq!(machine.told.len(), 6, "{:?}", machine.unanswered);
    }
    world.hang_up().await;
    Ok((passed, world.figures))
}

fn run(orders: &[Order]) -> ([Vec<Point>; 2], Figures) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let outcome = runtime.block_on(converse(orders.to_vec()));
    outcome.unwrap_or_else(|Noticed::Open(error)| panic!("{orders:?}: {error}"))
}

/// Tries orders on every core; returns how many of the ends were reached, and where.
fn run_all(all: &[Vec<Order>]) -> Figures {
    let next = AtomicUsize::new(0);
    let figures = Mutex::new(Figures::default());
    let work = || {
        while let Some(orders) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let judged = std::panic::catch_unwind(|| run(orders));
            let Ok((_, of_this)) = judged else {
                panic!("at {orders:?}");
            };
            figures.lock().unwrap().add(&of_this);
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    figures.into_inner().unwrap()
}

/// Where a process may end that only talks.
fn points_of_the_path() -> BTreeSet<Point> {
    use Point::{
        CommitAfter, CommitBefore, MarkAfter, MarkBefore, MarkTorn, Received, Sending, Sent,
        Submitted, Told,
    };
    let mut points = BTreeSet::from([Submitted, Told, MarkBefore, MarkTorn, MarkAfter]);
    for what in [
        What::Own,
        What::Mirror,
        What::Receipt,
        What::Cosigned,
        What::Express,
    ] {
        points.extend([CommitBefore(what), CommitAfter(what)]);
    }
    for kind in [
        Kind::Hello,
        Kind::Push,
        Kind::Cosigned,
        Kind::Express,
        Kind::Heartbeat,
    ] {
        points.extend([Sending(kind), Sent(kind), Received(kind)]);
    }
    points
}

#[test]
fn a_process_may_end_at_every_point_alone_and_in_pairs() {
    let began = Instant::now();
    let (passed, _) = run(&[]);
    let reached: BTreeSet<_> = passed.iter().flatten().copied().collect();
    let missing: Vec<_> = points_of_the_path().difference(&reached).copied().collect();
    assert!(
        missing.is_empty(),
        "the conversation does not pass {missing:?}"
    );

    let counts = passed.map(|points| points.len() as u64);
    let at = |who: usize, point: u64, power_lost: bool| Order {
        who,
        point,
        power_lost,
    };
    let mut single = Vec::new();
    for who in [0, 1] {
        for point in 0..counts[who] {
            single.extend([false, true].map(|power_lost| vec![at(who, point, power_lost)]));
        }
    }
    let mut pairs = Vec::new();
    for (first, second) in [(0, 1), (0, 0), (1, 1)] {
        for x in 0..counts[first] {
            for y in 0..counts[second] {
                // Both ways of falling in turn: four combinations in each square of four pairs.
                pairs.push(vec![at(first, x, x % 2 == 0), at(second, y, y % 2 == 0)]);
            }
        }
    }
    let all = pairs.len();
    if std::env::var_os("LIAISON_CRASH_PAIRS").is_none() {
        pairs = pairs.into_iter().step_by(PAIRS_STEP).collect();
    }
    let mut figures = run_all(&single);
    let ends = figures.ends.0.values().sum::<u64>();
    assert_eq!(ends, single.len() as u64, "an order was not carried out");
    figures.add(&run_all(&pairs));
    println!(
        "{} single ends and {} of {all} pairs, at {} kinds of points, in {:.1} s: {}",
        single.len(),
        pairs.len(),
        reached.len(),
        began.elapsed().as_secs_f32(),
        figures.line()
    );
}
