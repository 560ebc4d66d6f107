//! Three days without the other side: everything queues, deadlines go on, and when the network is
//! whole again the urgent ones come first and the rest in order.
//!
//! `LIAISON_PARTITION_MESSAGES=100000` runs the long form.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use liaison::crypto::checkpoint::Checkpoint;
use liaison::crypto::note::Note;
use liaison::exchange::Exchange;
use liaison::exchange::clock::{Clock as _, timestamp_of_ms};
use liaison::limits::{SILENCE_TIME_MAX, WINDOW_BYTES_MAX, WINDOW_ENTRIES_MAX};
use liaison::model::MessageId;
use liaison::proto::v1::body::Body;
use liaison::proto::v1::{self, Frame, WatchEvent, frame};
use tokio_util::sync::CancellationToken;

use super::faults::Special;
use super::from_environment;
use super::notary::Who;
use super::world::World;
use crate::sides::{flash, letter, link_of, quiet, up};

const HOUR_MS: u64 = 3_600_000;
const PARTED_MS: u64 = 72 * HOUR_MS;
/// Messages of the short form.
const MESSAGES: u64 = 2_000;
/// Of so many two are FLASH, one of each side.
const FLASH: u64 = 100;
/// One in so many is said by the other side.
const BACK: u64 = 5;

fn draft(world: &World, from: Who, number: u64, is_flash: bool) -> v1::Draft {
    let machine = &world.machines[from];
    let recipient = &world.machines[1 - from].side;
    let at = usize::try_from(number).unwrap();
    let mut draft = if is_flash {
        flash(recipient, at)
    } else {
        letter(recipient, at)
    };
    let mut random = [machine.side.seed; 10];
    random[..8].copy_from_slice(&number.to_be_bytes());
    draft.id = MessageId::from_parts(machine.clock.unix_ms(), random).to_string();
    draft
}

/// A letter that asks for an answer a day from now.
fn asking(world: &World, from: Who, number: u64) -> v1::Draft {
    let mut draft = draft(world, from, number, false);
    let at = world.machines[from].clock.unix_ms() + 24 * HOUR_MS;
    if let Some(Body::OfficialLetter(letter)) = &mut draft.body.as_mut().unwrap().body {
        letter.reply_by = Some(timestamp_of_ms(at));
        let common = letter.common.as_mut().unwrap();
        common.not_applicable.retain(|field| field != "replyBy");
    }
    draft
}

/// What a node has told so far: how often that something is overdue.
async fn overdue(exchange: &Arc<Exchange>) -> usize {
    let mut watcher = exchange.watch("", true).unwrap();
    let mut told = 0;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(1), watcher.next()).await
    {
        let event = event.unwrap();
        told += usize::from(event.what == WatchEvent::Overdue);
        if event.what == WatchEvent::CaughtUp {
            break;
        }
    }
    told
}

/// The size that a note speaks of.
fn size_of(note: &str) -> u64 {
    let note = Note::parse(note).unwrap();
    Checkpoint::parse(note.text()).unwrap().size
}

/// The most that was pushed by one side and not yet cosigned, in entries and bytes, as it arrived.
fn most_in_flight(heard: &[(Who, Frame)], speaker: Who) -> (u64, usize) {
    let (mut cosigned, mut end) = (0, 0);
    let mut pushes: VecDeque<(u64, usize)> = VecDeque::new();
    let (mut entries_most, mut bytes_most) = (0, 0);
    for (who, frame) in heard {
        match frame.frame.as_ref().unwrap() {
            frame::Frame::Push(push) if *who == speaker => {
                if pushes.is_empty() {
                    cosigned = cosigned.max(push.start_index);
                }
                end = push.start_index + push.items.len() as u64;
                let bytes = |item: &v1::Item| item.entry.len() + item.salt.len() + item.body.len();
                pushes.push_back((end, push.items.iter().map(bytes).sum()));
            }
            frame::Frame::Cosigned(note) if *who != speaker => {
                cosigned = cosigned.max(size_of(&note.checkpoint));
                pushes.retain(|(end, _)| *end > cosigned);
            }
            _ => {}
        }
        entries_most = entries_most.max(end.saturating_sub(cosigned));
        bytes_most = bytes_most.max(pushes.iter().map(|(_, bytes)| bytes).sum());
    }
    (entries_most, bytes_most)
}

#[test]
fn seventy_two_hours_of_partition_drain_in_order_urgent_ones_first() {
    let messages = from_environment("LIAISON_PARTITION_MESSAGES", MESSAGES);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    println!("{}", runtime.block_on(part(messages)));
}

async fn part(messages: u64) -> String {
    let began = Instant::now();
    let mut world = World::new(72);
    world.special = Special::None;
    world.orders = Some(Vec::new());
    for who in [0, 1] {
        assert!(world.start(who).await.is_ok());
    }
    let nodes = [0, 1].map(|who| Arc::clone(world.machines[who].process.as_ref().unwrap()));
    let stop = CancellationToken::new();
    let keepers = nodes
        .each_ref()
        .map(|node| tokio::spawn(Arc::clone(node).keep_deadlines(stop.clone())));
    world.connect(true);
    up(&nodes[0], &nodes[1]).await;
    let first = asking(&world, 0, 0);
    world.submit(0, Arc::new(first)).await;
    quiet(&nodes[0], &nodes[1]).await;
    assert_eq!(overdue(&nodes[1]).await, 0);

    // Nothing arrives any more, and nobody says so.
    drop(world.net.tap());
    for who in [0, 1] {
        world.net.set_blocked(who, true);
    }
    let silence = u64::try_from(SILENCE_TIME_MAX.as_millis()).unwrap();
    world.nap(2 * silence).await;
    for node in &nodes {
        let presence = link_of(node).presence();
        assert!(!presence.up, "a session that hears nothing for so long");
    }
    let mut flashes = [0, 0];
    let step_ms = (PARTED_MS - 2 * silence) / messages;
    for number in 1..=messages {
        let from = usize::from(number % BACK == 0);
        // Of both sides some.
        let is_flash = [50, 51].contains(&(number % FLASH));
        flashes[from] += u64::from(is_flash);
        let draft = draft(&world, from, number, is_flash);
        world.submit(from, Arc::new(draft)).await;
        world.nap(step_ms).await;
    }
    assert!(world.net.tap().is_empty(), "it came through");
    assert!(flashes[0] > 0 && flashes[1] > 0);
    // The deadline fell, here and there, while nobody could be told by the other side.
    for node in &nodes {
        assert_eq!(overdue(node).await, 1);
    }

    for who in [0, 1] {
        world.net.set_blocked(who, false);
    }
    world.connect(true);
    up(&nodes[0], &nodes[1]).await;
    quiet(&nodes[0], &nodes[1]).await;
    let heard = world.net.tap();
    let drained = began.elapsed();

    let mut most = (0, 0);
    for who in [0, 1] {
        let of_kind = |wanted: fn(&frame::Frame) -> bool| {
            heard
                .iter()
                .enumerate()
                .filter(move |(_, (speaker, frame))| {
                    *speaker == who && wanted(frame.frame.as_ref().unwrap())
                })
                .map(|(at, _)| at)
                .collect::<Vec<_>>()
        };
        let ahead = of_kind(|frame| matches!(frame, frame::Frame::Express(_)));
        let pushes = of_kind(|frame| matches!(frame, frame::Frame::Push(_)));
        assert_eq!(
            ahead.len() as u64,
            flashes[who],
            "each FLASH comes ahead once"
        );
        assert!(ahead.last() < pushes.first(), "a FLASH came after a letter");
        // Late as it is: a checkpoint dated after the deadline is there at once.
        let beats = of_kind(|frame| matches!(frame, frame::Frame::Heartbeat(_)));
        assert!(!beats.is_empty(), "no dated checkpoint after the deadline");
        let (entries, bytes) = most_in_flight(&heard, who);
        assert!(entries <= WINDOW_ENTRIES_MAX, "{entries} entries at once");
        assert!(bytes <= WINDOW_BYTES_MAX, "{bytes} bytes at once");
        most = (most.0.max(entries), most.1.max(bytes));
    }
    let links = nodes.each_ref().map(|node| link_of(node).head());
    assert_eq!(links[0].own_size + links[1].own_size, messages + 1);
    for head in &links {
        assert_eq!(head.own_size, head.delivered_size);
    }
    world.check(true);
    stop.cancel();
    for keeper in keepers {
        keeper.await.unwrap();
    }
    drop(nodes);
    world.hang_up().await;
    for who in [0, 1] {
        world.kill(who, true).await;
    }
    assert!(world.calm().await.is_ok());
    format!(
        "72 h parted, {messages} queued and drained in {:.1} s, {} FLASH ahead of the others, at \
         most {} entries and {} KiB under way",
        drained.as_secs_f32(),
        flashes[0] + flashes[1],
        most.0,
        most.1 >> 10
    )
}
