//! Links that are held: why, what proves it, what came of it, and their release.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::Desk;
use super::caller::{Caller, Method};
use super::errors::DeskError;
use super::service::{admit, answer};
use crate::exchange::Link;
use crate::exchange::clock::timestamp_of_ms;
use crate::exchange::hold::Hold;
use crate::journal::Act;
use crate::limits::LINE_BYTES_MAX;
use crate::model::text::{escape, line_fault};
use crate::proto::v1;
use crate::proto::v1::link_service_server::LinkService;

#[tonic::async_trait]
impl LinkService for Arc<Desk> {
    async fn show_link(
        &self,
        request: Request<v1::ShowLinkRequest>,
    ) -> Result<Response<v1::ShowLinkResponse>, Status> {
        let (caller, _) = admit(&request, Method::ShowLink)?;
        let desk = Arc::clone(self);
        let work = move || desk.show_link_now(request.get_ref());
        answer(&caller, Method::ShowLink, self.reading(&caller, work).await)
    }

    async fn link_evidence(
        &self,
        request: Request<v1::LinkEvidenceRequest>,
    ) -> Result<Response<v1::LinkEvidenceResponse>, Status> {
        let (caller, _) = admit(&request, Method::LinkEvidence)?;
        let desk = Arc::clone(self);
        let work = move || desk.link_evidence_now(request.get_ref());
        let result = self.reading(&caller, work).await;
        answer(&caller, Method::LinkEvidence, result)
    }
}

impl Desk {
    pub(super) fn link_named(&self, peer: &str) -> Result<&Arc<Link>, DeskError> {
        self.exchange.link(peer).ok_or_else(|| {
            DeskError::field(
                "peer",
                "no such peer of this node",
                "`status` shows the peers",
            )
        })
    }

    fn show_link_now(
        &self,
        request: &v1::ShowLinkRequest,
    ) -> Result<v1::ShowLinkResponse, DeskError> {
        let link = self.link_named(&request.peer)?;
        let (head, presence) = (link.head(), link.presence());
        let past = self.exchange.past_holds(link)?;
        Ok(v1::ShowLinkResponse {
            peer: link.peer.to_string(),
            node: self.exchange.node().to_string(),
            up: presence.up,
            down_reason: escape(&presence.down_reason.unwrap_or_default()).into_owned(),
            held: head.held.as_deref().map(shown),
            held_by_peer: head.peer_hold.as_deref().map(shown),
            past: past
                .into_iter()
                .map(|(number, past)| v1::PastLinkHold {
                    number,
                    hold: Some(shown(&past.hold)),
                    released_at: Some(timestamp_of_ms(past.release.at_ms)),
                    released_by: escape(&past.release.by).into_owned(),
                    reason: escape(&past.release.reason).into_owned(),
                })
                .collect(),
        })
    }

    fn link_evidence_now(
        &self,
        request: &v1::LinkEvidenceRequest,
    ) -> Result<v1::LinkEvidenceResponse, DeskError> {
        let link = self.link_named(&request.peer)?;
        let response = |hold: &Hold| {
            Some(v1::LinkEvidenceResponse {
                equivocation: hold.equivocation.clone()?,
                hold: Some(shown(hold)),
            })
        };
        let held = link.head().held;
        let found = match request.number {
            0 if held.is_some() => held.as_deref().and_then(response),
            0 => {
                let past = self.exchange.past_holds(link)?;
                past.iter().find_map(|(_, past)| response(&past.hold))
            }
            wanted => {
                let past = self.exchange.past_holds(link)?;
                let past = past.iter().find(|(number, _)| *number == wanted);
                let (_, past) = past.ok_or_else(|| {
                    DeskError::field(
                        "number",
                        "no such past hold of this link",
                        "`link show` lists those there are",
                    )
                })?;
                response(&past.hold)
            }
        };
        found.ok_or_else(|| DeskError::NoEvidence {
            peer: link.peer.to_string(),
        })
    }

    pub(super) async fn release_link(
        &self,
        caller: &Caller,
        request: v1::ReleaseLinkRequest,
    ) -> Result<v1::ReleaseLinkResponse, DeskError> {
        let link = self.link_named(&request.peer)?;
        let reason = check_reason(&request.reason)?;
        if self.exchange.held(link).is_none() {
            return Err(DeskError::NotHeld {
                peer: link.peer.to_string(),
            });
        }
        let deed = Self::deed(caller, Act::Released)
            .peer(&link.peer)
            .why(reason);
        self.note(deed).await?;
        self.exchange
            .release(link, reason, &caller.author())
            .await?;
        tracing::warn!(peer = %link.peer, %caller, "link released");
        Ok(v1::ReleaseLinkResponse {})
    }
}

/// A reason as a person typed it, in one line.
pub(super) fn check_reason(text: &str) -> Result<&str, DeskError> {
    let reason = text.trim();
    if let Some(fault) = line_fault(reason, LINE_BYTES_MAX) {
        return Err(DeskError::field(
            "reason",
            fault,
            "say in one line why it is safe to go on; it is recorded",
        ));
    }
    Ok(reason)
}

fn shown(hold: &Hold) -> v1::LinkHold {
    v1::LinkHold {
        code: hold.code,
        origin: escape(&hold.origin).into_owned(),
        index: hold.index,
        text: escape(&hold.text).into_owned(),
        at: Some(timestamp_of_ms(hold.at_ms)),
        proven: hold.equivocation.is_some(),
        pieces: u32::try_from(hold.evidence.len()).unwrap_or(u32::MAX),
    }
}
