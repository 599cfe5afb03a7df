//! Everything the gateway itself refuses, as values, and the one place where they become answers (RFC 9457).

use std::time::Duration;

use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Response};
use viscount_chassis::auth::AuthError;
use viscount_chassis::problem::{PROBLEM_JSON, Problem};

use crate::routes::Service;
use crate::wire::body::Body;
use crate::wire::trail::Trail;

/// Why a request got no answer from a service.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Its length can be read two ways.
    Ambiguous,
    /// Not exactly one host.
    Host,
    /// A path that two readers could understand differently.
    Path(&'static str),
    TargetTooLong,
    HeadersTooLarge,
    UnknownPath,
    WrongMethod(HeaderValue),
    Unauthenticated(AuthError),
    Forbidden,
    Limited(Duration),
    BodyTooLarge(u64),
    BodyTooSlow,
    /// The request broke off; nobody will read the answer.
    ClientGone,
    /// `?service=` names none.
    UnknownService,
    /// Not sent: no instance can be reached, or all are left alone for a while.
    Unavailable(Service, Duration),
    /// Not sent: as much under way as allowed.
    Saturated(Service),
    /// Sent, not answered in time.
    Late(Service),
    /// Sent, and the connection broke.
    Broken(Service),
    /// Nothing such in the documentation.
    NoSuchDocument,
    /// Too many ask for the metrics.
    MetricsBusy,
}

impl Refusal {
    /// Every label that there is.
    pub(crate) const LABELS: [&str; 20] = [
        "ambiguous_framing",
        "host",
        "path",
        "target_too_long",
        "headers_too_large",
        "unknown_path",
        "method",
        "unauthenticated",
        "forbidden",
        "rate_limited",
        "body_too_large",
        "body_too_slow",
        "client_gone",
        "unknown_service",
        "upstream_unavailable",
        "upstream_saturated",
        "upstream_late",
        "upstream_broken",
        "unknown_document",
        "metrics_busy",
    ];

    /// A word for the metric; one of [`LABELS`](Self::LABELS).
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Refusal::Ambiguous => "ambiguous_framing",
            Refusal::Host => "host",
            Refusal::Path(_) => "path",
            Refusal::TargetTooLong => "target_too_long",
            Refusal::HeadersTooLarge => "headers_too_large",
            Refusal::UnknownPath => "unknown_path",
            Refusal::WrongMethod(_) => "method",
            Refusal::Unauthenticated(_) => "unauthenticated",
            Refusal::Forbidden => "forbidden",
            Refusal::Limited(_) => "rate_limited",
            Refusal::BodyTooLarge(_) => "body_too_large",
            Refusal::BodyTooSlow => "body_too_slow",
            Refusal::ClientGone => "client_gone",
            Refusal::UnknownService => "unknown_service",
            Refusal::Unavailable(..) => "upstream_unavailable",
            Refusal::Saturated(_) => "upstream_saturated",
            Refusal::Late(_) => "upstream_late",
            Refusal::Broken(_) => "upstream_broken",
            Refusal::NoSuchDocument => "unknown_document",
            Refusal::MetricsBusy => "metrics_busy",
        }
    }

    fn problem(self) -> Problem {
        const SOON: Duration = Duration::from_secs(1);
        let close = |problem: Problem| problem.with_header(CONNECTION, HeaderValue::from_static("close"));
        match self {
            Refusal::Ambiguous => close(
                Problem::new(400, "ambiguous-request", "The request's length is ambiguous")
                    .with_detail("send one Content-Length, or Transfer-Encoding: chunked, and not both"),
            ),
            Refusal::Host => close(Problem::bad_request("a request names exactly one host")),
            Refusal::Path(fault) => Problem::new(400, "bad-path", "The path is refused").with_detail(fault),
            Refusal::TargetTooLong => Problem::new(414, "uri-too-long", "The request target is too long"),
            Refusal::HeadersTooLarge => {
                close(Problem::new(431, "headers-too-large", "The header fields are too many or too long"))
            }
            Refusal::UnknownPath => Problem::not_found("path"),
            Refusal::WrongMethod(allow) => Problem::method_not_allowed(allow.to_str().unwrap_or_default()),
            Refusal::Unauthenticated(error) => Problem::from(error),
            Refusal::Forbidden => Problem::forbidden("this needs a role that the token does not have"),
            Refusal::Limited(retry_after) => Problem::too_many_requests(retry_after),
            Refusal::BodyTooLarge(limit) => {
                close(Problem::payload_too_large(usize::try_from(limit).unwrap_or(usize::MAX)))
            }
            Refusal::BodyTooSlow => close(Problem::request_timeout()),
            Refusal::ClientGone => close(Problem::bad_request("the request broke off")),
            Refusal::UnknownService => Problem::bad_request("name a service with ?service=")
                .with_extension("services", Service::ALL.map(Service::name)),
            Refusal::Unavailable(service, retry_after) => {
                Problem::new(503, "upstream-unavailable", "A service is not available")
                    .with_detail(format!("{} cannot be reached; nothing was done", service.name()))
                    .with_retry_after(retry_after)
            }
            Refusal::Saturated(service) => Problem::new(503, "overloaded", "Too much at once")
                .with_detail(format!("{} has as much to do as it can; nothing was done", service.name()))
                // Not all at the same moment.
                .with_retry_after(SOON * rand::random_range(1..=3)),
            Refusal::Late(service) => {
                Problem::new(504, "upstream-timeout", "A service did not answer in time")
                    .with_detail(format!(
                        "what {} made of it is unknown; repeat with the same Idempotency-Key",
                        service.name()
                    ))
                    .with_retry_after(SOON)
            }
            Refusal::Broken(service) => Problem::new(502, "upstream-broken", "A service broke off")
                .with_detail(format!(
                    "what {} made of it is unknown; repeat with the same Idempotency-Key",
                    service.name()
                ))
                .with_retry_after(SOON),
            Refusal::NoSuchDocument => Problem::not_found("document"),
            Refusal::MetricsBusy => Problem::unavailable("too many ask for the metrics", SOON),
        }
    }

    /// The answer.
    pub(crate) fn into_response(self, trail: &Trail, path: &str) -> Response<Body> {
        let mut problem = self.problem();
        problem.instance = Some(path.to_owned());
        problem.trace_id = Some(trail.trace_id());
        let mut response = Response::new(Body::own(problem.to_json()));
        *response.status_mut() = problem.status_code();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        for (name, value) in problem.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
