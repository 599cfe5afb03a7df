//! One request over HTTP, and what its answer means.
//!
//! | answer | outcome |
//! |---|---|
//! | 2xx, complete, with a body that can be read | ok |
//! | 4xx | refused: this request has no effect |
//! | 5xx, anything else, none, a broken one, none in time | unknown: it may have had its effect |
//!
//! Every 4xx is a refusal, also those that ask to come again (408, 425, 429: the request was never begun) and 409 with the
//! problem [`KEY_IN_USE`](crate::history::KEY_IN_USE): that request had no effect, whatever the one before it is doing under the
//! same key. 503 is unknown although the platform means it as a refusal: a gateway may say it for a service that has committed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, Method, Response,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
    redirect::Policy,
};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::history::{Call, Outcome, Recorder};

/// How long a connection may take.
const CONNECTING: Duration = Duration::from_secs(5);
/// What is longer is not an answer.
const LONGEST_BODY: usize = 1024 * 1024;
/// Shorter than servers keep connections that are idle.
const KEEP_IDLE: Duration = Duration::from_secs(3);

/// Sends requests, so many at once, and records each.
pub struct Http {
    client: Client,
    places: Semaphore,
    recorder: Recorder,
}

/// A request.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Who asks.
    pub client: u32,
    /// Where, such as `http://127.0.0.1:8080`.
    pub door: &'a str,
    /// The token.
    pub bearer: &'a str,
    /// What.
    pub call: &'a Call,
    /// The body, if it has one. The same bytes whenever it is asked again.
    pub body: Option<&'a Bytes>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// As it is recorded.
    pub outcome: Outcome,
    /// `Retry-After`, if it was a number of seconds.
    pub retry_after: Option<Duration>,
    /// The problem that a refusal told, if it can be read.
    pub problem: Option<Value>,
}

impl Http {
    /// At most `connections` requests at once, each at most so long.
    pub fn new(connections: u32, timeout: Duration, recorder: Recorder) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(timeout)
            .connect_timeout(CONNECTING.min(timeout))
            .pool_idle_timeout(KEEP_IDLE)
            .build()?;
        Ok(Self { client, places: Semaphore::new(connections as usize), recorder })
    }

    /// One request, recorded.
    pub async fn ask(&self, ask: Ask<'_>) -> Answer {
        // It is never closed, so there always is a place at last.
        let _place = self.places.acquire().await;
        let begun = self.recorder.operation(ask.client, ask.door, ask.call.clone());
        let answer = self.send(ask).await;
        begun.ended(answer.outcome.clone()).await;
        answer
    }

    async fn send(&self, ask: Ask<'_>) -> Answer {
        let (method, path, key) = route(ask.call);
        let mut request = self.client.request(method, format!("{}{path}", ask.door));
        request = request.header(AUTHORIZATION, format!("Bearer {}", ask.bearer));
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = ask.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        match request.send().await {
            Ok(response) => judge(response).await,
            Err(error) => unknown(None, reason(&error), false),
        }
    }
}

/// Method, path and Idempotency-Key of a call.
fn route(call: &Call) -> (Method, String, Option<&str>) {
    match call {
        Call::CreateProduct { key, .. } => (Method::POST, "/v1/products".to_owned(), Some(key)),
        Call::Adjust { key, .. } => (Method::POST, "/v1/inventory/adjust".to_owned(), Some(key)),
        Call::PlaceOrder { key, .. } => (Method::POST, "/v1/orders".to_owned(), Some(key)),
        Call::ReadOrder { order, .. } => (Method::GET, format!("/v1/orders/{order}"), None),
        Call::Cancel { order, key, .. } => {
            (Method::POST, format!("/v1/orders/{order}/cancel"), key.as_deref())
        }
        Call::Refund { order, key, .. } => (Method::POST, format!("/v1/orders/{order}/refund"), Some(key)),
    }
}

async fn judge(response: Response) -> Answer {
    let status = response.status();
    let header = |name| {
        response.headers().get(name).and_then(|value: &reqwest::header::HeaderValue| value.to_str().ok())
    };
    let told_to_come_again = response.headers().contains_key(RETRY_AFTER);
    let retry_after =
        header(RETRY_AFTER.as_str()).and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let replayed = header("idempotent-replayed") == Some("true");
    let body = body(response).await;
    if status.is_client_error() {
        // The head of an answer is enough for a refusal.
        let problem = body.ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok());
        let kind = problem.as_ref().and_then(|problem| problem.get("type")?.as_str());
        let kind = kind.unwrap_or("about:blank").to_owned();
        let outcome = Outcome::Refused { status: status.as_u16(), problem: kind };
        return Answer { outcome, retry_after, problem };
    }
    let outcome = match body {
        Ok(body) if status.is_success() => match readable(&body) {
            Ok(body) => Outcome::Ok { status: status.as_u16(), body, replayed },
            Err(error) => {
                return unknown(Some(status.as_u16()), format!("a body that cannot be read: {error}"), false);
            }
        },
        Ok(_) => Outcome::Unknown {
            status: Some(status.as_u16()),
            why: status.canonical_reason().unwrap_or("not a status that is expected").to_owned(),
            retriable: told_to_come_again,
        },
        Err(why) => Outcome::Unknown { status: Some(status.as_u16()), why, retriable: told_to_come_again },
    };
    Answer { outcome, retry_after, problem: None }
}

/// 204 has no body, and says enough.
fn readable(body: &[u8]) -> Result<Value, serde_json::Error> {
    if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(body) }
}

async fn body(mut response: Response) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > LONGEST_BODY => {
                return Err(format!("a body of more than {LONGEST_BODY} bytes"));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body.freeze()),
            Err(error) => return Err(format!("the body broke off: {}", reason(&error))),
        }
    }
}

fn unknown(status: Option<u16>, why: String, retriable: bool) -> Answer {
    Answer { outcome: Outcome::Unknown { status, why, retriable }, retry_after: None, problem: None }
}

/// What lies at the bottom of an error says most: `Connection refused`, `operation timed out`.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    if error.is_connect() { format!("not connected: {deepest}") } else { deepest.to_string() }
}
