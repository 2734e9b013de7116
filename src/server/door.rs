//! What every call passes: credentials, the decision whether to trace it, and the way to its service.
//!
//! Decisions go straight to their service: no router, no span unless sampled, no timer. Everything
//! else goes through tonic's router, with a deadline, since an answer that never begins would hold
//! its caller's messages in memory.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tracing::Instrument;

use crate::auth::{Gate, Refusal};
use crate::service::{Caller, DOMAIN, Peer};
use crate::telemetry::{self, Sampler, Trace};

/// How long a call other than a decision may take until its answer begins.
pub const ANSWER_DEADLINE: Duration = Duration::from_mins(5);

const STATUS_DETAILS: &str = "grpc-status-details-bin";

/// The service that decides.
pub trait Decisions:
    Service<
        Request<Body>,
        Response = Response<Body>,
        Error = Infallible,
        Future = BoxFuture<Response<Body>, Infallible>,
    > + NamedService
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Decisions for S where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Infallible,
            Future = BoxFuture<Response<Body>, Infallible>,
        > + NamedService
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// The services behind the gate. Cheap to clone: a connection has one.
#[derive(Clone)]
pub(super) struct Door<D> {
    pub gate: Gate,
    pub sampler: Sampler,
    pub decisions: D,
    pub rest: Routes,
    /// Who is at the other end of the connection.
    pub peer: Peer,
}

/// The answer to one call.
pub(super) enum Answer {
    Coming(BoxFuture<Response<Body>, Infallible>),
    Refused(Option<Response<Body>>),
}

impl<D: Decisions> Door<D> {
    pub(super) fn answer(&self, mut request: Request<Body>) -> Answer {
        let path = request.uri().path();
        if !Gate::is_open(path) {
            match self.admit(&request) {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                }
                Err(refusal) => return Answer::Refused(Some(Status::from(refusal).into_http())),
            }
        }
        let trace = self.sampler.decide(request.headers());
        match trace {
            None => Answer::Coming(self.dispatch(request)),
            Some(trace) => Answer::Coming(self.traced(request, trace)),
        }
    }

    /// Who calls, and on whose behalf. An operator's question is answered whoever it is for: nothing
    /// more is looked at.
    #[inline]
    fn admit(&self, request: &Request<Body>) -> Result<Caller, Refusal> {
        let mut caller = self.gate.admit(request.headers())?;
        if caller.bearer.is_some() || !is_of::<D>(request.uri().path()) {
            caller.on_behalf_of = Gate::on_behalf_of(request.headers())?.map(Box::new);
        }
        caller.peer = self.peer;
        Ok(caller)
    }

    fn dispatch(&self, request: Request<Body>) -> BoxFuture<Response<Body>, Infallible> {
        if is_of::<D>(request.uri().path()) {
            // Always ready: a generated server has nothing to wait for.
            return self.decisions.clone().call(request);
        }
        let answer = self.rest.clone().call(request);
        Box::pin(async {
            match tokio::time::timeout(ANSWER_DEADLINE, answer).await {
                Ok(answer) => answer,
                Err(_) => Ok(too_late().into_http()),
            }
        })
    }

    fn traced(&self, request: Request<Body>, trace: Trace) -> BoxFuture<Response<Body>, Infallible> {
        let span = telemetry::call_span(request.uri().path(), trace);
        let answer = span.in_scope(|| self.dispatch(request));
        let noted = span.clone();
        let answer = async move { answer.await.inspect(|response| telemetry::answered(&noted, response)) };
        Box::pin(answer.instrument(span))
    }
}

fn is_of<S: NamedService>(path: &str) -> bool {
    let service = path.strip_prefix('/').and_then(|path| path.strip_prefix(S::NAME));
    service.is_some_and(|rest| rest.starts_with('/'))
}

/// Errors that no handler made (a message that cannot be read or is too large, a method that is
/// not there) say why in our way too. Those of handlers carry details already.
fn explained(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    if !headers.contains_key(Status::GRPC_STATUS) || headers.contains_key(STATUS_DETAILS) {
        return response;
    }
    match Status::from_header_map(headers) {
        Some(status) if status.code() != Code::Ok => explain(&status).into_http(),
        _ => response,
    }
}

fn explain(status: &Status) -> Status {
    let (code, reason, message) = match status.code() {
        // tonic's word for a request that is no message: it is the caller's error, not ours.
        Code::Internal => (Code::InvalidArgument, "MALFORMED_MESSAGE", status.message()),
        Code::OutOfRange => (Code::OutOfRange, "MESSAGE_TOO_LARGE", status.message()),
        Code::Unimplemented => (Code::Unimplemented, "NOT_SUPPORTED", "this version does not have this method"),
        code => (code, telemetry::code_name(code), status.message()),
    };
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, []))
}

fn too_late() -> Status {
    let details = ErrorDetails::with_error_info("ANSWER_DEADLINE", DOMAIN, []);
    let message = format!("the answer did not begin within {} s", ANSWER_DEADLINE.as_secs());
    Status::with_error_details(Code::DeadlineExceeded, message, details)
}

impl<D: Decisions> hyper::service::Service<Request<Incoming>> for Door<D> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        self.answer(request.map(Body::new))
    }
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Coming(answer) => answer.as_mut().poll(cx).map_ok(explained),
            Self::Refused(answer) => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
        }
    }
}

#[cfg(test)]
mod tests;
