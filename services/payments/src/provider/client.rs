//! Asking the provider until the answer is known, or for as long as is reasonable.

use std::time::Duration;

use metrics::counter;
use reqwest::{Client, Method, StatusCode, Url, redirect};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, sleep_until};
use viscount_actors::faults::{FaultKind, Faults};
use viscount_chassis::resilience::{
    BreakerConfig, BreakerState, BulkheadConfig, CallError, Guard, GuardConfig, LimiterConfig, RetryConfig,
    Verdict,
};
use viscount_chassis::telemetry::{self, Span, SpanKind, current_trace};
use viscount_contracts::{Currency, Money, OrderId};

use super::wire::{self, Failure, IDEMPOTENCY_KEY, List, Metadata, NewCharge, NewRefund, Status, meta};
use crate::{
    domain::{Answer, Call},
    metrics as names,
};

/// How the provider is reached.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Where it is, such as `http://127.0.0.1:8089`.
    pub url: String,
    /// How long one question may take in all, repetitions included, before it becomes a pending one.
    pub timeout: Duration,
    /// Calls under way at once.
    pub concurrency: usize,
    /// The provider's own limit, in calls a second, when it has one.
    pub limit: Option<LimiterConfig>,
}

/// The provider cannot be spoken to at all.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Not an absolute http or https address.
    #[error("not an absolute http or https address")]
    Url,
    /// The client could not be made (TLS).
    #[error(transparent)]
    Client(#[from] reqwest::Error),
}

/// Our side of the provider. Share it by `Arc`.
pub struct Provider {
    http: Client,
    base: Url,
    /// The base for others to read: without credentials.
    shown: String,
    guard: Guard,
    timeout: Duration,
    faults: Option<Faults>,
}

/// The name of the breaker before the provider, in metrics and for operators.
pub const BREAKER: &str = "payment_provider";
/// The first pause after an answer that says nothing; doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_millis(800);
/// How often we look what became of a request that is not answered.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The provider's texts are cut here.
const LONGEST_TEXT: usize = 300;

/// One question, ready to be sent any number of times.
struct Question {
    path: &'static str,
    /// Of the order for its charge, `refund-` and its id for a refund: a provider has one space of keys for all that it
    /// does, and the refund that an order asks for by itself has the order's id.
    key: String,
    /// Absent when it is only to be found out, not done.
    body: Option<Vec<u8>>,
    read: fn(StatusCode, &[u8]) -> Heard,
    read_list: fn(&[u8]) -> Heard,
}

/// What one exchange told.
#[derive(Debug)]
enum Heard {
    /// This is known now.
    Known(Answer),
    /// Nothing was sent: the breaker is open, or a bound is reached. Asking again at once would not help.
    NotSent,
    /// The answer says nothing, or there was none.
    Unclear,
}

type Exchanged = (StatusCode, bytes::Bytes);

impl Provider {
    /// A client with its own connections and guard.
    pub fn new(config: &ProviderConfig) -> Result<Self, ProviderError> {
        let base: Url = config.url.parse().map_err(|_| ProviderError::Url)?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(ProviderError::Url);
        }
        let mut http = Client::builder()
            .connect_timeout(config.timeout.min(Duration::from_secs(1)))
            .timeout(config.timeout)
            .pool_max_idle_per_host(config.concurrency)
            .redirect(redirect::Policy::none());
        if matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            // A proxy that the environment names has no business with this machine's own address.
            http = http.no_proxy();
        }
        let guard = Guard::new(GuardConfig {
            deadline: config.timeout,
            bulkhead: BulkheadConfig {
                permits: config.concurrency,
                max_waiting: config.concurrency * 4,
                standing: None,
            },
            // Orders wait for the provider to come back: it is probed every few seconds.
            breaker: BreakerConfig {
                consecutive_failures: 10,
                open_at_most: Duration::from_secs(4),
                ..BreakerConfig::default()
            },
            limiter: config.limit,
            // Questions that only read are tried again here; those that move money, in `ask`, after looking.
            retry: Some(RetryConfig { max_retries: 1, ..RetryConfig::default() }),
            ..GuardConfig::named(BREAKER)
        });
        let shown = base.origin().ascii_serialization();
        Ok(Self { http: http.build()?, base, shown, guard, timeout: config.timeout, faults: None })
    }

    /// The same, with what is to go wrong on demand: `provider_down` answers 503 in the provider's place, `provider_slow`
    /// takes longer before it is asked. Both inside the guard, so that the breaker sees them.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        faults.offer(FaultKind::ProviderDown);
        faults.offer(FaultKind::ProviderSlow);
        Self { faults: Some(faults), ..self }
    }

    /// Whether calls are let through; not while the provider failed too often lately.
    pub fn breaker(&self) -> BreakerState {
        self.guard.state()
    }

    /// Asks, and asks again, for a short while in all. The key makes it safe to repeat.
    ///
    /// An answer that says nothing (none in time, connection lost, 5xx) is followed by a look at what became of the
    /// key; only when the provider says that it was never asked is the request sent again.
    pub async fn ask(&self, order: OrderId, call: &Call) -> Answer {
        self.settle(&Question::of(order, call), false).await
    }

    /// The same for a question that was asked before: looks first.
    pub async fn ask_again(&self, order: OrderId, call: &Call) -> Answer {
        self.settle(&Question::of(order, call), true).await
    }

    async fn settle(&self, question: &Question, mut look: bool) -> Answer {
        let deadline = Instant::now() + self.timeout;
        let mut pause = FIRST_PAUSE;
        loop {
            let heard = if look {
                self.look_up(question, deadline).await
            } else {
                self.send(question, deadline).await
            };
            match heard {
                Heard::Known(Answer::NeverSeen) if question.body.is_some() => {
                    look = false;
                    continue;
                }
                Heard::Known(answer) => return answer,
                Heard::NotSent => return Answer::Unknown,
                Heard::Unclear => {}
            }
            look = true;
            counter!(names::ASKED_AGAIN).increment(1);
            let next = Instant::now() + pause.mul_f64(rand::random_range(0.7..1.3));
            if next >= deadline {
                return Answer::Unknown;
            }
            sleep_until(next).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Sends the request. While it is not answered for long, looks beside it what became of it: the answer may be lost.
    async fn send(&self, question: &Question, deadline: Instant) -> Heard {
        let Some(body) = &question.body else { return self.look_up(question, deadline).await };
        let left = deadline.saturating_duration_since(Instant::now());
        let exchange =
            || self.exchange(Method::POST, question.path, Some((question.key.as_str(), body.clone())));
        let answered = self.guard.call_within(left, false, exchange, verdict);
        let found = async {
            sleep(self.timeout / 3).await;
            loop {
                match self.look_up(question, deadline).await {
                    Heard::Known(answer @ (Answer::Done { .. } | Answer::Refused { .. })) => return answer,
                    _ => sleep(LOOK_EVERY).await,
                }
            }
        };
        tokio::select! {
            biased;
            result = answered => heard(result, question.read),
            answer = found => Heard::Known(answer),
        }
    }

    /// Asks what became of a key.
    async fn look_up(&self, question: &Question, deadline: Instant) -> Heard {
        let left = deadline.saturating_duration_since(Instant::now()).min(self.timeout / 2);
        let path = format!("{}?idempotency_key={}", question.path, question.key);
        let result =
            self.guard.call_within(left, true, || self.exchange(Method::GET, &path, None), verdict).await;
        heard(result, |status, body| match status {
            StatusCode::OK => (question.read_list)(body),
            _ => Heard::Unclear,
        })
    }

    /// An exchange that is given up before its end shows as a span without a status.
    fn span(&self, method: &Method, path: &str) -> Span {
        if !telemetry::exporting() {
            return Span::none();
        }
        let template = path.split_once('?').map_or(path, |(template, _)| template);
        let name = format!("{method} {template}");
        let mut span = Span::child(crate::NAME, SpanKind::Client, name);
        span.set("http.request.method", telemetry::known_method(method.as_str()));
        span.set("url.template", template.to_owned());
        span.set("url.full", format!("{}{template}", self.shown));
        span.set("server.address", self.base.host_str().unwrap_or_default().to_owned());
        span.set("server.port", self.base.port_or_known_default().unwrap_or_default());
        span.set("peer.service", "payment-provider");
        span
    }

    fn exchange(
        &self,
        method: Method,
        path: &str,
        post: Option<(&str, Vec<u8>)>,
    ) -> impl Future<Output = Result<Exchanged, reqwest::Error>> + use<> {
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let mut span = self.span(&method, path);
        let mut request = self.http.request(method, url);
        let traceparent = span.context().or_else(current_trace);
        if let Some(traceparent) = traceparent {
            request = request.header("traceparent", traceparent.to_string());
        }
        if let Some((key, body)) = post {
            request = request
                .header(IDEMPOTENCY_KEY, key)
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body);
        }
        let happens = |kind| self.faults.as_ref().and_then(|faults| faults.happens(kind));
        let (slow, down) = (happens(FaultKind::ProviderSlow), happens(FaultKind::ProviderDown));
        async move {
            let answered = async {
                if let Some(slow) = slow {
                    sleep(slow.delay()).await;
                }
                if down.is_some() {
                    return Ok((StatusCode::SERVICE_UNAVAILABLE, bytes::Bytes::new()));
                }
                let response = request.send().await?;
                Ok((response.status(), response.bytes().await?))
            };
            let answered = answered.await;
            told(&mut span, &answered);
            answered
        }
    }
}

/// What became of an exchange (OpenTelemetry's conventions for HTTP clients).
fn told(span: &mut Span, answered: &Result<Exchanged, reqwest::Error>) {
    match answered {
        Ok((status, _)) => {
            span.set("http.response.status_code", status.as_u16());
            // Also a refused card: 402 is an answer, but whoever looks for it should find it.
            if status.is_client_error() || status.is_server_error() {
                span.fail(status.as_str().to_owned());
            }
        }
        Err(error) if error.is_timeout() => span.fail("timeout"),
        Err(error) if error.is_connect() => span.fail("connect"),
        Err(_) => span.fail("broken"),
    }
}

impl Question {
    fn of(order: OrderId, call: &Call) -> Self {
        match call {
            Call::Charge(terms) => {
                let body = NewCharge {
                    amount: terms.amount.amount(),
                    currency: terms.amount.currency().to_string(),
                    source: terms.token.clone(),
                    capture: true,
                    metadata: Metadata::from([
                        (meta::ORDER.to_owned(), order.to_string()),
                        (meta::CUSTOMER.to_owned(), terms.customer.to_string()),
                    ]),
                };
                Self { body: serde_json::to_vec(&body).ok(), ..Self::about_charge(order) }
            }
            Call::FindCharge => Self::about_charge(order),
            Call::Refund { id, amount, charge } => {
                let body = NewRefund {
                    charge: charge.clone(),
                    amount: amount.amount(),
                    metadata: Metadata::from([
                        (meta::ORDER.to_owned(), order.to_string()),
                        (meta::REFUND.to_owned(), id.to_string()),
                    ]),
                };
                Self {
                    path: "/v1/refunds",
                    key: format!("refund-{id}"),
                    body: serde_json::to_vec(&body).ok(),
                    read: |status, body| read(status, body, wire::Refund::answer),
                    read_list: |body| read_list(body, wire::Refund::answer),
                }
            }
        }
    }

    fn about_charge(order: OrderId) -> Self {
        Self {
            path: "/v1/charges",
            key: order.to_string(),
            body: None,
            read: |status, body| read(status, body, wire::Charge::answer),
            read_list: |body| read_list(body, wire::Charge::answer),
        }
    }
}

/// What a result says about the provider's health. Refusals are a healthy provider's answers.
fn verdict(result: &Result<Exchanged, reqwest::Error>) -> Verdict {
    match result {
        Ok((status, _)) if status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS => {
            Verdict::Retryable
        }
        Ok(_) => Verdict::Success,
        Err(_) => Verdict::Retryable,
    }
}

fn heard(
    result: Result<Exchanged, CallError<reqwest::Error>>,
    read: impl FnOnce(StatusCode, &[u8]) -> Heard,
) -> Heard {
    match result {
        Ok((status, body)) => read(status, &body),
        Err(error) if error.is_refusal() => {
            tracing::debug!(%error, "provider not asked");
            Heard::NotSent
        }
        Err(error) => {
            tracing::debug!(%error, "no answer from the provider");
            Heard::Unclear
        }
    }
}

fn read<T: DeserializeOwned>(status: StatusCode, body: &[u8], answer: fn(&T) -> Option<Answer>) -> Heard {
    match status {
        StatusCode::OK | StatusCode::CREATED => {
            let object: Option<T> = serde_json::from_slice(body).ok();
            object.and_then(|object| answer(&object)).map_or(Heard::Unclear, Heard::Known)
        }
        StatusCode::BAD_REQUEST
        | StatusCode::PAYMENT_REQUIRED
        | StatusCode::NOT_FOUND
        | StatusCode::UNPROCESSABLE_ENTITY => refusal(body).map_or(Heard::Unclear, Heard::Known),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            tracing::error!(status = status.as_u16(), "the provider does not accept our credentials");
            Heard::Unclear
        }
        _ => Heard::Unclear,
    }
}

/// A refusal counts only in the provider's own words: a 404 of some proxy between says nothing about a payment.
fn refusal(body: &[u8]) -> Option<Answer> {
    let Failure { error } = serde_json::from_slice(body).ok()?;
    if error.r#type == "idempotency_error" {
        // The key was used for something else. What that became is found by looking.
        tracing::error!(code = error.code, "idempotency key refused by the provider");
        return None;
    }
    // A generic decline says less than the code beside it.
    let exact = error.decline_code.filter(|code| code != "generic_decline");
    let code = exact.or(error.code).unwrap_or(error.r#type);
    Some(Answer::Refused { code: clean(&code), detail: clean(&error.message) })
}

fn read_list<T: DeserializeOwned>(body: &[u8], answer: fn(&T) -> Option<Answer>) -> Heard {
    let Ok(list) = serde_json::from_slice::<List<T>>(body) else { return Heard::Unclear };
    match list.data.first() {
        Some(object) => answer(object).map_or(Heard::Unclear, Heard::Known),
        None => Heard::Known(Answer::NeverSeen),
    }
}

impl wire::Charge {
    /// What this charge says about our question; `None` while it is undecided, or not understood.
    pub fn answer(&self) -> Option<Answer> {
        match self.status {
            Status::Succeeded if self.captured => done(&self.id, self.amount, &self.currency),
            Status::Failed => Some(Answer::Refused {
                code: clean(self.failure_code.as_deref().unwrap_or("declined")),
                detail: clean(self.failure_message.as_deref().unwrap_or_default()),
            }),
            Status::Succeeded | Status::Pending => None,
        }
    }
}

impl wire::Refund {
    /// What this refund says about our question; `None` while it is undecided, or not understood.
    pub fn answer(&self) -> Option<Answer> {
        match self.status {
            Status::Succeeded => done(&self.id, self.amount, &self.currency),
            Status::Failed => {
                Some(Answer::Refused { code: "refund_failed".to_owned(), detail: String::new() })
            }
            Status::Pending => None,
        }
    }
}

fn done(id: &str, amount: i64, currency: &str) -> Option<Answer> {
    let currency: Currency = currency.parse().ok()?;
    Some(Answer::Done { reference: clean(id), amount: Money::new(amount, currency) })
}

/// The text without what no database or log line should hold.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard_of(status: u16, body: &str) -> Heard {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        read(status, body.as_bytes(), wire::Charge::answer)
    }

    #[test]
    fn a_refusal_counts_only_in_the_providers_own_words() {
        let declined =
            r#"{"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds"}}"#;
        let code = match heard_of(402, declined) {
            Heard::Known(Answer::Refused { code, .. }) => code,
            other => format!("{other:?}"),
        };
        assert_eq!(code, "insufficient_funds");
        assert!(matches!(heard_of(404, "<html>not found</html>"), Heard::Unclear));
        assert!(matches!(heard_of(400, r#"{"error":{"type":"idempotency_error"}}"#), Heard::Unclear));
    }

    #[test]
    fn what_is_not_understood_is_neither_failure_nor_success() {
        for status in [200, 201, 202, 301, 401, 403, 408, 409, 429, 500, 502, 503, 504] {
            assert!(matches!(heard_of(status, "{}"), Heard::Unclear), "{status}");
        }
        assert!(matches!(read_list::<wire::Charge>(b"[]", wire::Charge::answer), Heard::Unclear));
        let never = br#"{"object":"list","data":[],"has_more":false}"#;
        assert!(matches!(read_list(never, wire::Charge::answer), Heard::Known(Answer::NeverSeen)));
    }

    #[test]
    fn texts_of_the_provider_are_harmless() {
        assert_eq!(clean("no\0\n funds"), "no funds");
        assert_eq!(clean(&"x".repeat(5_000)).len(), LONGEST_TEXT);
    }
}
