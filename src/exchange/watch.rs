//! Telling what happens, from a cursor on, so that a program that reconnects misses nothing.
//!
//! A cursor says how far each link's logs were told; it lives with the caller, not here. An event
//! is told at least once: an expressed message may be told again after a reconnect.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use prost::encoding::{decode_varint, encode_varint};
use serde::Deserialize;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{StreamExt as _, StreamMap};

use super::book::Head;
use super::clock::timestamp_of_ms;
use super::hold::Hold;
use super::layout::{LogSide, Place};
use super::read::{ReadError, Stored};
use super::remind::{Reached, Stage};
use super::view::Detail;
use super::{Exchange, Link};
use crate::proto::v1::{self, WatchEvent};
use crate::tlog::{Hash, leaf_hash};

/// Events read at once from one log.
const EVENTS_AT_ONCE: usize = 64;
/// Events that wait to be told before the next link is looked at: records of at most 8 KiB each.
const READY_EVENTS_MAX: usize = 256;

/// Something that happened.
#[derive(Debug)]
pub struct Event {
    /// What.
    pub what: WatchEvent,
    /// To which message; none for `CAUGHT_UP`.
    pub message: Option<v1::Message>,
    /// What is owed for it, where that is what the event is about.
    pub reached: Option<Reached>,
    /// The link that is held or released, where that is what the event is about.
    pub link: Option<v1::LinkAlarm>,
    /// Go on from here.
    pub cursor: String,
}

/// The cursor given is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cursor: it is not one that Watch gave; leave it empty to start from now")]
pub struct CursorError;

/// How far one link was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Told {
    link: u16,
    own: u64,
    delivered: u64,
    mirror: u64,
    /// Stages that what is owed has reached.
    #[serde(default)]
    stages: u64,
}

/// A link as one subscription follows it.
#[derive(Debug)]
struct Followed {
    link: Arc<Link>,
    /// Says whether anything of the link has changed since it was last looked at.
    changes: watch::Receiver<Head>,
    told: Told,
    /// Expressed entries told ahead of their turn, by index, each with its leaf: after a hold is released
    /// another one may come there.
    already: BTreeMap<u64, Hash>,
    /// [`Head::expressed_count`] when it was last seen, and when they were last looked at.
    expressed_seen: u64,
    expressed_told: Option<u64>,
    /// What was told to hold the link.
    alarm: Option<Alarm>,
}

/// What holds a link, and which side does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Alarm {
    what: WatchEvent,
    hold: Arc<Hold>,
}

impl Alarm {
    fn of(head: &Head) -> Option<Self> {
        let held = |what, hold: &Option<Arc<Hold>>| {
            let hold = hold.clone()?;
            Some(Self { what, hold })
        };
        held(WatchEvent::LinkHeld, &head.held)
            .or_else(|| held(WatchEvent::LinkHeldByPeer, &head.peer_hold))
    }
}

/// A subscription.
#[derive(Debug)]
pub struct Watcher {
    exchange: Arc<Exchange>,
    links: Vec<Followed>,
    heads: StreamMap<usize, WatchStream<Head>>,
    ready: VecDeque<Ready>,
    /// Told before what is ready: what came ahead of its turn.
    ahead: VecDeque<Ahead>,
    /// Told before all else: one for each link at most.
    alarms: VecDeque<Event>,
    /// Cursor of what was told last.
    told_up_to: String,
    /// The link to look at first: none waits behind a busy one.
    turn: usize,
    /// The link of which something came ahead of its turn last.
    looked_at: usize,
    caught_up: bool,
    /// How much of each message is told.
    detail: Detail,
    /// Events of messages that are told; all of them if there is none.
    only: Vec<WatchEvent>,
}

/// An entry that came ahead of its turn, which is read when it is told.
#[derive(Debug)]
struct Ahead {
    /// Which link.
    at: usize,
    index: u64,
    leaf: Hash,
}

/// An event whose message is put together only when it is told: bodies are large.
#[derive(Debug)]
struct Ready {
    what: WatchEvent,
    link: Arc<Link>,
    side: LogSide,
    stored: Stored,
    reached: Option<Reached>,
    cursor: String,
}

impl Exchange {
    /// Follows what happens from a cursor on; without one from now on, or from the start.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn watch(self: &Arc<Self>, cursor: &str, from_start: bool) -> Result<Watcher, CursorError> {
        let told = match cursor {
            "" => None,
            text => Some(read_cursor(text).ok_or(CursorError)?),
        };
        let mut links = Vec::new();
        let mut heads = StreamMap::new();
        for (key, link) in self.links().enumerate() {
            let receiver = link.watch_head();
            let head = receiver.borrow().clone();
            let number = link.number.0;
            let zero = Told {
                link: number,
                own: 0,
                delivered: 0,
                mirror: 0,
                stages: 0,
            };
            let mut already = BTreeMap::new();
            let from = match &told {
                // A link that is new since the cursor is told from its start.
                Some(told) => told
                    .iter()
                    .find(|t| t.link == number)
                    .copied()
                    .unwrap_or(zero),
                None if from_start => zero,
                None => {
                    let reader = self.reader(link, LogSide::Mirror);
                    let expressed = reader.all_expressed().unwrap_or_default();
                    already.extend(expressed.iter().map(told_leaf));
                    Told {
                        link: number,
                        own: head.own_size,
                        delivered: head.delivered_size,
                        mirror: head.mirror_size,
                        stages: head.stages_count,
                    }
                }
            };
            links.push(Followed {
                link: Arc::clone(link),
                changes: receiver.clone(),
                told: from,
                already,
                expressed_seen: 0,
                expressed_told: None,
                alarm: None,
            });
            heads.insert(key, WatchStream::from_changes(receiver));
        }
        let mut watcher = Watcher {
            exchange: Arc::clone(self),
            links,
            heads,
            ready: VecDeque::new(),
            ahead: VecDeque::new(),
            alarms: VecDeque::new(),
            told_up_to: String::new(),
            turn: 0,
            looked_at: 0,
            caught_up: false,
            detail: Detail::Full,
            only: Vec::new(),
        };
        watcher.told_up_to = watcher.cursor();
        Ok(watcher)
    }
}

impl Watcher {
    /// The same subscription, telling of messages without bodies, files and dates of receipts.
    #[must_use]
    pub fn in_outline(mut self) -> Self {
        self.detail = Detail::Line;
        self
    }

    /// The same subscription, telling of messages only when one of these happens to them. What concerns a
    /// whole link is told all the same, and that all there is has been told.
    #[must_use]
    pub fn only(mut self, events: Vec<WatchEvent>) -> Self {
        self.only = events;
        self
    }

    fn tells(&self, what: WatchEvent) -> bool {
        self.only.is_empty() || self.only.contains(&what)
    }

    /// The next event; waits for it. `None` when the node is going down.
    ///
    /// # Errors
    /// When a message cannot be read.
    pub async fn next(&mut self) -> Option<Result<Event, ReadError>> {
        loop {
            for turn in 1..=self.links.len() {
                let at = (self.looked_at + turn) % self.links.len();
                if let Err(error) = self.look_ahead(at) {
                    return Some(Err(error));
                }
            }
            if let Some(alarm) = self.alarms.pop_front() {
                return Some(Ok(alarm));
            }
            if let Some(ahead) = self.ahead.pop_front() {
                if let Some(told) = self.told_ahead(&ahead).transpose() {
                    return Some(told);
                }
                // Should it come again, it was not told.
                self.links[ahead.at].already.remove(&ahead.index);
                continue;
            }
            if let Some(ready) = self.ready.pop_front() {
                self.told_up_to.clone_from(&ready.cursor);
                return Some(self.told(ready));
            }
            let mut moved = false;
            for _ in 0..self.links.len() {
                self.turn = (self.turn + 1) % self.links.len();
                match self.gather(self.turn) {
                    Ok(read) => moved |= read,
                    Err(error) => return Some(Err(error)),
                }
                if self.ready.len() >= READY_EVENTS_MAX {
                    break;
                }
            }
            // Entries may have been read and none of them told: there may be more.
            if moved {
                continue;
            }
            // Nothing is ready: all that was passed over lies behind.
            self.told_up_to = self.cursor();
            if !self.caught_up {
                self.caught_up = true;
                return Some(Ok(Event {
                    what: WatchEvent::CaughtUp,
                    message: None,
                    reached: None,
                    link: None,
                    cursor: self.cursor(),
                }));
            }
            self.heads.next().await?;
        }
    }

    /// Looks for what goes before everything that is ready to be told, when anything of a link has changed:
    /// whether it is held, and what came ahead of its turn.
    fn look_ahead(&mut self, at: usize) -> Result<(), ReadError> {
        let followed = &mut self.links[at];
        let is_new = followed.expressed_told.is_none();
        if is_new || followed.changes.has_changed().unwrap_or(false) {
            let head = followed.changes.borrow_and_update();
            let alarm = Alarm::of(&head);
            followed.expressed_seen = head.expressed_count;
            drop(head);
            self.look_at_alarm(at, alarm);
        }
        // All that came meanwhile is looked at together.
        let followed = &self.links[at];
        let unseen = followed.expressed_told != Some(followed.expressed_seen);
        if unseen && self.ahead.is_empty() {
            self.look_at_expressed(at)?;
        }
        Ok(())
    }

    /// Tells what came ahead of its turn and was not told: it is urgent. It does not move the cursor.
    fn look_at_expressed(&mut self, at: usize) -> Result<(), ReadError> {
        let tells = self.tells(WatchEvent::Received);
        let followed = &mut self.links[at];
        followed.expressed_told = Some(followed.expressed_seen);
        if !tells {
            return Ok(());
        }
        let reader = self.exchange.reader(&followed.link, LogSide::Mirror);
        for stored in reader.all_expressed()? {
            let (index, leaf) = told_leaf(&stored);
            if index >= followed.told.mirror && followed.already.insert(index, leaf) != Some(leaf) {
                self.looked_at = at;
                self.ahead.push_back(Ahead { at, index, leaf });
            }
        }
        Ok(())
    }

    /// Nothing of one that is gone: forgotten when its link was released, or refused in its turn.
    fn told_ahead(&self, ahead: &Ahead) -> Result<Option<Event>, ReadError> {
        let link = Arc::clone(&self.links[ahead.at].link);
        let found = self
            .exchange
            .stored_at(&link, Place::Expressed(ahead.index));
        let (side, stored) = match found {
            Ok(found) => found,
            Err(ReadError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if stored.record.refused || leaf_hash(&stored.entry) != ahead.leaf {
            return Ok(None);
        }
        let told = self.told(Ready {
            what: WatchEvent::Received,
            link,
            side,
            stored,
            reached: None,
            cursor: self.told_up_to.clone(),
        });
        told.map(Some)
    }

    /// Tells whether a link is held, when that has changed since it was told.
    fn look_at_alarm(&mut self, at: usize, alarm: Option<Alarm>) {
        let followed = &self.links[at];
        if alarm == followed.alarm {
            return;
        }
        let now_ms = self.exchange.clock().unix_ms();
        let (what, text, at_ms) = match &alarm {
            None => (WatchEvent::LinkReleased, String::new(), now_ms),
            Some(Alarm { what, hold }) => {
                let text = format!("{}: {}", hold.code_name(), hold.text);
                (*what, text, hold.at_ms)
            }
        };
        let link = v1::LinkAlarm {
            peer: followed.link.peer.to_string(),
            text: crate::model::text::escape(&text).into_owned(),
            at: Some(timestamp_of_ms(at_ms)),
        };
        self.links[at].alarm = alarm;
        let cursor = self.told_up_to.clone();
        self.alarms.push_back(Event {
            what,
            message: None,
            reached: None,
            link: Some(link),
            cursor,
        });
    }

    /// Reads what one link has beyond what was told; says whether there was anything.
    fn gather(&mut self, at: usize) -> Result<bool, ReadError> {
        let mut moved = false;
        let link = Arc::clone(&self.links[at].link);
        let mut told = self.links[at].told;
        let head = link.head();
        let own = self.exchange.reader(&link, LogSide::Own);
        let mirror = self.exchange.reader(&link, LogSide::Mirror);

        if !self.tells(WatchEvent::Received) {
            told.mirror = told.mirror.max(head.mirror_size);
            self.links[at].told = told;
        }
        for stored in mirror.entries(told.mirror, head.mirror_size, EVENTS_AT_ONCE)? {
            moved = true;
            told.mirror = stored.index + 1;
            self.links[at].told = told;
            let already = self.links[at].already.remove(&stored.index);
            let is_told = already.is_some_and(|leaf| leaf == leaf_hash(&stored.entry));
            if !stored.record.refused && !is_told {
                self.tell(&link, WatchEvent::Received, LogSide::Mirror, stored);
            }
        }
        if !self.tells(WatchEvent::Recorded) {
            told.own = told.own.max(head.own_size);
            self.links[at].told = told;
        }
        for stored in own.entries(told.own, head.own_size, EVENTS_AT_ONCE)? {
            moved = true;
            told.own = stored.index + 1;
            self.links[at].told = told;
            self.tell(&link, WatchEvent::Recorded, LogSide::Own, stored);
        }
        let delivered = head.delivered_size.min(told.own);
        if !self.tells(WatchEvent::Delivered) {
            told.delivered = told.delivered.max(delivered);
            self.links[at].told = told;
        }
        for stored in own.entries(told.delivered, delivered, EVENTS_AT_ONCE)? {
            moved = true;
            told.delivered = stored.index + 1;
            self.links[at].told = told;
            self.tell(&link, WatchEvent::Delivered, LogSide::Own, stored);
        }
        // Last: the message that something is owed for was told before.
        let reached = self
            .exchange
            .stages_from(&link, told.stages, EVENTS_AT_ONCE)?;
        for (sequence, reached) in reached {
            moved = true;
            told.stages = sequence + 1;
            self.links[at].told = told;
            let (what, side) = (event_of(reached.stage), side_of(&reached));
            if !self.tells(what) {
                continue;
            }
            let stored = match side {
                LogSide::Own => own.entry(reached.index)?,
                LogSide::Mirror => mirror.entry(reached.index)?,
            };
            self.tell(&link, what, side, stored);
            if let Some(ready) = self.ready.back_mut() {
                ready.reached = Some(reached);
            }
        }
        Ok(moved)
    }

    fn tell(&mut self, link: &Arc<Link>, what: WatchEvent, side: LogSide, stored: Stored) {
        let cursor = self.cursor();
        self.ready.push_back(Ready {
            what,
            link: Arc::clone(link),
            side,
            stored,
            reached: None,
            cursor,
        });
    }

    fn told(&self, ready: Ready) -> Result<Event, ReadError> {
        let Ready {
            what,
            link,
            side,
            stored,
            reached,
            cursor,
        } = ready;
        let message = self
            .exchange
            .message_of(&link, side, &stored, self.detail)?;
        Ok(Event {
            what,
            message: Some(message),
            reached,
            link: None,
            cursor,
        })
    }

    fn cursor(&self) -> String {
        cursor_of(self.links.iter().map(|followed| followed.told))
    }
}

/// First byte of a cursor: numbers of variable length follow, five for each link. One goes with every
/// event and names every link, so it is short.
const CURSOR_VERSION: u8 = 2;

fn cursor_of(told: impl Iterator<Item = Told>) -> String {
    let mut bytes = vec![CURSOR_VERSION];
    for told in told {
        for number in [
            u64::from(told.link),
            told.own,
            told.delivered,
            told.mirror,
            told.stages,
        ] {
            encode_varint(number, &mut bytes);
        }
    }
    hex::encode(bytes)
}

fn read_cursor(text: &str) -> Option<Vec<Told>> {
    let bytes = hex::decode(text).ok()?;
    if bytes.first() == Some(&b'[') {
        // As it was written before: a program may come back with one that it has kept.
        return serde_json::from_slice(&bytes).ok();
    }
    let mut rest = bytes.strip_prefix(&[CURSOR_VERSION])?;
    let mut told = Vec::new();
    while !rest.is_empty() {
        let mut number = || decode_varint(&mut rest).ok();
        told.push(Told {
            link: u16::try_from(number()?).ok()?,
            own: number()?,
            delivered: number()?,
            mirror: number()?,
            stages: number()?,
        });
    }
    Some(told)
}

fn told_leaf(stored: &Stored) -> (u64, Hash) {
    (stored.index, leaf_hash(&stored.entry))
}

fn event_of(stage: Stage) -> WatchEvent {
    match stage {
        Stage::Reminder => WatchEvent::Reminded,
        Stage::Overdue => WatchEvent::Overdue,
        Stage::Escalation => WatchEvent::Escalated,
    }
}

fn side_of(reached: &Reached) -> LogSide {
    if reached.is_own_message {
        LogSide::Own
    } else {
        LogSide::Mirror
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_given() {
        let told = |link, own| Told {
            link,
            own,
            delivered: own / 2,
            mirror: u64::MAX,
            stages: 3,
        };
        let all = [told(1, 300), told(u16::MAX, 0)];
        let text = cursor_of(all.into_iter());
        assert_eq!(read_cursor(&text), Some(all.to_vec()));
        for cut in 1..=4 {
            assert_eq!(read_cursor(&text[..text.len() - cut]), None, "{cut}");
        }
        assert_eq!(read_cursor("03"), None);
        // A link number that none has, and a number over 64 bits.
        assert_eq!(read_cursor("02808004000000"), None);
        assert_eq!(read_cursor(&format!("02{}02", "ff".repeat(9))), None);
    }

    /// What earlier versions gave.
    #[test]
    fn a_cursor_of_before_is_read() {
        let text = hex::encode(r#"[{"link":1,"own":7,"delivered":5,"mirror":9}]"#);
        let told = Told {
            link: 1,
            own: 7,
            delivered: 5,
            mirror: 9,
            stages: 0,
        };
        assert_eq!(read_cursor(&text), Some(vec![told]));
    }
}
