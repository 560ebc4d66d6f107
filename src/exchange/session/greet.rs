//! The first frames of a session: what each side says of both logs, judged before anything is
//! signed.

use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;

use super::super::channel::Incoming;
use super::super::command::Command;
use super::super::restore::Behind;
use super::super::{Exchange, Link, LogSide};
use super::farewell::{peer_fault, tell};
use super::frames::{heard, next_frame, send};
use super::{End, PROTOCOL_VERSION, Stop};
use crate::limits::HELLO_TIME_MAX;
use crate::proto::v1::{self, FaultCode, Frame, frame};

/// What the session is for, once both Hellos were accepted.
pub(super) enum Greeted {
    /// Both push, mirror and settle.
    Standing(Standing),
    /// One side restores its records, or both.
    Restoring {
        /// What the peer shows that is not here.
        shown: Box<Behind>,
        /// The peer restores.
        theirs: bool,
    },
}

/// Where both logs stand.
pub(super) struct Standing {
    /// How much of the own log the peer has mirrored.
    pub(super) peer_mirrored: u64,
    /// How much of the peer's log this side said it has mirrored.
    pub(super) mirror_size: u64,
    /// Whether the peer witnesses journals.
    pub(super) witnesses_journals: bool,
}

/// Sends and takes the first frames, and judges what the peer says of both logs before anything
/// is signed.
pub(super) async fn greet(
    exchange: &Exchange,
    link: &Link,
    outgoing: &mpsc::Sender<Frame>,
    incoming: &mut Incoming,
) -> Result<Greeted, Stop> {
    // A session that was replaced may have left a run with the recorder. Its entries must be
    // counted in the Hello: else the peer sends them again, and that would look like a gap.
    exchange.ask(Command::Barrier).await?;
    let head = link.head();
    let own = exchange.reader(link, LogSide::Own);
    let own_checkpoint = own.latest_checkpoint()?.map(|(_, note)| note);
    let restores = exchange.restores(link);
    let (mirrored_size, mirrored_checkpoint) = if restores {
        // Nothing is signed now: the latest that was.
        exchange
            .latest_receipt(link, LogSide::Mirror)?
            .unwrap_or_default()
    } else {
        exchange.mirror_shown(link).await?
    };
    let restoring = if restores {
        v1::Restoring::Records
    } else if head.files_lost {
        v1::Restoring::Files
    } else {
        v1::Restoring::Unspecified
    };
    let hello = v1::Hello {
        version_min: PROTOCOL_VERSION,
        version_max: PROTOCOL_VERSION,
        node: exchange.node().to_string(),
        own_checkpoint: own_checkpoint.unwrap_or_default(),
        own_size: head.own_size,
        mirrored_size,
        mirrored_checkpoint,
        sent_at: Some(exchange.clock().timestamp()),
        restoring: restoring as i32,
        witnesses_journals: exchange.witnesses(link).is_some(),
    };
    send(outgoing, frame::Frame::Hello(hello)).await?;

    let first = tokio::time::timeout(HELLO_TIME_MAX, incoming.next())
        .await
        .map_err(|_| End::Refused("no Hello came in time".to_owned()))?;
    let theirs = match next_frame(first)? {
        frame::Frame::Hello(hello) => hello,
        frame::Frame::Fault(fault) => return Err(peer_fault(&fault)),
        _ => {
            return Err(Stop::End(End::Refused(
                "the first frame was no Hello".into(),
            )));
        }
    };
    if theirs.version_min > PROTOCOL_VERSION || theirs.version_max < PROTOCOL_VERSION {
        let text = format!(
            "no version in common: the peer speaks {} to {}, this node {PROTOCOL_VERSION}",
            theirs.version_min, theirs.version_max
        );
        tell(outgoing, FaultCode::Version, "", 0, text.clone()).await;
        return Err(Stop::End(End::Refused(text)));
    }
    if theirs.node != link.peer.as_str() {
        let text = "the Hello names another node than the certificate".to_owned();
        return Err(Stop::End(End::Refused(text)));
    }
    heard(exchange, link, theirs.sent_at.as_ref()).await;
    let they_restore = theirs.restoring() == v1::Restoring::Records;
    exchange.note_peer_restores(link, &theirs).await?;
    let mut shown = exchange.behind(link, &theirs)?;
    if let Some(restoring) = exchange.restoring(link) {
        exchange.must_reach(link, &restoring, &theirs, &mut shown)?;
    }
    if shown.is_behind() {
        let why = exchange.notice_behind(link, &shown).await?;
        if !restores && !they_restore {
            return Err(Stop::End(End::Restoring(why)));
        }
    }
    if restores || they_restore {
        return Ok(Greeted::Restoring {
            shown: Box::new(shown),
            theirs: they_restore,
        });
    }
    exchange.judge_peer_log(link, &theirs).await?;
    let peer_mirrored = exchange.judge_own_log(link, &theirs).await?;
    Ok(Greeted::Standing(Standing {
        peer_mirrored,
        mirror_size: mirrored_size,
        witnesses_journals: theirs.witnesses_journals,
    }))
}
