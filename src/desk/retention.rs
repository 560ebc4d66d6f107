//! What the rules of retention will erase, and cases on legal hold.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::Desk;
use super::caller::{Caller, Method};
use super::errors::DeskError;
use super::read::parse_id;
use super::service::{admit, answer};
use crate::exchange::Link;
use crate::exchange::clock::timestamp_of_ms;
use crate::exchange::retention::{HoldError, LegalHold};
use crate::journal::Act;
use crate::limits::{DUES_LISTED_MAX, LINE_BYTES_MAX};
use crate::model::MessageId;
use crate::model::retention::Fate;
use crate::model::text::line_fault;
use crate::proto::v1;
use crate::proto::v1::retention_service_server::RetentionService;

impl From<HoldError> for DeskError {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::Store(error) => error.into(),
            HoldError::Record(error) => error.into(),
        }
    }
}

/// One line, as it is recorded.
fn check_reason(reason: &str) -> Result<(), DeskError> {
    let Some(fault) = line_fault(reason, LINE_BYTES_MAX) else {
        return Ok(());
    };
    let remedy = "say in one line why; it is recorded. Name no person in it";
    Err(DeskError::field("reason", fault, remedy))
}

fn hold_of(link: &Link, case: MessageId, hold: LegalHold) -> v1::LegalHold {
    v1::LegalHold {
        peer: link.peer.to_string(),
        thread_id: case.to_string(),
        at: Some(timestamp_of_ms(hold.at_ms)),
        by: hold.by,
        reason: hold.reason,
    }
}

impl Desk {
    /// Refuses what would erase something of a case on hold.
    pub(super) fn check_no_hold(&self, link: &Link, id: MessageId) -> Result<(), DeskError> {
        let case = self.exchange.case_of(link, id)?.unwrap_or(id);
        match self.exchange.hold_of(link, case)? {
            Some(hold) => Err(DeskError::OnHold { id, by: hold.by }),
            None => Ok(()),
        }
    }

    fn case_at_hand(&self, id: &str) -> Result<(Arc<Link>, MessageId, MessageId), DeskError> {
        let id = parse_id("id", id)?;
        let (link, _) = self.exchange.find(id)?.ok_or(DeskError::NotFound { id })?;
        let case = self.exchange.case_of(&link, id)?;
        Ok((link, id, case.ok_or(DeskError::NotFound { id })?))
    }

    async fn hold_case(
        &self,
        caller: &Caller,
        request: v1::HoldCaseRequest,
    ) -> Result<v1::HoldCaseResponse, DeskError> {
        check_reason(&request.reason)?;
        let (link, _, case) = self.case_at_hand(&request.id)?;
        let hold = LegalHold {
            at_ms: self.exchange.clock().unix_ms(),
            by: caller.author().as_str().to_owned(),
            reason: request.reason.trim().to_owned(),
        };
        let deed = Self::deed(caller, Act::Held).peer(&link.peer).message(case);
        self.note(deed.why(hold.reason.clone())).await?;
        let is_new = self.exchange.hold_case(&link, case, &hold).await?;
        let hold = self.exchange.hold_of(&link, case)?.unwrap_or(hold);
        Ok(v1::HoldCaseResponse {
            hold: Some(hold_of(&link, case, hold)),
            already: !is_new,
        })
    }

    async fn lift_hold(
        &self,
        caller: &Caller,
        request: v1::LiftHoldRequest,
    ) -> Result<v1::LiftHoldResponse, DeskError> {
        check_reason(&request.reason)?;
        let (link, id, case) = self.case_at_hand(&request.id)?;
        let hold = self.exchange.hold_of(&link, case)?;
        let hold = hold.ok_or(DeskError::NotOnHold { id })?;
        let deed = Self::deed(caller, Act::HoldLifted)
            .peer(&link.peer)
            .message(case);
        self.note(deed.why(request.reason.trim())).await?;
        self.exchange.lift_hold(&link, case).await?;
        Ok(v1::LiftHoldResponse {
            hold: Some(hold_of(&link, case, hold)),
        })
    }

    fn list_holds(&self) -> Result<v1::ListHoldsResponse, DeskError> {
        let mut holds = Vec::new();
        for link in self.exchange.links() {
            let of_link = self.exchange.holds(link)?.into_iter();
            holds.extend(of_link.map(|(case, hold)| hold_of(link, case, hold)));
        }
        Ok(v1::ListHoldsResponse { holds })
    }

    fn list_retention(
        &self,
        request: &v1::ListRetentionRequest,
    ) -> Result<v1::ListRetentionResponse, DeskError> {
        let Some(policy) = self.retention.get() else {
            return Ok(v1::ListRetentionResponse::default());
        };
        let now_ms = match &request.at {
            Some(at) => u64::try_from(at.seconds).unwrap_or(0).saturating_mul(1_000),
            None => self.exchange.clock().unix_ms(),
        };
        let rules = policy.rules().iter();
        let mut told = v1::ListRetentionResponse {
            rules: rules.map(ToString::to_string).collect(),
            ..v1::ListRetentionResponse::default()
        };
        for link in self.exchange.links() {
            self.exchange
                .judge_retention(link, policy, now_ms, |body| match body.fate {
                    Fate::Kept => {}
                    Fate::Open => told.open_count += 1,
                    Fate::OnHold(_) => told.on_hold_count += 1,
                    Fate::Later(_) => told.later_count += 1,
                    Fate::Due(rule, due_ms) => {
                        told.due_count += 1;
                        if told.due.len() < DUES_LISTED_MAX {
                            told.due.push(v1::RetainedBody {
                                id: body.id.to_string(),
                                peer: link.peer.to_string(),
                                thread_id: body.case.to_string(),
                                kind: body.kind,
                                handling: body.handling,
                                due_at: Some(timestamp_of_ms(due_ms)),
                                rule: u32::try_from(rule).unwrap_or(u32::MAX),
                            });
                        }
                    }
                })?;
        }
        Ok(told)
    }
}

#[tonic::async_trait]
impl RetentionService for Arc<Desk> {
    async fn hold_case(
        &self,
        request: Request<v1::HoldCaseRequest>,
    ) -> Result<Response<v1::HoldCaseResponse>, Status> {
        let (caller, _) = admit(&request, Method::Hold)?;
        let held = Desk::hold_case(self, &caller, request.into_inner()).await;
        answer(&caller, Method::Hold, held)
    }

    async fn lift_hold(
        &self,
        request: Request<v1::LiftHoldRequest>,
    ) -> Result<Response<v1::LiftHoldResponse>, Status> {
        let (caller, _) = admit(&request, Method::Hold)?;
        let lifted = Desk::lift_hold(self, &caller, request.into_inner()).await;
        answer(&caller, Method::Hold, lifted)
    }

    async fn list_holds(
        &self,
        request: Request<v1::ListHoldsRequest>,
    ) -> Result<Response<v1::ListHoldsResponse>, Status> {
        let (caller, _) = admit(&request, Method::ListRetention)?;
        let desk = Arc::clone(self);
        let listed = self.reading(&caller, move || Desk::list_holds(&desk)).await;
        answer(&caller, Method::ListRetention, listed)
    }

    async fn list_retention(
        &self,
        request: Request<v1::ListRetentionRequest>,
    ) -> Result<Response<v1::ListRetentionResponse>, Status> {
        let (caller, _) = admit(&request, Method::ListRetention)?;
        let (desk, request) = (Arc::clone(self), request.into_inner());
        let work = move || Desk::list_retention(&desk, &request);
        let listed = self.reading(&caller, work).await;
        answer(&caller, Method::ListRetention, listed)
    }
}
