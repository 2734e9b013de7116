//! The one span that a traced call has, in the words of OpenTelemetry's RPC conventions.

use http::Response;
use opentelemetry::Context;
use tonic::{Code, Status};
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of our spans.
pub(super) const TARGET: &str = "doorward::rpc";
/// The conventions are about to rename it (`rpc.status_code`).
const STATUS_CODE: &str = "rpc.response.status_code";

/// A call that is traced.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The span that the caller is in; none if the trace begins here.
    pub parent: Option<Context>,
}

/// The span of a call to `path` (`/package.Service/Method`). Only for calls that are sampled.
#[must_use]
pub fn call_span(path: &str, trace: Trace) -> Span {
    let method = path.trim_start_matches('/');
    let span = tracing::info_span!(
        target: TARGET,
        "rpc",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        { STATUS_CODE } = field::Empty,
    );
    if let Some(parent) = trace.parent {
        // Without a tracing layer there is nobody to tell.
        let _ = span.set_parent(parent);
    }
    span
}

/// Notes a call's failure. Success is not noted: a stream may still fail.
pub fn answered<B>(span: &Span, response: &Response<B>) {
    let Some(status) = Status::from_header_map(response.headers()) else { return };
    span.record(STATUS_CODE, code_name(status.code()));
    if is_our_fault(status.code()) {
        span.record("otel.status_code", "ERROR");
    }
}

fn is_our_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// A code as gRPC writes it.
#[must_use]
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
