//! The desk's calls as tonic calls them: who is it, may he, do it, log what was refused.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use super::caller::{Access, Caller, Method, access};
use super::errors::DeskError;
use super::{Desk, files, submit_many, watch};
use crate::proto::v1;
use crate::proto::v1::desk_service_server::DeskService;

/// Who calls, and how far he may go.
pub(super) fn admit<T>(request: &Request<T>, method: Method) -> Result<(Caller, Access), Status> {
    let Some(caller) = Caller::of(request.extensions()) else {
        let error = DeskError::Unidentified;
        tracing::warn!(method = method.as_str(), "a call of no one was refused");
        return Err(error.into());
    };
    match access(caller.role, method) {
        Access::Denied => {
            let role = caller.role;
            Err(refused(&caller, method, DeskError::Denied { role, method }))
        }
        access => Ok((caller, access)),
    }
}

/// Logs a refusal by its reason alone: its text may quote what was sent.
pub(super) fn refused(caller: &Caller, method: Method, error: DeskError) -> Status {
    tracing::warn!(
        %caller,
        method = method.as_str(),
        reason = error.reason(),
        "a call was refused"
    );
    error.into()
}

pub(super) fn answer<T>(
    caller: &Caller,
    method: Method,
    result: Result<T, DeskError>,
) -> Result<Response<T>, Status> {
    result
        .map(Response::new)
        .map_err(|error| refused(caller, method, error))
}

#[tonic::async_trait]
impl DeskService for Arc<Desk> {
    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        let (caller, _) = admit(&request, Method::Submit)?;
        let result = Desk::submit(self, &caller, request.into_inner()).await;
        answer(&caller, Method::Submit, result)
    }

    type SubmitManyStream = submit_many::Answers;

    async fn submit_many(
        &self,
        request: Request<Streaming<v1::SubmitManyRequest>>,
    ) -> Result<Response<submit_many::Answers>, Status> {
        let (caller, _) = admit(&request, Method::Submit)?;
        let result = Desk::submit_many(self, &caller, request.into_inner());
        answer(&caller, Method::Submit, result)
    }

    async fn get(
        &self,
        request: Request<v1::GetRequest>,
    ) -> Result<Response<v1::GetResponse>, Status> {
        let (caller, access) = admit(&request, Method::Get)?;
        let result = Desk::get(self, &caller, access, request.into_inner()).await;
        answer(&caller, Method::Get, result)
    }

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let method = match request.get_ref().text.as_str() {
            "" => Method::List,
            _ => Method::Search,
        };
        let (caller, access) = admit(&request, method)?;
        if method == Method::Search {
            let noted = self.note_search(&caller, request.get_ref()).await;
            noted.map_err(|error| refused(&caller, method, error))?;
        }
        let (desk, by) = (Arc::clone(self), caller.clone());
        let work = move || Desk::list(&desk, &by, access, request.into_inner());
        answer(&caller, method, self.reading(&caller, work).await)
    }

    type WatchStream = watch::Events;

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<watch::Events>, Status> {
        let (caller, access) = admit(&request, Method::Watch)?;
        let result = Desk::watch(self, &caller, access, request.get_ref());
        answer(&caller, Method::Watch, result)
    }

    async fn acknowledge(
        &self,
        request: Request<v1::AcknowledgeRequest>,
    ) -> Result<Response<v1::AcknowledgeResponse>, Status> {
        let (caller, _) = admit(&request, Method::Acknowledge)?;
        let result = Desk::acknowledge(self, &caller, request.into_inner()).await;
        answer(&caller, Method::Acknowledge, result)
    }

    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let (caller, _) = admit(&request, Method::Status)?;
        let desk = Arc::clone(self);
        let result = self.reading(&caller, move || Desk::status(&desk)).await;
        answer(&caller, Method::Status, result)
    }

    async fn upload_attachment(
        &self,
        request: Request<Streaming<v1::UploadAttachmentRequest>>,
    ) -> Result<Response<v1::UploadAttachmentResponse>, Status> {
        let (caller, _) = admit(&request, Method::UploadAttachment)?;
        let result = self.upload(&caller, request.into_inner()).await;
        answer(&caller, Method::UploadAttachment, result)
    }

    async fn list_cases(
        &self,
        request: Request<v1::ListCasesRequest>,
    ) -> Result<Response<v1::ListCasesResponse>, Status> {
        let (caller, access) = admit(&request, Method::ListCases)?;
        let desk = Arc::clone(self);
        let work = move || Desk::list_cases(&desk, access, request.get_ref());
        answer(
            &caller,
            Method::ListCases,
            self.reading(&caller, work).await,
        )
    }

    async fn get_case(
        &self,
        request: Request<v1::GetCaseRequest>,
    ) -> Result<Response<v1::GetCaseResponse>, Status> {
        let (caller, access) = admit(&request, Method::GetCase)?;
        let desk = Arc::clone(self);
        let work = move || Desk::get_case(&desk, access, request.get_ref());
        answer(&caller, Method::GetCase, self.reading(&caller, work).await)
    }

    async fn report(
        &self,
        request: Request<v1::ReportRequest>,
    ) -> Result<Response<v1::ReportResponse>, Status> {
        let (caller, _) = admit(&request, Method::Report)?;
        let desk = Arc::clone(self);
        let work = move || Desk::report(&desk, request.get_ref());
        answer(&caller, Method::Report, self.reading(&caller, work).await)
    }

    type DownloadAttachmentStream = files::Chunks;

    async fn download_attachment(
        &self,
        request: Request<v1::DownloadAttachmentRequest>,
    ) -> Result<Response<files::Chunks>, Status> {
        let (caller, access) = admit(&request, Method::DownloadAttachment)?;
        let result = Desk::download(self, &caller, access, request.into_inner()).await;
        answer(&caller, Method::DownloadAttachment, result)
    }

    async fn release_link(
        &self,
        request: Request<v1::ReleaseLinkRequest>,
    ) -> Result<Response<v1::ReleaseLinkResponse>, Status> {
        let (caller, _) = admit(&request, Method::ReleaseLink)?;
        let result = Desk::release_link(self, &caller, request.into_inner()).await;
        answer(&caller, Method::ReleaseLink, result)
    }

    async fn list_due(
        &self,
        request: Request<v1::ListDueRequest>,
    ) -> Result<Response<v1::ListDueResponse>, Status> {
        let (caller, _) = admit(&request, Method::ListDue)?;
        let desk = Arc::clone(self);
        let work = move || Desk::list_due(&desk, request.get_ref());
        answer(&caller, Method::ListDue, self.reading(&caller, work).await)
    }

    async fn list_calendars(
        &self,
        request: Request<v1::ListCalendarsRequest>,
    ) -> Result<Response<v1::ListCalendarsResponse>, Status> {
        let (caller, access) = admit(&request, Method::ListCalendars)?;
        let desk = Arc::clone(self);
        let work = move || Desk::list_calendars(&desk, access, request.get_ref());
        let result = self.reading(&caller, work).await;
        answer(&caller, Method::ListCalendars, result)
    }
}
