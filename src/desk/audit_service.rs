//! The auditor's calls as tonic calls them.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::caller::Method;
use super::service::{admit, answer};
use super::{Desk, audit, blocking, lateness};
use crate::journal::Act;
use crate::proto::v1;
use crate::proto::v1::audit_service_server::AuditService;

#[tonic::async_trait]
impl AuditService for Arc<Desk> {
    async fn proof(
        &self,
        request: Request<v1::ProofRequest>,
    ) -> Result<Response<v1::ProofResponse>, Status> {
        let (caller, access) = admit(&request, Method::Proof)?;
        let (desk, by) = (Arc::clone(self), caller.clone());
        let work = move || Desk::proof(&desk, &by, access, request.get_ref());
        answer(&caller, Method::Proof, blocking(work).await)
    }

    type ExportStream = audit::Parts;

    async fn export(
        &self,
        request: Request<v1::ExportRequest>,
    ) -> Result<Response<audit::Parts>, Status> {
        let (caller, _) = admit(&request, Method::Export)?;
        let result = Desk::export(self, &caller, request.get_ref()).await;
        answer(&caller, Method::Export, result)
    }

    type LatenessStream = lateness::Pieces;

    async fn lateness(
        &self,
        request: Request<v1::LatenessRequest>,
    ) -> Result<Response<lateness::Pieces>, Status> {
        let (caller, access) = admit(&request, Method::Lateness)?;
        let deed = Desk::deed(&caller, Act::Exported)
            .message(super::journal::shown_id(&request.get_ref().id))
            .what("evidence of lateness");
        if let Err(error) = self.note(deed).await {
            return answer(&caller, Method::Lateness, Err(error));
        }
        let result = Desk::lateness(self, &caller, access, request.into_inner()).await;
        answer(&caller, Method::Lateness, result)
    }
}
