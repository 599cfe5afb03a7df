//! The layer around every handler.
//!
//! One layer rather than five: each would allocate a future of its own for every request, and their order is part of
//! the contract. From the outside in: request id, metrics and access line, trace, panic, deadline, handler.

use std::cell::RefCell;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::body::BoxBody;
use actix_web::dev::{RequestHead, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, Uri, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use futures_util::FutureExt;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::extract::PreferWait;
use super::red::{self, UNMATCHED};
use super::request_id::{RequestId, X_REQUEST_ID};
use super::routes::Routes;
use super::unread::Unread;
use crate::problem::{PROBLEM_JSON, Problem};
use crate::telemetry::{self, Span, SpanKind, TraceContext};

/// The layer's settings; one per service.
#[derive(Clone)]
pub(super) struct Layer {
    service: &'static str,
    deadline: Duration,
    routes: Routes,
    leaving: Leaving,
}

/// Whether the service is about to stop, and wants every connection to end with its next answer.
#[derive(Clone, Default)]
pub(super) struct Leaving(Arc<AtomicBool>);

impl Leaving {
    /// From now on.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Asked by machines, in a fixed rhythm.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];
/// The same, of coordination: leases, who is there, settings.
const RHYTHMS: [&str; 2] = ["/v1/services", "/v1/config"];

/// What is kept of a request while its handler owns it. Not the request itself: actix must be its only owner to route.
struct Asked {
    id: RequestId,
    trace: TraceContext,
    method: Method,
    uri: Uri,
    started: Instant,
}

impl Layer {
    pub fn new(service: &'static str, deadline: Duration, routes: Routes, leaving: Leaving) -> Self {
        Layer { service, deadline, routes, leaving }
    }

    pub async fn handle(
        self,
        mut request: ServiceRequest,
        next: Next<BoxBody>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        let started = Instant::now();
        let headers = request.headers();
        let id = RequestId::of(headers.get(X_REQUEST_ID));
        let parent = headers.get("traceparent").and_then(|value| TraceContext::parse(value.to_str().ok()?));
        let mut span = self.span(request.head(), parent);
        let trace =
            span.context().unwrap_or_else(|| parent.map_or_else(TraceContext::new_root, TraceContext::child));
        // A client that asks us to wait gets that time on top.
        let deadline = self.deadline + PreferWait::of(headers).0.unwrap_or_default();
        let asked =
            Asked { id, trace, method: request.method().clone(), uri: request.uri().clone(), started };
        if asked.method == Method::HEAD {
            // Answered like GET (RFC 9110 §9.3.2); the connection remembers to send no body.
            request.head_mut().method = Method::GET;
        }
        request.extensions_mut().insert(asked.id.clone());
        let unread = Unread::watch(&mut request);

        // The call itself is inside, too: routing and guards run in it.
        let work = AssertUnwindSafe(async move { next.call(request).await }).catch_unwind();
        let result = telemetry::in_context(trace, timeout(deadline, work)).await;

        let answered = match result {
            Ok(Ok(Ok(response))) => Ok(response),
            Ok(Ok(Err(failure))) => Err(failure),
            Ok(Err(panic)) => {
                red::panicked(self.service);
                telemetry::sync_in_context(trace, || {
                    error!(
                        message_of_panic = panic_text(&*panic),
                        path = asked.uri.path(),
                        "handler panicked"
                    );
                });
                Err(Problem::internal().into())
            }
            // Who was slow: the client with its body, or we with the answer?
            Err(_elapsed) => match &unread {
                Some(unread) if unread.awaited() => Err(Problem::request_timeout().into()),
                _ => Err(Problem::deadline().into()),
            },
        };
        match answered {
            Ok(response) => {
                let response = self.finish(response, &asked, &mut span);
                Ok(match unread {
                    Some(unread) => response.map_body(|_, body| unread.hold(body)),
                    None => response,
                })
            }
            // The request is gone; actix makes the answer out of the error.
            Err(failure) => {
                let problem = self.finish_failure(&failure, &asked, &mut span);
                Err(Failure { problem, last: self.leaving.has_begun(), unread: RefCell::new(unread) }.into())
            }
        }
    }

    /// OpenTelemetry's semantic conventions for an HTTP server. Probes and scrapes come every few seconds and belong to
    /// nothing; they are told only where whoever asks has a trace.
    fn span(&self, asked: &RequestHead, parent: Option<TraceContext>) -> Span {
        let path = asked.uri.path();
        let in_rhythm = || PROBES.contains(&path) || RHYTHMS.iter().any(|start| path.starts_with(start));
        if !telemetry::exporting() || parent.is_none() && in_rhythm() {
            return Span::none();
        }
        let mut span = Span::after(self.service, SpanKind::Server, "", parent);
        span.set("http.request.method", telemetry::known_method(asked.method.as_str()));
        span.set("url.scheme", "http");
        span.set("url.path", path.to_owned());
        span
    }

    fn finish(
        &self,
        mut response: ServiceResponse<BoxBody>,
        asked: &Asked,
        span: &mut Span,
    ) -> ServiceResponse<BoxBody> {
        let route = response.request().match_pattern();
        if response.status().is_client_error() || response.status().is_server_error() {
            response = self.as_problem(response, asked);
        }
        let status = response.status();
        let head = response.response_mut().head_mut();
        if let Ok(value) = header::HeaderValue::from_str(asked.id.as_str()) {
            head.headers.insert(header::HeaderName::from_static(X_REQUEST_ID), value);
        }
        // The rest of such a body is still on its way and will not be read.
        let unread = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE);
        if unread || self.leaving.has_begun() && status != StatusCode::SWITCHING_PROTOCOLS {
            head.set_connection_type(actix_web::http::ConnectionType::Close);
        }
        self.tell(route.as_deref().unwrap_or(UNMATCHED), status, asked, span);
        response
    }

    fn finish_failure(&self, failure: &Error, asked: &Asked, span: &mut Span) -> Problem {
        let mut problem = failure.as_error::<Problem>().cloned().unwrap_or_else(|| of_failure(failure));
        fill(&mut problem, asked);
        if let Ok(value) = ::http::HeaderValue::from_str(asked.id.as_str()) {
            problem = problem.with_header(::http::HeaderName::from_static(X_REQUEST_ID), value);
        }
        let route = self.routes.template(asked.uri.path()).unwrap_or(UNMATCHED);
        self.tell(route, ResponseError::status_code(&problem), asked, span);
        problem
    }

    /// Makes sure that a refusal is a complete problem, whoever made it.
    fn as_problem(&self, response: ServiceResponse<BoxBody>, asked: &Asked) -> ServiceResponse<BoxBody> {
        let known = response.response().extensions().get::<Problem>().cloned();
        let mut problem = match known {
            Some(problem) => problem,
            // A body of its own, such as an OAuth error (RFC 6749 §5.2), is left alone.
            None if has_own_body(response.response()) => return response,
            None => match response.response().error() {
                Some(failure) => of_failure(failure),
                None => of_status(response.status()),
            },
        };
        if problem.status == 405 && problem.headers.is_empty() {
            problem = Problem::method_not_allowed(&self.routes.allow(asked.uri.path()));
        }
        fill(&mut problem, asked);
        let (request, old) = response.into_parts();
        let mut new = problem.error_response();
        // What handlers and actix put beside the body stays, such as Allow or a cookie.
        for (name, value) in old.headers() {
            if *name != header::CONTENT_TYPE
                && *name != header::CONTENT_LENGTH
                && !new.headers().contains_key(name)
            {
                new.headers_mut().append(name.clone(), value.clone());
            }
        }
        ServiceResponse::new(request, new)
    }

    /// Metrics, access line and span.
    fn tell(&self, route: &str, status: StatusCode, asked: &Asked, span: &mut Span) {
        let took = asked.started.elapsed();
        red::observe(self.service, route, &asked.method, status, took, asked.trace.exemplar());
        if !span.is_none() {
            // Only now is it known which route it was.
            span.rename(format!("{} {route}", telemetry::known_method(asked.method.as_str())));
            span.set("http.route", route.to_owned());
            span.set("http.response.status_code", status.as_u16());
            if status.is_server_error() {
                span.fail(status.as_str().to_owned());
            }
        }
        let millis = took.as_secs_f64() * 1000.0;
        // The template and not the path: an address may hold a ticket, and ids belong into traces.
        macro_rules! line {
            ($level:ident) => {
                telemetry::sync_in_context(asked.trace, || {
                    $level!(
                        target: "access",
                        service = self.service,
                        method = asked.method.as_str(),
                        route,
                        status = status.as_u16(),
                        millis,
                        request_id = asked.id.as_str(),
                        "request"
                    )
                })
            };
        }
        if status.is_server_error() { line!(warn) } else { line!(info) }
    }
}

/// A problem where no request is left to answer: actix asks it for the answer.
struct Failure {
    problem: Problem,
    /// The connection ends with it.
    last: bool,
    unread: RefCell<Option<Unread>>,
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        ResponseError::status_code(&self.problem)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = self.problem.error_response();
        if self.last {
            response.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
        }
        match self.unread.take() {
            Some(unread) => response.map_body(|_, body| unread.hold(body)),
            None => response,
        }
    }
}

fn fill(problem: &mut Problem, asked: &Asked) {
    problem.instance.get_or_insert_with(|| asked.uri.path().to_owned());
    problem.trace_id.get_or_insert_with(|| asked.trace.trace_id());
}

fn has_own_body(response: &HttpResponse<BoxBody>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    kind.is_some_and(|kind| !kind.starts_with(b"text/plain") || kind.starts_with(PROBLEM_JSON.as_bytes()))
}

/// A refusal of actix's own extractors. Its words are about the request; a failure's are not for the client.
fn of_failure(failure: &Error) -> Problem {
    let status = failure.as_response_error().status_code();
    if status.is_server_error() {
        error!(error = %failure, "request failed");
    }
    let problem = of_status(status);
    if status.is_client_error() { problem.with_detail(failure.to_string()) } else { problem }
}

fn of_status(status: StatusCode) -> Problem {
    match status.as_u16() {
        400 => Problem::new(400, "bad-request", "Bad request"),
        401 => Problem::unauthorized("an access token is needed"),
        403 => Problem::new(403, "forbidden", "Not allowed"),
        404 => Problem::new(404, "not-found", "Not found"),
        405 => Problem::new(405, "method-not-allowed", "Method not allowed"),
        415 => Problem::unsupported_media_type(),
        500 => Problem::internal(),
        503 => Problem::new(503, "unavailable", "Temporarily unavailable")
            .with_retry_after(Duration::from_secs(1)),
        other => {
            let title = status.canonical_reason().unwrap_or("Refused");
            Problem::new(other, &title.to_ascii_lowercase().replace(' ', "-"), title)
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
