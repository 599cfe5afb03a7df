//! The HTTP client of the SDK's exporters, which remembers what came of the latest request.
//!
//! The exporter says no more than that a batch was not taken. Why it was not, and how much of one that was, stands in
//! the answers, which pass through here.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use parking_lot::Mutex;
use prost::Message as _;
use reqwest::{Client, Url, redirect};

use super::traces::TracesConfig;

/// The client for one configuration. Tells what is wrong with the endpoint or the headers.
pub(super) fn client(config: &TracesConfig) -> Result<Client, String> {
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
    http.default_headers(headers)
        .timeout(config.timeout)
        .connect_timeout(config.timeout.min(Duration::from_secs(3)))
        .redirect(redirect::Policy::none())
        .build()
        .map_err(|error| error.to_string())
}

/// The way to the collector for one exporter.
#[derive(Debug)]
pub(super) struct Post {
    http: Client,
    latest: Mutex<Latest>,
}

/// What came of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Latest {
    /// Why it failed, if it did.
    pub reason: &'static str,
    /// How many of its spans the collector did not want, if it did not fail.
    pub rejected: u64,
}

impl Post {
    pub fn new(http: Client) -> Self {
        // What the exporter does not even send, it refuses.
        Post { http, latest: Mutex::new(Latest { reason: "refused", rejected: 0 }) }
    }

    /// What came of the latest request.
    pub fn latest(&self) -> Latest {
        *self.latest.lock()
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.http.send_bytes(request).await;
        let reason = match &answer {
            Ok(answer) => reason(answer.status()),
            Err(error) if is_timeout(error) => "timeout",
            Err(_) => "unreachable",
        };
        *self.latest.lock() = Latest { reason, rejected: answer.as_ref().map_or(0, rejected) };
        answer
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

fn is_timeout(error: &HttpError) -> bool {
    error.downcast_ref().is_some_and(reqwest::Error::is_timeout)
}

fn reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        // After these the exporter asks again.
        429 | 502..=504 => "overloaded",
        _ => "refused",
    }
}

fn rejected(answer: &Response<Bytes>) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer.body().clone()).unwrap_or_default();
    answer.partial_success.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
}
