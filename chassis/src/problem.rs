//! What a client is told when something is refused or fails: RFC 9457 `application/problem+json`.
//!
//! One value for every service and for the gateway, whatever HTTP library is around it. The HTTP layer fills in
//! `instance` and `trace_id`; who refuses says why, in words that are safe to show. Database text, secrets and other
//! people's data never get into a [`Problem`].

use std::borrow::Cow;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::{error, warn};
use viscount_actors::AskError;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// One refusal or failure, as the client sees it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// A stable URI reference that names the kind of problem, such as `/problems/insufficient-stock`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Cow<'static, str>,
    /// The kind of problem in a few words; the same for every occurrence.
    #[schema(value_type = String)]
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence, for a human.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The trace to quote when asking for help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Which fields of the request are at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Members of this kind of problem alone, such as the lines that are short of stock.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub extensions: Map<String, Value>,
    /// Header fields that belong to the answer, such as `Retry-After`.
    #[serde(skip)]
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// One field of the request that is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer (RFC 6901) into the request body, such as `/lines/0/quantity`.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Problem {
    /// A problem of the kind `/problems/<slug>`.
    pub fn new(status: u16, slug: &str, title: impl Into<Cow<'static, str>>) -> Self {
        Problem {
            kind: Cow::Owned(format!("/problems/{slug}")),
            title: title.into(),
            status,
            detail: None,
            instance: None,
            trace_id: None,
            errors: Vec::new(),
            extensions: Map::new(),
            headers: Vec::new(),
        }
    }

    /// 400: the request is not usable as it stands.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, "bad-request", "Bad request").with_detail(detail)
    }

    /// 400: the body cannot be parsed at all.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(400, "malformed", "The request body cannot be parsed").with_detail(detail)
    }

    /// 400: a header field that this request needs is missing.
    pub fn missing_header(name: &str) -> Self {
        Self::new(400, "missing-header", "A required header is missing")
            .with_detail(format!("this request needs the header {name}"))
    }

    /// 401, with the challenge that RFC 9110 demands.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(401, "unauthorized", "Authentication is required")
            .with_detail(detail)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: known, but not allowed.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(403, "forbidden", "Not allowed").with_detail(detail)
    }

    /// 404: there is no such thing, or it belongs to somebody else. `what` names it, such as `order`.
    pub fn not_found(what: &str) -> Self {
        Self::new(404, "not-found", "Not found").with_detail(format!("there is no such {what}"))
    }

    /// 405: the path is known, the method is not for it. `allow` is the value of the `Allow` header: `GET, POST`.
    pub fn method_not_allowed(allow: &str) -> Self {
        Self::new(405, "method-not-allowed", "Method not allowed")
            .with_detail(if allow.is_empty() {
                "this path knows other methods".to_owned()
            } else {
                format!("this path knows {allow}")
            })
            .with_text_header(header::ALLOW, allow)
    }

    /// 408: the body did not arrive in time.
    pub fn request_timeout() -> Self {
        Self::new(408, "request-timeout", "The request took too long to arrive")
    }

    /// 409: refused because of the state things are in.
    pub fn conflict(slug: &str, title: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::new(409, slug, title).with_detail(detail)
    }

    /// 412: `If-Match` names a version that is no longer current.
    pub fn precondition_failed() -> Self {
        Self::new(412, "precondition-failed", "Changed in the meantime")
            .with_detail("the version in If-Match is not the current one; read it again")
    }

    /// 428: an update without `If-Match` could overwrite what somebody else just wrote.
    pub fn precondition_required() -> Self {
        Self::new(428, "precondition-required", "If-Match is required")
            .with_detail("send If-Match with the ETag you last read")
    }

    /// 413: the body is larger than this path takes.
    pub fn payload_too_large(limit: usize) -> Self {
        Self::new(413, "payload-too-large", "The request body is too large")
            .with_detail(format!("at most {limit} bytes are taken here"))
    }

    /// 415: not JSON.
    pub fn unsupported_media_type() -> Self {
        Self::new(415, "unsupported-media-type", "Unsupported media type")
            .with_detail("send the body as application/json")
    }

    /// 422: well-formed, understood, refused. Say which fields with [`Problem::with_error`].
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(422, "unprocessable", "The request was understood but cannot be accepted")
            .with_detail(detail)
    }

    /// 429: too much at once from this caller.
    pub fn too_many_requests(retry_after: Duration) -> Self {
        Self::new(429, "rate-limited", "Too many requests").with_retry_after(retry_after)
    }

    /// 500: our fault. What happened is in the log, under the trace id.
    pub fn internal() -> Self {
        Self::new(500, "internal", "Internal error")
            .with_detail("this is our fault; nothing more can be said here")
    }

    /// 503: not now. Nothing was done unless `detail` says otherwise.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(503, "unavailable", "Temporarily unavailable")
            .with_detail(detail)
            .with_retry_after(retry_after)
    }

    /// 503: the answer was not ready in time. Whether it took effect is unknown: ask, or repeat with the same key.
    pub fn deadline() -> Self {
        Self::new(503, "deadline", "The answer took too long")
            .with_detail("the outcome is unknown; repeat with the same Idempotency-Key or read the state")
            .with_retry_after(Duration::from_secs(1))
    }

    /// The same problem, with this occurrence described.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same problem, with one more field at fault.
    #[must_use]
    pub fn with_error(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// The same problem, with one more member. A value that cannot be JSON is left out.
    #[must_use]
    pub fn with_extension(mut self, key: impl Into<String>, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.extensions.insert(key.into(), value);
        }
        self
    }

    /// The same problem, with this header field in the answer, in place of one of the same name.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value));
        self
    }

    /// The same problem with `Retry-After`, in whole seconds, at least one.
    #[must_use]
    pub fn with_retry_after(self, after: Duration) -> Self {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    fn with_text_header(self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => self.with_header(name, value),
            Err(_) => self,
        }
    }

    /// The status as a type; 500 when it is none.
    pub fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The body, of type [`PROBLEM_JSON`].
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and a map of JSON values always serialize; the fallback keeps the answer well-formed.
        serde_json::to_vec(self).unwrap_or_else(|_| b"{}".to_vec())
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.title)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Problem {}

impl actix_web::ResponseError for Problem {
    fn status_code(&self) -> actix_web::http::StatusCode {
        actix_web::http::StatusCode::from_u16(self.status)
            .unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> actix_web::HttpResponse {
        let mut answer = actix_web::HttpResponse::build(actix_web::ResponseError::status_code(self));
        answer.content_type(PROBLEM_JSON);
        // actix speaks version 0.2 of the `http` types, the rest of us version 1: over the bytes.
        for (name, value) in &self.headers {
            answer.insert_header((name.as_str(), value.as_bytes()));
        }
        let mut response = answer.body(self.to_json());
        // The layer around all handlers takes the value from here, fills in instance and trace id, and renders again.
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl From<sqlx::Error> for Problem {
    /// The database is away or overloaded: 503. Anything else is our bug: 500. Its own text is never shown, and it is
    /// not logged either where it may quote a value.
    fn from(error: sqlx::Error) -> Self {
        let database = error.as_database_error();
        let code = database.and_then(|refused| refused.code()).unwrap_or_default();
        let constraint = database.and_then(|refused| refused.constraint()).unwrap_or_default();
        if crate::store::is_unavailable(&error) {
            warn!(code = &*code, kind = kind_of(&error), "database unavailable");
            return Problem::unavailable("the database cannot be reached", Duration::from_secs(1));
        }
        match code.get(..2) {
            // A data exception: a value that no column can hold (NUL, out of range). The request is at fault.
            Some("22") => {
                warn!(code = &*code, "value refused by the database");
                Problem::unprocessable("a value is not acceptable")
            }
            // A constraint that no rejection of the service's own foresaw.
            Some("23") => {
                warn!(code = &*code, constraint, "constraint refused by the database");
                Problem::conflict("conflict", "Conflict", "this contradicts what is stored")
            }
            _ => {
                error!(code = &*code, constraint, kind = kind_of(&error), "database error");
                Problem::internal()
            }
        }
    }
}

/// The variant's name alone: `Debug` of what is in it may hold values.
fn kind_of(error: &sqlx::Error) -> String {
    let text = format!("{error:?}");
    text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned()
}

impl From<AskError> for Problem {
    /// An actor that gave no answer is always "not now": the client may repeat with the same Idempotency-Key.
    fn from(error: AskError) -> Self {
        let soon = Duration::from_secs(1);
        match error {
            AskError::Overloaded => Problem::new(503, "overloaded", "Too much to do")
                .with_detail("nothing was done")
                .with_retry_after(soon),
            AskError::Unavailable(reason) => {
                warn!(reason, "entity unavailable");
                Problem::unavailable("this cannot be reached at the moment; nothing was done", soon)
            }
            AskError::Quarantined { .. } => {
                Problem::new(503, "quarantined", "Set aside after repeated failures")
                    .with_detail(
                        "this one failed too often and waits for an operator to release it; nothing was done",
                    )
                    .with_retry_after(Duration::from_secs(60))
            }
            AskError::Stopping => {
                Problem::unavailable("this process is about to end; nothing was done", soon)
            }
            AskError::TimedOut | AskError::Panicked | AskError::Dropped => Problem::deadline(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use actix_web::ResponseError;
    use serde_json::json;

    use super::*;

    fn json_of(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.to_json()).unwrap()
    }

    #[test]
    fn a_problem_is_what_rfc_9457_says() {
        let problem = Problem::conflict("insufficient-stock", "Not enough in stock", "two lines are short")
            .with_error("/lines/0/quantity", "3 wanted, 1 available")
            .with_extension("lines", json!([{"wanted": 3, "available": 1}]));
        let expected = json!({
            "type": "/problems/insufficient-stock",
            "title": "Not enough in stock",
            "status": 409,
            "detail": "two lines are short",
            "errors": [{"pointer": "/lines/0/quantity", "detail": "3 wanted, 1 available"}],
            "lines": [{"wanted": 3, "available": 1}],
        });
        assert_eq!(json_of(&problem), expected);
    }

    #[test]
    fn headers_come_along_once() {
        let problem = Problem::unavailable("not now", Duration::from_millis(1))
            .with_retry_after(Duration::from_millis(2100));
        let answer = problem.error_response();
        let values: Vec<_> = answer.headers().get_all("retry-after").collect();
        assert_eq!(values, ["3"]);
        assert_eq!(answer.status(), 503);
        let nasty = Problem::method_not_allowed("GET\r\nx: y");
        assert!(nasty.error_response().headers().get("x").is_none());
    }

    #[test]
    fn an_actor_without_an_answer_is_503_and_says_nothing_of_the_inside() {
        let errors = [
            AskError::Overloaded,
            AskError::TimedOut,
            AskError::Panicked,
            AskError::Dropped,
            AskError::Unavailable("password=hunter2".to_owned()),
            AskError::Stopping,
            AskError::Quarantined { kind: "order", id: "hunter2".to_owned() },
        ];
        for error in errors {
            let problem = Problem::from(error.clone());
            assert_eq!(problem.status, 503, "{error}");
            assert!(problem.headers.iter().any(|(name, _)| name == header::RETRY_AFTER), "{error}");
            assert!(!json_of(&problem).to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_database_that_is_away_is_503_and_its_words_stay_inside() {
        let io = sqlx::Error::Io(std::io::Error::other("secret-host refused"));
        for (error, status) in [
            (io, 503),
            (sqlx::Error::PoolTimedOut, 503),
            (sqlx::Error::ColumnNotFound("secret".to_owned()), 500),
        ] {
            let problem = Problem::from(error);
            assert_eq!(problem.status, status);
            assert!(!json_of(&problem).to_string().contains("secret"));
        }
    }
}
