//! How a session ends: who is told, and what is recorded of it.

use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;

use super::super::channel::Incoming;
use super::super::hold::Hold;
use super::super::{Exchange, Link};
use super::{End, Stop, framed};
use crate::limits::{FAREWELL_TIME_MAX, FAULT_TEXT_BYTES_MAX};
use crate::model::text;
use crate::proto::v1::{self, FaultCode, Frame, frame};

/// Tells the peer and the record how the session ended.
pub(super) async fn conclude(
    exchange: &Exchange,
    link: &Link,
    outgoing: &mpsc::Sender<Frame>,
    outcome: Stop,
) -> End {
    match outcome {
        Stop::End(End::ShuttingDown) => {
            let text = "going down".to_owned();
            tell(outgoing, FaultCode::ShuttingDown, "", 0, text).await;
            End::ShuttingDown
        }
        Stop::End(End::Held(hold)) => {
            let text = format!(
                "the link is held here until an operator has looked: {}: {}",
                hold.code_name(),
                hold.text
            );
            let fault = v1::Fault {
                code: FaultCode::Held as i32,
                origin: hold.origin.clone(),
                index: hold.index,
                text,
                held_for: hold.code,
            };
            say(outgoing, fault).await;
            End::Held(hold)
        }
        Stop::End(End::Restoring(why)) => {
            let text = format!("{why}. It comes back to fetch what it lacks");
            tell(outgoing, FaultCode::Restoring, "", 0, text).await;
            End::Restoring(why)
        }
        Stop::End(End::PeerFault(fault)) => {
            exchange.note_fault(link, &fault).await;
            End::PeerFault(fault)
        }
        Stop::End(end) => end,
        Stop::Breach(breach) => {
            let hold = Hold {
                code: breach.code as i32,
                origin: breach.origin,
                index: breach.index,
                text: breach.text,
                evidence: breach.evidence.pieces,
                equivocation: breach.evidence.equivocation,
                at_ms: exchange.clock().unix_ms(),
            };
            // Recorded before the peer is told: after a crash here the link is held all the same.
            if let Err(error) = exchange.hold(link, hold.clone()).await {
                return End::Unable(error);
            }
            let text = hold.text.clone();
            tell(outgoing, breach.code, &hold.origin, hold.index, text).await;
            End::Held(Box::new(hold))
        }
    }
}

pub(super) async fn tell(
    outgoing: &mpsc::Sender<Frame>,
    code: FaultCode,
    origin: &str,
    index: u64,
    text: String,
) {
    let fault = v1::Fault {
        code: code as i32,
        origin: origin.to_owned(),
        index,
        text,
        ..v1::Fault::default()
    };
    say(outgoing, fault).await;
}

async fn say(outgoing: &mpsc::Sender<Frame>, fault: v1::Fault) {
    let sent = outgoing.send(framed(frame::Frame::Fault(fault)));
    // The peer may be gone or stuck; it will learn at the next attempt.
    drop(tokio::time::timeout(FAREWELL_TIME_MAX, sent).await);
}

/// Lets the peer read what it was told last, until it closes. A stream that is dropped by its dialler
/// at once is reset, and what was on its way is lost.
pub(super) async fn part(outgoing: mpsc::Sender<Frame>, mut incoming: Incoming) {
    drop(outgoing);
    let closed = async { while let Some(Ok(_)) = incoming.next().await {} };
    drop(tokio::time::timeout(FAREWELL_TIME_MAX, closed).await);
}

/// The end by a Fault of the peer, its texts cut to what is worth showing.
pub(crate) fn peer_fault(fault: &v1::Fault) -> Stop {
    let cut = |said| text::cut(said, FAULT_TEXT_BYTES_MAX).to_owned();
    Stop::End(End::PeerFault(Box::new(v1::Fault {
        code: fault.code,
        origin: cut(&fault.origin),
        index: fault.index,
        text: cut(&fault.text),
        held_for: fault.held_for,
    })))
}
