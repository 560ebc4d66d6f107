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
use super::{Behind, RestoreStep};
use crate::crypto::Verified;
use crate::crypto::checkpoint::Receipt;
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
        plan: VecDeque::new(),
        asked: None,
        told_done: !mine,
        they_are_done: !theirs,
    };
    if mine {
        let own = shown.own.map(|receipt| (LogSide::Own, receipt));
        let mirror = shown.mirror.map(|receipt| (LogSide::Mirror, receipt));
        talk.plan.extend(own.into_iter().chain(mirror));
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

/// One Fetch that waits for its answer.
#[derive(Debug, Clone)]
struct Asked {
    side: LogSide,
    start_index: u64,
    target: Verified<Receipt>,
}

struct Talk<'a> {
    exchange: &'a Arc<Exchange>,
    link: &'a Arc<Link>,
    outgoing: &'a mpsc::Sender<Frame>,
    /// Logs to restore, and up to which receipt: the own one first.
    plan: VecDeque<(LogSide, Verified<Receipt>)>,
    asked: Option<Asked>,
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
                // Nothing is pushed now that could be slowed.
                frame::Frame::Slowed(_) => {}
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
        while let Some((side, target)) = self.plan.front() {
            let size = self.link.tree(*side).size();
            let wanted = target.signed.checkpoint.size;
            let root = self.link.tree(*side).root();
            if size == wanted && root == target.signed.checkpoint.root {
                self.plan.pop_front();
                continue;
            }
            if size >= wanted {
                // As long, and another: what is beyond the receipts was never signed.
                let target = target.clone();
                self.exchange.cut_back(self.link, &target).await?;
                continue;
            }
            return self.fetch(*side, size, target.clone()).await;
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

    async fn fetch(
        &mut self,
        side: LogSide,
        start_index: u64,
        target: Verified<Receipt>,
    ) -> Result<(), Stop> {
        let log = match side {
            LogSide::Own => LogOf::Speaker,
            LogSide::Mirror => LogOf::Listener,
        };
        let fetch = v1::Fetch {
            log: log as i32,
            start_index,
            target_size: target.signed.checkpoint.size,
        };
        self.asked = Some(Asked {
            side,
            start_index,
            target,
        });
        send(self.outgoing, frame::Frame::Fetch(fetch)).await
    }

    async fn give(&mut self, fetch: &v1::Fetch) -> Result<(), Stop> {
        let Some(side) = side_asked(fetch.log()) else {
            self.they_are_done = true;
            return Ok(());
        };
        let given = self.exchange.give(self.link, side, fetch)?;
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
        let end = given.start_index + given.items.len() as u64;
        let (side, target) = (asked.side, asked.target);
        let wanted = target.signed.checkpoint.size;
        if !given.items.is_empty() && end < wanted {
            self.fetch(side, end, target.clone()).await?;
        }
        let run = self
            .exchange
            .restored_run(self.link, side, given, &target)
            .await?;
        let taken = self
            .exchange
            .restore_step(self.link, RestoreStep::Take(Box::new(run)))
            .await;
        let link = self.link;
        match taken {
            Ok(()) => Ok(()),
            Err(RecordError::NotOfTree { .. })
                if side == LogSide::Own && link.head().own_size > link.head().delivered_size =>
            {
                // What was recorded here beyond the receipts is not what was signed.
                self.exchange.cut_back(link, &target).await?;
                Err(Stop::End(End::Lost(ChannelError::Broken(
                    "entries were set aside; the session begins anew".to_owned(),
                ))))
            }
            Err(error @ RecordError::NotOfTree { .. }) => Err(super::take::not_it(error)),
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
}
