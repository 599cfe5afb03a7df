//! The calls to coordination: each with a deadline, through one breaker, with a bound on what is read.

use std::time::Duration;

use reqwest::header::{ETAG, IF_NONE_MATCH};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::outage::Outage;
use super::token::TokenSource;
use super::wire::{Instance, Page, Registration, Settings};
use crate::resilience::{BreakerConfig, CallError, Guard, GuardConfig, Verdict};

/// How long a call may take that waits for nothing.
const WITHIN: Duration = Duration::from_secs(3);
/// The longest answer that is read.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Instances on one page, and pages read.
const PAGE: usize = 200;
const MAX_PAGES: usize = 25;

/// Asks coordination.
pub struct Client {
    http: reqwest::Client,
    url: String,
    tokens: TokenSource,
    guard: Guard,
    outage: Outage,
}

/// Why a call brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody vouches for us at the moment.
    #[error("no token: {0}")]
    NoToken(String),
    /// Nobody there, or no answer in time.
    #[error("not reached: {0}")]
    Away(String),
    /// An answer, and not the one that was wished.
    #[error("answered with status {0}")]
    Status(u16),
    /// An answer that is not coordination's.
    #[error("answer not understood: {0}")]
    Unreadable(String),
}

/// What is known under this version.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned<T> {
    /// To ask for changes with.
    pub etag: Option<String>,
    /// The value.
    pub value: T,
}

struct Answer {
    status: StatusCode,
    etag: Option<String>,
    body: Vec<u8>,
}

impl Client {
    pub(super) fn new(url: String, tokens: TokenSource) -> Result<Self, String> {
        let guard = Guard::new(GuardConfig {
            deadline: WITHIN,
            breaker: BreakerConfig {
                // It is asked every few seconds: a rate would be judged by too few calls. And it must be found again
                // soon after its return.
                failure_rate: None,
                open_for: Duration::from_millis(250),
                open_at_most: Duration::from_secs(1),
                ..BreakerConfig::default()
            },
            ..GuardConfig::named("coordination")
        });
        Ok(Client { http: http_client()?, url, tokens, guard, outage: Outage::default() })
    }

    /// Where it asks.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lists an instance.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn register(&self, registration: &Registration) -> Result<(), Failure> {
        let body =
            serde_json::to_value(registration).map_err(|error| Failure::Unreadable(error.to_string()))?;
        let answer = self.ask(Method::POST, "/v1/services/register", Some(&body), None, WITHIN).await?;
        expect(&answer, &[StatusCode::OK, StatusCode::CREATED])
    }

    /// Renews an instance's lease; `false` when coordination does not know it (any more).
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn heartbeat(&self, instance: Uuid) -> Result<bool, Failure> {
        let path = format!("/v1/services/{instance}/heartbeat");
        let answer = self.ask(Method::POST, &path, None, None, WITHIN).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        expect(&answer, &[StatusCode::OK, StatusCode::NO_CONTENT]).map(|()| true)
    }

    /// Takes an instance off the list.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn leave(&self, instance: Uuid) -> Result<(), Failure> {
        let path = format!("/v1/services/{instance}");
        let answer = self.ask(Method::DELETE, &path, None, None, WITHIN).await?;
        expect(&answer, &[StatusCode::OK, StatusCode::NO_CONTENT, StatusCode::NOT_FOUND])
    }

    /// All instances, or `None` when nothing has changed since `etag` within `wait`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn instances(
        &self,
        etag: Option<&str>,
        wait: Duration,
    ) -> Result<Option<Versioned<Vec<Instance>>>, Failure> {
        let path = format!("/v1/services?limit={PAGE}");
        let Some(first) = self.changed::<Page>(&path, etag, wait).await? else { return Ok(None) };
        let Page { mut items, mut next_cursor } = first.value;
        // The tag is the first page's alone: with more of them there is nothing to wait for.
        let etag = first.etag.filter(|_| next_cursor.is_none());
        for _ in 1..MAX_PAGES {
            let Some(cursor) = next_cursor.take() else { break };
            let cursor: String = form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
            let path = format!("{path}&cursor={cursor}");
            let Some(page) = self.changed::<Page>(&path, None, Duration::ZERO).await? else { break };
            items.extend(page.value.items);
            next_cursor = page.value.next_cursor;
        }
        Ok(Some(Versioned { etag, value: items }))
    }

    /// The settings of a service (`all`: of everyone), or `None` when nothing has changed since `etag` within `wait`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn settings(
        &self,
        service: &str,
        etag: Option<&str>,
        wait: Duration,
    ) -> Result<Option<Versioned<Settings>>, Failure> {
        match self.changed(&format!("/v1/config/{service}"), etag, wait).await {
            // Nothing was ever set.
            Err(Failure::Status(404)) => Ok(Some(Versioned { etag: None, value: Settings::default() })),
            other => other,
        }
    }

    async fn changed<T: DeserializeOwned>(
        &self,
        path: &str,
        etag: Option<&str>,
        wait: Duration,
    ) -> Result<Option<Versioned<T>>, Failure> {
        let separator = if path.contains('?') { '&' } else { '?' };
        // Without a version to compare with, there is nothing to wait for.
        let (path, within) = match etag {
            Some(_) if !wait.is_zero() => {
                (format!("{path}{separator}wait={}", wait.as_secs()), wait + WITHIN)
            }
            _ => (path.to_owned(), WITHIN),
        };
        let answer = self.ask(Method::GET, &path, None, etag, within).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        expect(&answer, &[StatusCode::OK])?;
        let value =
            serde_json::from_slice(&answer.body).map_err(|error| Failure::Unreadable(error.to_string()))?;
        Ok(Some(Versioned { etag: answer.etag, value }))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
        etag: Option<&str>,
        within: Duration,
    ) -> Result<Answer, Failure> {
        let attempt = || self.attempt(method.clone(), path, body, etag, within);
        let outcome =
            self.guard.call_within(within, false, attempt, verdict).await.map_err(|error| match error {
                CallError::Inner(failure) => failure,
                other => Failure::Away(other.to_string()),
            });
        match &outcome {
            Ok(answer) if !answer.status.is_server_error() => self.outage.answered(),
            Ok(answer) => self.outage.failed(&Failure::Status(answer.status.as_u16())),
            Err(failure) => self.outage.failed(failure),
        }
        outcome
    }

    async fn attempt(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        etag: Option<&str>,
        within: Duration,
    ) -> Result<Answer, Failure> {
        let token = self.tokens.token().await.map_err(Failure::NoToken)?;
        let mut request =
            self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&token).timeout(within);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let answer = request.send().await.map_err(|error| Failure::Away(error.without_url().to_string()))?;
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED {
            self.tokens.refused(&token).await;
        }
        let etag = answer.headers().get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = bounded(answer, MAX_BYTES).await.map_err(Failure::Away)?;
        Ok(Answer { status, etag, body })
    }
}

fn expect(answer: &Answer, wished: &[StatusCode]) -> Result<(), Failure> {
    if wished.contains(&answer.status) { Ok(()) } else { Err(Failure::Status(answer.status.as_u16())) }
}

/// An answer is an answer; who has no token has asked nobody.
fn verdict(result: &Result<Answer, Failure>) -> Verdict {
    match result {
        Ok(answer) if answer.status.is_server_error() => Verdict::Failure,
        Ok(_) => Verdict::Success,
        Err(Failure::NoToken(_)) => Verdict::Neutral,
        Err(_) => Verdict::Failure,
    }
}

/// A client without timeouts of its own: each request brings one.
pub(super) fn http_client() -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(1))
        // Shorter than a service keeps its side open.
        .pool_idle_timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| format!("http client: {error}"))
}

/// A whole body, up to a bound.
pub(super) async fn bounded(mut answer: Response, most: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.without_url().to_string())? {
        if body.len() + chunk.len() > most {
            return Err("an answer larger than any of coordination's".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
