//! One request to the collector, for the SDK's exporter: our HTTP client, and what came of it.
//!
//! The exporter says no more than that a batch was not taken. Why it was not, and how much of one that was, stands in
//! the answers, which pass through here.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header::RETRY_AFTER};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use parking_lot::Mutex;
use prost::Message as _;
use reqwest::{Client, Url, redirect};

use super::traces::TracesConfig;

/// The longest pause that a collector can ask for.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// An answer is a few bytes. What is longer is not read.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// The way to the collector, and what came of the latest request.
pub(super) struct Post {
    http: Client,
    headers: HeaderMap,
    latest: Mutex<Latest>,
}

/// What came of a request.
#[derive(Debug, Clone, Copy)]
struct Latest {
    /// Why it failed, if it did.
    reason: &'static str,
    /// How many of its spans the collector did not want, if it did not fail.
    rejected: u64,
}

/// As long as nothing was sent: what the exporter does not even send, it refuses.
const NOTHING: Latest = Latest { reason: "refused", rejected: 0 };

impl Clone for Post {
    /// The same way, for somebody else's requests.
    fn clone(&self) -> Self {
        Post { http: self.http.clone(), headers: self.headers.clone(), latest: Mutex::new(NOTHING) }
    }
}

impl Post {
    /// Tells what is wrong with the endpoint or the headers.
    pub fn new(config: &TracesConfig) -> Result<Self, String> {
        let url: Url =
            config.url().parse().map_err(|_| "is not an address such as http://localhost:4318".to_owned())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("is not an http or https address".to_owned());
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let header = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
            // The value may be a secret.
            let (name, mut value) = header.ok_or("the headers for it are not HTTP headers")?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut http = Client::builder();
        if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            // A proxy that the environment names has no business with this machine's own address.
            http = http.no_proxy();
        }
        let http = http
            .timeout(config.timeout)
            .connect_timeout(config.timeout.min(Duration::from_secs(3)))
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Post { http, headers, latest: Mutex::new(NOTHING) })
    }

    /// Why the latest request failed.
    pub fn reason(&self) -> &'static str {
        self.latest.lock().reason
    }

    /// How many spans the collector did not want of the latest request, which it took.
    pub fn rejected(&self) -> u64 {
        self.latest.lock().rejected
    }

    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        request.headers_mut().extend(self.headers.clone());
        let answer = match self.once(request).await {
            Ok(answer) => answer,
            Err(error) => {
                let reason = if error.is_timeout() { "timeout" } else { "unreachable" };
                *self.latest.lock() = Latest { reason, rejected: 0 };
                return Err(error.into());
            }
        };
        *self.latest.lock() = Latest { reason: reason(answer.status()), rejected: rejected(&answer) };
        Ok(answer)
    }

    async fn once(&self, request: Request<Bytes>) -> reqwest::Result<Response<Bytes>> {
        let mut answer = self.http.execute(request.try_into()?).await?;
        let mut told = Response::new(Bytes::new());
        *told.status_mut() = answer.status();
        if let Some(pause) = answer.headers_mut().remove(RETRY_AFTER).and_then(capped) {
            told.headers_mut().insert(RETRY_AFTER, pause);
        }
        if answer.content_length().is_some_and(|length| length <= LONGEST_ANSWER) {
            *told.body_mut() = answer.bytes().await?;
        }
        Ok(told)
    }
}

impl HttpClient for Post {
    fn send_bytes<'a, 'future>(
        &'a self,
        request: Request<Bytes>,
    ) -> BoxFuture<'future, Result<Response<Bytes>, HttpError>>
    where
        'a: 'future,
        Self: 'future,
    {
        Box::pin(self.send(request))
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("latest", &self.latest).finish_non_exhaustive()
    }
}

fn reason(status: StatusCode) -> &'static str {
    match status {
        // These it is asked again after.
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => "overloaded",
        _ => "refused",
    }
}

fn rejected(answer: &Response<Bytes>) -> u64 {
    if !answer.status().is_success() {
        return 0;
    }
    let answer = ExportTraceServiceResponse::decode(answer.body().clone()).unwrap_or_default();
    answer.partial_success.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
}

/// Seconds, no more than we are willing to wait; the other form, a date, is passed over.
fn capped(pause: HeaderValue) -> Option<HeaderValue> {
    let asked: u64 = pause.to_str().ok()?.trim().parse().ok()?;
    Some(asked.min(LONGEST_PAUSE.as_secs()).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_pause_is_no_longer_than_we_are_willing_to_wait() {
        let capped = |asked: &'static str| capped(HeaderValue::from_static(asked));
        assert_eq!(capped("0").unwrap(), "0");
        assert_eq!(capped(" 3 ").unwrap(), "3");
        assert_eq!(capped("3600").unwrap(), "5");
        assert_eq!(capped("Fri, 31 Dec 1999 23:59:59 GMT"), None);
    }
}
