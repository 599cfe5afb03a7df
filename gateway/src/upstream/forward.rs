//! One request, sent to a service within all bounds.
//!
//! What may be sent twice? A request that never left (refused connection, breaker, bulkhead) may go to another
//! instance, whatever it is. A `GET` or `HEAD` whose connection died may go once more: a kept connection can be closed
//! by the service at the very moment it is used. Anything else that was sent is answered with what is known: nothing.

use std::error::Error as StdError;
use std::time::Duration;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Notify;
use tokio::time::Instant;
use viscount_chassis::resilience::{CallError, Lane, Verdict};
use viscount_chassis::telemetry::{self, Span, SpanKind, known_method};

use super::pool::{Instance, Pool};
use crate::config::{CallConfig, Upstreams};
use crate::refusal::Refusal;
use crate::routes::Service;
use crate::wire::body::{Upload, UploadError, UploadHome};
use crate::wire::trail::{self, TRACEPARENT};

/// All services.
pub(crate) struct Upstream {
    client: Client<HttpConnector, Upload>,
    pools: Vec<Pool>,
    /// Somebody wants to know now who is ready.
    pub(crate) probe_soon: Notify,
}

/// What is sent.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) target: PathAndQuery,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Upload,
    pub(crate) deadline: Duration,
    pub(crate) lane: Lane,
    /// The route's template, for traces.
    pub(crate) route: &'static str,
    /// The largest body of the route, for the refusal's text.
    pub(crate) max_body: u64,
}

impl Upstream {
    pub(crate) fn new(upstreams: &Upstreams, config: &CallConfig) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(config.connect));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.keep_idle)
            .pool_max_idle_per_host(config.bulkhead.permits + config.patient.permits)
            // hyper-util sends again what it could not even begin to send: safe for every method.
            .retry_canceled_requests(true)
            .build(connector);
        let pools = Service::ALL.map(|service| Pool::new(service, upstreams.of(service), config));
        Upstream { client, pools: pools.into(), probe_soon: Notify::new() }
    }

    pub(crate) fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// Whether a request would be refused as [`Refusal::Saturated`], asked before anything is spent on it.
    pub(crate) fn is_shut(&self, service: Service, lane: Lane) -> bool {
        self.pool(service).is_shut(lane)
    }

    fn pool(&self, service: Service) -> &Pool {
        &self.pools[service.index()]
    }

    /// Sends a request to some instance of a service, and perhaps to another one.
    pub(crate) async fn send(&self, service: Service, call: Call) -> Result<Response<Incoming>, Refusal> {
        let pool = self.pool(service);
        pool.retries.deposit();
        let until = Instant::now() + call.deadline;
        let Call { method, target, headers, body, max_body, lane, route, .. } = call;
        let bodiless = hyper::body::Body::is_end_stream(&body);
        let safe = bodiless && (method == Method::GET || method == Method::HEAD);
        let (mut headers, body) = (Some(headers), UploadHome::new(body));
        let (mut tried, mut again) = (0u64, safe);
        let mut last = Refusal::Unavailable(service, Duration::from_secs(1));
        let mut attempts = 0;
        let members = pool.members();
        while let Some((at, instance)) = pool.choose(&members, tried) {
            tried |= 1 << at;
            attempts += 1;
            // Copied only where there can be another attempt.
            let keep = again || members.len() > 1;
            let attempt = || {
                let mut headers = if keep { headers.clone() } else { headers.take() };
                let span = client_span(service, instance, &method, route, attempts);
                if let Some(headers) = &mut headers
                    && let Some(traceparent) = span.context().and_then(trail::traceparent)
                {
                    headers.insert(TRACEPARENT, traceparent);
                }
                answered(span, self.client.request(request(instance, &method, &target, headers, body.lend())))
            };
            let left = until.saturating_duration_since(Instant::now());
            let failure = match instance.guard.call_in(lane, left, false, attempt, verdict).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let (refusal, fate) = judge(service, max_body, failure);
            last = refusal;
            let may_go_on = match fate {
                Fate::NotTried => true,
                Fate::NotSent => body.is_home() && pool.retries.withdraw(),
                Fate::Lost if again && pool.retries.withdraw() => {
                    again = false;
                    // A single instance may be asked again: its connection was stale, not itself.
                    tried = if members.len() == 1 { 0 } else { tried };
                    true
                }
                Fate::Lost | Fate::Final => false,
            };
            if !may_go_on {
                break;
            }
        }
        Err(last)
    }

    /// A small question of the gateway's own (readiness, documents), outside of guards and budgets.
    pub(crate) async fn ask(
        &self,
        instance: &Instance,
        target: PathAndQuery,
        within: Duration,
    ) -> Option<Response<Incoming>> {
        let request = request(instance, &Method::GET, &target, None, None);
        tokio::time::timeout(within, self.client.request(request)).await.ok()?.ok()
    }
}

/// One attempt (OpenTelemetry's semantic conventions for an HTTP client). It ends with the head of the answer.
fn client_span(
    service: Service,
    instance: &Instance,
    method: &Method,
    route: &'static str,
    attempt: i64,
) -> Span {
    if !telemetry::exporting() {
        return Span::none();
    }
    let method = known_method(method.as_str());
    let mut span = Span::child("gateway", SpanKind::Client, format!("{method} {route}"));
    span.set("http.request.method", method);
    span.set("url.template", route);
    span.set("server.address", instance.authority.host().to_owned());
    span.set("server.port", instance.authority.port_u16().unwrap_or(80));
    span.set("peer.service", service.name());
    if attempt > 1 {
        span.set("http.request.resend_count", attempt - 1);
    }
    span
}

async fn answered(mut span: Span, answer: ResponseFuture) -> Result<Response<Incoming>, ClientError> {
    let answer = answer.await;
    match &answer {
        _ if span.is_none() => {}
        Ok(response) => {
            let status = response.status();
            span.set("http.response.status_code", status.as_u16());
            if status.is_server_error() {
                span.fail(status.as_str().to_owned());
            }
        }
        Err(error) => span.fail(if error.is_connect() { "connect" } else { "broken" }),
    }
    answer
}

fn request(
    instance: &Instance,
    method: &Method,
    target: &PathAndQuery,
    headers: Option<HeaderMap>,
    body: Option<Upload>,
) -> Request<Upload> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(instance.authority.clone());
    parts.path_and_query = Some(target.clone());
    let mut request = Request::new(body.unwrap_or_else(Upload::empty));
    // All three parts are there, so this is a URI.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *request.method_mut() = method.clone();
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers.unwrap_or_default();
    request
}

/// Whether a failed attempt may be followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The request was never handed over.
    NotTried,
    /// It was handed over, but no connection came about.
    NotSent,
    /// It was sent, and the connection died.
    Lost,
    /// Another attempt would change nothing.
    Final,
}

fn judge(service: Service, max_body: u64, failure: CallError<ClientError>) -> (Refusal, Fate) {
    match failure {
        CallError::Open { retry_after } => (Refusal::Unavailable(service, retry_after), Fate::NotTried),
        CallError::Saturated => (Refusal::Saturated(service), Fate::NotTried),
        CallError::Limited { retry_after } => (Refusal::Unavailable(service, retry_after), Fate::NotTried),
        CallError::Deadline => (Refusal::Late(service), Fate::Final),
        CallError::Panicked => (Refusal::Broken(service), Fate::Final),
        CallError::Inner(error) => match Upload::blame(&error) {
            Some(UploadError::TooLarge) => (Refusal::BodyTooLarge(max_body), Fate::Final),
            Some(UploadError::TooSlow) => (Refusal::BodyTooSlow, Fate::Final),
            Some(UploadError::Broken(_)) => (Refusal::ClientGone, Fate::Final),
            None if error.is_connect() => {
                (Refusal::Unavailable(service, Duration::from_secs(1)), Fate::NotSent)
            }
            None => {
                tracing::debug!(service = service.name(), error = chain(&error), "upstream broke off");
                (Refusal::Broken(service), Fate::Lost)
            }
        },
    }
}

/// An answer is an answer, whatever its status: if 500s opened the breaker, one broken endpoint, or one client who
/// knows how to provoke it, would close the whole service.
fn verdict(result: &Result<Response<Incoming>, ClientError>) -> Verdict {
    match result {
        Ok(_) => Verdict::Success,
        Err(error) if Upload::blame(error).is_some() => Verdict::Neutral,
        Err(_) => Verdict::Failure,
    }
}

fn chain(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
