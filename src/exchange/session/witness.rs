//! The part of a session in which both sides witness each other's journal.

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::super::{Exchange, Link};
use super::frames::send;
use super::{Never, Stop};
use crate::limits::{JOURNAL_OFFER_INTERVAL, JOURNAL_OFFERS_BURST_MAX};
use crate::proto::v1::{self, Frame, frame};

/// What the peer sent about a journal.
pub(super) enum Letter {
    /// A checkpoint of its own.
    Offer(v1::JournalOffer),
    /// What it says to a checkpoint of this node's.
    Answer(v1::JournalAnswer),
}

/// Offers the own journal when the session begins, in any case, and then once a minute if something was
/// noted; and answers what the peer offers: so many, and one more a minute, since each costs two flushes.
pub(super) async fn witness(
    exchange: &Exchange,
    link: &Link,
    outgoing: &mpsc::Sender<Frame>,
    peer_witnesses: bool,
    mut mail: mpsc::Receiver<Letter>,
) -> Result<Never, Stop> {
    let Some(journal) = exchange.witnesses(link) else {
        // What the peer sends all the same is dropped where it is taken in.
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(JOURNAL_OFFER_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = JOURNAL_OFFERS_BURST_MAX;
    let mut since = Instant::now();
    // Of one that is offered, one answer is looked at, and one more if it named another size.
    let mut answers = 0_u32;
    let mut begins = true;
    exchange
        .journal_session_begins(link, journal, peer_witnesses)
        .await;
    loop {
        let letter = tokio::select! {
            _ = ticks.tick() => None,
            letter = mail.recv() => match letter {
                Some(letter) => Some(letter),
                None => return std::future::pending().await,
            },
        };
        while since.elapsed() >= JOURNAL_OFFER_INTERVAL {
            since += JOURNAL_OFFER_INTERVAL;
            left = left.saturating_add(1).min(JOURNAL_OFFERS_BURST_MAX);
        }
        let in_any_case = begins && letter.is_none();
        if letter.is_none() {
            begins = false;
            if !in_any_case {
                exchange.journal_not_shown(link).await;
            }
        }
        match letter {
            None if !peer_witnesses => {}
            None => match exchange.offer_journal(link, journal, None, in_any_case) {
                Ok(None) => {}
                Ok(Some(offer)) => {
                    answers = 2;
                    send(outgoing, frame::Frame::JournalOffer(offer)).await?;
                }
                Err(error) => {
                    tracing::warn!(peer = %link.peer, %error, "the journal is not offered");
                }
            },
            Some(Letter::Offer(_)) if left == 0 => {
                tracing::debug!(peer = %link.peer, "a journal offered too often is not looked at");
            }
            Some(Letter::Offer(offer)) => {
                left -= 1;
                let answer = exchange.take_journal_offer(link, journal, offer).await;
                if let Some(answer) = answer {
                    send(outgoing, frame::Frame::JournalAnswer(answer)).await?;
                }
            }
            Some(Letter::Answer(_)) if answers == 0 => {
                tracing::debug!(peer = %link.peer, "an answer to no offer is not looked at");
            }
            Some(Letter::Answer(answer)) => {
                answers -= 1;
                let again = exchange.take_journal_answer(link, journal, answer).await;
                if let Some(offer) = again.filter(|_| answers > 0) {
                    send(outgoing, frame::Frame::JournalOffer(offer)).await?;
                }
            }
        }
    }
}
