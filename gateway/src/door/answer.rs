//! Around the way of a request: its ids, its time, its log line, its metrics.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::Instant;
use viscount_chassis::telemetry::{self, Span, SpanKind, TraceContext, in_context, known_method};

use super::{Door, Found};
use crate::metrics::Held;
use crate::refusal::Refusal;
use crate::routes::ROUTES;
use crate::server::Peer;
use crate::wire::body::Body;
use crate::wire::trail::{Trail, X_REQUEST_ID, incoming_traceparent};

/// RFC 7240.
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The longest wait that is added to a deadline; a service caps it for itself.
const MAX_WAIT: Duration = Duration::from_secs(30);

impl Door {
    /// Answers one request, whatever comes of it.
    pub(crate) async fn answer(&self, peer: Arc<Peer>, request: Request<Incoming>) -> Response<Body> {
        let parent = incoming_traceparent(request.headers()).and_then(TraceContext::parse);
        let span = server_span(&request, parent);
        let trace =
            span.context().unwrap_or_else(|| parent.map_or_else(TraceContext::new_root, TraceContext::child));
        in_context(trace, self.answer_in_trace(peer, request, trace, span)).await
    }

    async fn answer_in_trace(
        &self,
        peer: Arc<Peer>,
        request: Request<Incoming>,
        trace: TraceContext,
        mut span: Span,
    ) -> Response<Body> {
        let started = Instant::now();
        let _in_flight = Held::new(&self.metrics.in_flight);
        let trail = Trail::new(request.headers(), trace);
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let mut found = Found::default();
        let result = self.pass(&peer, request, &trail, &mut found).await;
        let mut turned_away = false;
        let mut response = result.unwrap_or_else(|refusal| {
            self.metrics.refused(&refusal);
            turned_away = matches!(refusal, Refusal::Saturated(_) | Refusal::Limited(_));
            if turned_away {
                self.turned_away.add(refusal.label());
            }
            refusal.into_response(&trail, uri.path())
        });
        if let Some(within) = found.within {
            within.write(response.headers_mut());
        }
        response.headers_mut().insert(X_REQUEST_ID, trail.request_id.clone());
        let took = started.elapsed();
        self.metrics.answered(found.route, response.status(), took, trail.trace.exemplar());
        tell(&mut span, &method, found.route, response.status(), turned_away);
        log(&method, found.route, response.status(), took, &trail, turned_away);
        response
    }
}

/// OpenTelemetry's semantic conventions for an HTTP server. Probes and scrapes belong to nothing; they are told only
/// where whoever asks has a trace.
fn server_span(request: &Request<Incoming>, parent: Option<TraceContext>) -> Span {
    let path = request.uri().path();
    if !telemetry::exporting() || parent.is_none() && matches!(path, "/livez" | "/readyz" | "/metrics") {
        return Span::none();
    }
    let mut span = Span::after("gateway", SpanKind::Server, "", parent);
    span.set("url.scheme", "http");
    span.set("url.path", path.to_owned());
    span
}

fn tell(span: &mut Span, method: &Method, route: Option<usize>, status: StatusCode, turned_away: bool) {
    if span.is_none() {
        return;
    }
    let method = known_method(method.as_str());
    span.set("http.request.method", method);
    span.set("http.response.status_code", status.as_u16());
    match route.map(|route| ROUTES[route].path) {
        Some(route) => {
            span.set("http.route", route);
            span.rename(format!("{method} {route}"));
        }
        None => span.rename(method),
    }
    // Those turned away under a flood are no failures: to keep each of them would make the flood larger.
    if turned_away {
        span.set("viscount.turned_away", true);
    } else if status.is_server_error() {
        span.fail(status.as_str().to_owned());
    }
}

/// One line for each request, loud as it deserves: successes at debug, since a line costs about as much as passing a
/// request on, and the metrics count them. Those turned away are told by number (see `tally`). The path is the route's template: no ids, no query, no tickets.
fn log(
    method: &Method,
    route: Option<usize>,
    status: StatusCode,
    took: Duration,
    trail: &Trail,
    turned_away: bool,
) {
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "access",
                method = method.as_str(),
                route = route.map_or("unmatched", |route| ROUTES[route].path),
                status = status.as_u16(),
                micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                request_id = trail.request_id(),
                "request"
            )
        };
    }
    match status.as_u16() {
        _ if turned_away => line!(debug),
        500.. => line!(warn),
        400.. => line!(info),
        _ => line!(debug),
    }
}

/// How long the client is ready to wait for the outcome: `Prefer: wait=5`.
pub(super) fn wished_wait(headers: &HeaderMap) -> Duration {
    headers
        .get_all(PREFER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|preference| preference.trim().strip_prefix("wait=")?.trim().parse().ok())
        .map_or(Duration::ZERO, |seconds| Duration::from_secs(seconds).min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_wished_wait_is_read_and_bounded() {
        let wait = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(PREFER, value.parse().unwrap());
            wished_wait(&headers).as_secs()
        };
        assert_eq!(wait("wait=5"), 5);
        assert_eq!(wait("return=minimal, wait=7"), 7);
        assert_eq!(wait("wait=9999999"), 30);
        assert_eq!(wait("wait=-1"), 0);
        assert_eq!(wait("respond-async"), 0);
        assert_eq!(wished_wait(&HeaderMap::new()), Duration::ZERO);
    }
}
