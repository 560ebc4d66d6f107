//! The session in which records are given back. Symmetrical: both sides may have lost some.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;

use super::super::channel::{ChannelError, Incoming};
use super::super::contradiction::of_one_size;
use super::super::hold::{Evidence, Incident};
use super::super::layout::LogSide;
use super::super::noted::Cause;
use super::super::session::{Breach, End, Stop, next_frame, peer_fault, send, touch};
use super::super::{Exchange, Link, RecordError};
use super::give::side_asked;
use super::learn::Lesson;
use super::pace::{Answers, Asking};
use super::tail::proven_size;
use super::{Behind, RestoreStep};
use crate::crypto::Verified;
use crate::crypto::checkpoint::Receipt;
use crate::crypto::history::KeyHistory;
use crate::limits::SILENCE_TIME_MAX;
use crate::proto::v1::{self, FaultCode, Frame, LogOf, frame};

/// How often a process that only restores looks whether the files have come.
const FILES_LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs a session in which one side restores, or both. Nothing is pushed, signed or cosigned.
pub(crate) async fn restore_session(
    exchange: &Arc<Exchange>,
    link: &Arc<Link>,
    outgoing: &mpsc::Sender<Frame>,
    incoming: &mut Incoming,
    shown: Behind,
    theirs: bool,
) -> Stop {
    let mine = exchange.restores(link);
    tracing::info!(peer = %link.peer, mine, theirs, "a session to restore records");
    let mut talk = Talk {
        exchange,
        link,
        outgoing,
        lesson: None,
        peer_keys: link.key_history(LogSide::Mirror),
        own_changes: link.key_history(LogSide::Own).changes().len(),
        plan: VecDeque::new(),
        asked: None,
        answers: Answers::default(),
        asking: Asking::default(),
        told_done: !mine,
        they_are_done: !theirs,
    };
    if mine {
        match Lesson::of(link, Box::new(shown)) {
            Ok(lesson) => talk.lesson = Some(lesson),
            Err(shown) => {
                let own = shown.own.map(|shown| (LogSide::Own, shown));
                let mirror = shown.mirror.map(|shown| (LogSide::Mirror, shown));
                let shown = own.into_iter().chain(mirror);
                // Without a lesson, what is shown is receipts.
                talk.plan
                    .extend(shown.filter_map(|(side, shown)| Some((side, shown.receipt()?))));
            }
        }
    }
    let stop = match talk.run(incoming).await {
        Ok(()) => Stop::End(End::Restored),
        Err(stop) => stop,
    };
    if mine && let Stop::End(End::Refused(text)) = &stop {
        tell_once(exchange, link, text).await;
    }
    stop
}

/// What the peer gave back is no good: told once for each way in which it is not.
async fn tell_once(exchange: &Exchange, link: &Link, text: &str) {
    let mut news = false;
    link.presence.send_modify(|presence| {
        news = presence.restore_trouble.as_deref() != Some(text);
        presence.restore_trouble = Some(text.to_owned());
    });
    if news {
        let incident = Incident {
            at_ms: exchange.clock().unix_ms(),
            peer: link.peer.to_string(),
            what: format!(
                "records cannot be restored from the peer: {text}. Nothing of it was kept; it is \
                 tried again. Call the peer"
            ),
            evidence: Vec::new(),
        };
        exchange.note_caused(Cause::Lost, incident).await;
    }
}

fn too_much() -> Stop {
    Stop::End(End::Refused(
        "the peer asks for the same again and again, or says what needs no saying, while records are \
         restored"
            .to_owned(),
    ))
}

/// Answers in a row that do not fit until the link is held.
const FAILURES_MAX: u32 = 8;

/// One Fetch that waits for its answer. There is one at most.
#[derive(Debug, Clone)]
struct Asked {
    want: Want,
    start_index: u64,
}

/// What for.
#[derive(Debug, Clone)]
enum Want {
    /// The keys in the peer's log.
    Keys,
    /// Entries, up to a receipt.
    Entries(LogSide, Verified<Receipt>),
}

struct Talk<'a> {
    exchange: &'a Arc<Exchange>,
    link: &'a Arc<Link>,
    outgoing: &'a mpsc::Sender<Frame>,
    /// The peer's keys are to be learned before anything else.
    lesson: Option<Lesson>,
    /// By which its receipts are judged.
    peer_keys: Arc<KeyHistory>,
    /// Changes of this node's keys that were here when the Hello was judged.
    own_changes: usize,
    /// Logs to restore, and up to which receipt: the own one first.
    plan: VecDeque<(LogSide, Verified<Receipt>)>,
    asked: Option<Asked>,
    answers: Answers,
    asking: Asking,
    told_done: bool,
    they_are_done: bool,
}

impl Talk<'_> {
    async fn run(&mut self, incoming: &mut Incoming) -> Result<(), Stop> {
        loop {
            self.ask().await?;
            if self.told_done && self.they_are_done {
                return Ok(());
            }
            let next = if self.told_done || self.asked.is_some() {
                tokio::time::timeout(SILENCE_TIME_MAX, incoming.next()).await
            } else {
                // Only files are missing: the session stays while they come.
                match tokio::time::timeout(FILES_LOOK, incoming.next()).await {
                    Ok(next) => Ok(next),
                    Err(_) => continue,
                }
            };
            let Ok(next) = next else {
                let text = "the peer has said nothing for three minutes".to_owned();
                return Err(Stop::End(End::Lost(ChannelError::Broken(text))));
            };
            let frame = next_frame(next)?;
            touch(self.exchange, self.link);
            match frame {
                frame::Frame::Fetch(fetch) => self.give(&fetch).await?,
                frame::Frame::Fetched(given) => self.take(given).await?,
                frame::Frame::Fault(fault) => return Err(peer_fault(&fault)),
                // Offered before it was seen that records are restored, by a session that is over.
                frame::Frame::JournalOffer(_) | frame::Frame::JournalAnswer(_) => {
                    return Err(too_much());
                }
                // Nothing is pushed now that could be slowed.
                frame::Frame::Slowed(_) if self.asking.may_idle() => {}
                frame::Frame::Slowed(_) => return Err(too_much()),
                frame::Frame::Hello(_)
                | frame::Frame::Push(_)
                | frame::Frame::Cosigned(_)
                | frame::Frame::Express(_)
                | frame::Frame::Heartbeat(_) => {
                    return Err(Stop::End(End::Refused(
                        "the peer sends what has no place while records are restored".to_owned(),
                    )));
                }
            }
        }
    }

    /// Asks for what comes next, or says that all is here.
    async fn ask(&mut self) -> Result<(), Stop> {
        if self.told_done || self.asked.is_some() {
            return Ok(());
        }
        if let Some(lesson) = self.lesson.take() {
            if let Some((start_index, target_size)) = lesson.next() {
                self.lesson = Some(lesson);
                let asked = Asked {
                    want: Want::Keys,
                    start_index,
                };
                return self.fetch(asked, LogSide::Mirror, target_size).await;
            }
            let learned = lesson.learned(self.exchange, self.link)?;
            self.peer_keys = learned.history;
            self.plan.extend(learned.plan);
            self.answers.begin();
        }
        while let Some((side, target)) = self.plan.front() {
            let size = self.link.tree(*side).size();
            let wanted = target.signed.checkpoint.size;
            let root = self.link.tree(*side).root();
            if size == wanted && root == target.signed.checkpoint.root {
                self.plan.pop_front();
                self.answers.begin();
                continue;
            }
            if size >= wanted {
                if *side == LogSide::Mirror || size <= proven_size(self.link) {
                    self.check_hope(*side, target)?;
                    return Err(super::take::not_it("is not of the tree that it showed"));
                }
                // As long, and another: what is beyond what is proven was never signed.
                let target = target.clone();
                self.exchange.cut_back(self.link, &target).await?;
                continue;
            }
            let (side, target) = (*side, target.clone());
            return self.fetch_entries(side, size, target).await;
        }
        if self.own_changes != self.link.key_history(LogSide::Own).changes().len() {
            // What the peer has shown was judged without the keys that came back since: this node may have
            // cosigned more of the peer's log under one of them.
            return Err(Stop::End(End::Lost(ChannelError::Broken(
                "changes of this node's keys came back; the session begins anew".to_owned(),
            ))));
        }
        self.exchange.finish_restoring(self.link).await?;
        if self.exchange.only_restores() && !self.files_are_back().await? {
            return Ok(());
        }
        self.told_done = true;
        send(self.outgoing, frame::Frame::Fetch(v1::Fetch::default())).await
    }

    async fn files_are_back(&self) -> Result<bool, Stop> {
        Ok(self.exchange.note_files_back(self.link).await?)
    }

    async fn fetch_entries(
        &mut self,
        side: LogSide,
        start_index: u64,
        target: Verified<Receipt>,
    ) -> Result<(), Stop> {
        let target_size = target.signed.checkpoint.size;
        let asked = Asked {
            want: Want::Entries(side, target),
            start_index,
        };
        self.fetch(asked, side, target_size).await
    }

    async fn fetch(&mut self, asked: Asked, side: LogSide, target_size: u64) -> Result<(), Stop> {
        let log = match side {
            LogSide::Own => LogOf::Speaker,
            LogSide::Mirror => LogOf::Listener,
        };
        let fetch = v1::Fetch {
            log: log as i32,
            start_index: asked.start_index,
            target_size,
        };
        self.asked = Some(asked);
        send(self.outgoing, frame::Frame::Fetch(fetch)).await
    }

    async fn give(&mut self, fetch: &v1::Fetch) -> Result<(), Stop> {
        let Some(side) = side_asked(fetch.log()) else {
            if !self.asking.may_end() {
                return Err(too_much());
            }
            self.they_are_done = true;
            return Ok(());
        };
        if !self.asking.may_ask(side, fetch.start_index) {
            return Err(too_much());
        }
        let given = self.exchange.give(self.link, side, fetch)?;
        self.asking
            .given(side, given.start_index + given.items.len() as u64);
        send(self.outgoing, frame::Frame::Fetched(given)).await
    }

    /// Takes what was given. The next is asked for before this one is written, so that the peer
    /// reads while this side writes.
    async fn take(&mut self, given: v1::Fetched) -> Result<(), Stop> {
        let Some(asked) = self.asked.take() else {
            return Err(super::take::not_it("was not asked for"));
        };
        if given.start_index != asked.start_index {
            return Err(super::take::not_it("begins elsewhere than asked for"));
        }
        if !self.answers.is_full_enough(&given) {
            return Err(super::take::not_it(
                "comes in smaller pieces than it has to: two answers in a row make a full one",
            ));
        }
        let end = given.start_index.saturating_add(given.items.len() as u64);
        let (side, target) = match asked.want {
            Want::Entries(side, target) => (side, target),
            Want::Keys => {
                return match &mut self.lesson {
                    Some(lesson) => lesson.take(&given),
                    None => Ok(()),
                };
            }
        };
        let wanted = target.signed.checkpoint.size;
        if !given.items.is_empty() && end < wanted {
            self.fetch_entries(side, end, target.clone()).await?;
        }
        let link = self.link;
        // Before anything of it is written, even to a file.
        let mut taken = super::take::check_tree(&link.tree(side), &given, &target)?;
        if taken.is_ok() {
            let run = self
                .exchange
                .restored_run(link, side, given, &target, &self.peer_keys)
                .await?;
            let step = RestoreStep::Take(Box::new(run));
            taken = self.exchange.restore_step(link, step).await;
        }
        match taken {
            Ok(()) => {
                link.presence.send_if_modified(|presence| {
                    presence.restore_failures = 0;
                    false
                });
                Ok(())
            }
            Err(RecordError::NotOfTree { .. })
                if side == LogSide::Own && link.head().own_size > proven_size(link) =>
            {
                // What was recorded here beyond what is proven is not what was signed.
                self.exchange.cut_back(link, &target).await?;
                Err(Stop::End(End::Lost(ChannelError::Broken(
                    "entries were set aside; the session begins anew".to_owned(),
                ))))
            }
            Err(error @ RecordError::NotOfTree { .. }) => {
                self.check_hope(side, &target)?;
                Err(super::take::not_it(error))
            }
            Err(RecordError::Contradicts { size, earlier }) => {
                let (unproven, whose) = match side {
                    LogSide::Own => (FaultCode::RolledBack, "this node's"),
                    LogSide::Mirror => (FaultCode::BadCheckpoint, "the peer's"),
                };
                // Of two sizes the tree behind the larger one is not here yet.
                let evidence: Evidence = if size == target.signed.checkpoint.size {
                    of_one_size(earlier, &target.note)
                } else {
                    vec![earlier, target.note.clone()].into()
                };
                let code = match &evidence.equivocation {
                    Some(_) => FaultCode::Equivocation,
                    None => unproven,
                };
                Err(Breach::stop(
                    code,
                    link.origin(side),
                    size,
                    format!(
                        "{whose} key has signed two different trees of {size} entries. Both notes \
                         are kept as evidence"
                    ),
                    evidence,
                ))
            }
            Err(RecordError::ExpressMismatch { index }) => Err(Breach::stop(
                FaultCode::ExpressMismatch,
                &link.mirror,
                index,
                "the entry at this index is not the one that was expressed for it",
                vec![target.note.clone()],
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// What does not fit time and again never will: the receipt shown contradicts what is proven
    /// here, or the peer gives back something else. A person decides; releasing tries as often again.
    fn check_hope(&self, side: LogSide, target: &Verified<Receipt>) -> Result<(), Stop> {
        let link = self.link;
        let mut failures = 0;
        link.presence.send_if_modified(|presence| {
            presence.restore_failures = presence.restore_failures.saturating_add(1);
            failures = presence.restore_failures;
            false
        });
        let here = link.tree(side).size();
        if here == 0 || failures < FAILURES_MAX {
            return Ok(());
        }
        let reader = self.exchange.reader(link, side);
        let kept = reader.checkpoints(0, here + 1, 1, crate::store::Direction::Backward)?;
        let mut evidence = vec![target.note.clone()];
        evidence.extend(kept.into_iter().map(|(_, note)| note));
        let size = target.signed.checkpoint.size;
        let (code, whose) = match side {
            LogSide::Own => (FaultCode::RolledBack, "this node's"),
            LogSide::Mirror => (FaultCode::BadCheckpoint, "the peer's"),
        };
        Err(Breach::stop(
            code,
            link.origin(side),
            size,
            format!(
                "the peer shows a receipt of {size} entries of {whose} log, and {failures} times what \
                 it gave back did not go on from the {here} entries here that are proven: it gives \
                 back something else, or the two logs were signed apart. Both notes are kept. Call \
                 the peer and compare sizes and roots. The side whose log is not the one that both \
                 signed must put its newest data directory or backup in place; then release. As long \
                 as the peer shows this receipt and gives back something else, releasing only tries \
                 again"
            ),
            evidence,
        ))
    }
}
