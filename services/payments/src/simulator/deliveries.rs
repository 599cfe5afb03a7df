//! Webhooks: kept with what they tell of, sent until somebody takes them.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use reqwest::{Client, Url, header, redirect};
use serde_json::json;
use sqlx::{PgPool, Row, postgres::PgRow};
use tokio::{sync::Notify, time::timeout};
use viscount_chassis::telemetry::{self, Span, SpanKind, TraceContext, in_trace};

use super::{
    books::{Books, Kind},
    config::WebhookTarget,
};
use crate::provider::{ProviderError, signature};

/// How many are taken at once.
const BATCH: i64 = 128;
/// How many are sent at the same time.
const CONCURRENCY: usize = 16;
/// How long whoever takes one may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often we look while nothing is booked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Clone)]
pub(super) struct Deliverer {
    pool: PgPool,
    news: Arc<Notify>,
    http: Client,
    target: WebhookTarget,
    /// Where that is, for traces: without path and credentials.
    server: String,
}

/// One that is due.
struct Due {
    event_id: String,
    kind: Kind,
    number: i64,
    traceparent: Option<String>,
}

impl Deliverer {
    pub fn new(pool: PgPool, news: Arc<Notify>, target: WebhookTarget) -> Result<Self, ProviderError> {
        let url: Url = target.url.parse().map_err(|_| ProviderError::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ProviderError::Url);
        }
        let http =
            Client::builder().timeout(DEADLINE).redirect(redirect::Policy::none()).no_proxy().build()?;
        let server = url.host_str().unwrap_or_default().to_owned();
        Ok(Self { pool, news, http, target, server })
    }

    /// Delivers for ever. What is not taken is sent again: after 1, 2, 4, … seconds, 30 at the most.
    pub async fn run(self) -> Result<(), sqlx::Error> {
        loop {
            match self.round().await {
                Ok(0) => {
                    let _ = timeout(LOOK_EVERY, self.news.notified()).await;
                }
                Ok(_) => {}
                Err(error) if viscount_chassis::store::is_unavailable(&error) => {
                    tracing::debug!(%error, "webhooks wait for the simulator's books");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends what is due; how many were due.
    async fn round(&self) -> Result<usize, sqlx::Error> {
        let due = self.take().await?;
        if due.is_empty() {
            return Ok(0);
        }
        let wanted: Vec<_> = due.iter().map(|due| (due.kind, due.number)).collect();
        let objects = Books::objects(&self.pool, &wanted).await?;
        let count = due.len();
        let sending = due.into_iter().filter_map(|due| {
            let object = objects.get(&(due.kind, due.number))?.clone();
            Some(self.send(due, object))
        });
        let sent: Vec<Option<String>> = stream::iter(sending).buffer_unordered(CONCURRENCY).collect().await;
        let taken: Vec<String> = sent.into_iter().flatten().collect();
        sqlx::query("delete from deliveries where event_id = any($1)")
            .bind(taken)
            .execute(&self.pool)
            .await?;
        Ok(count)
    }

    async fn take(&self) -> Result<Vec<Due>, sqlx::Error> {
        sqlx::query(
            "update deliveries d
             set attempts = d.attempts + 1,
                 due_at = now() + interval '1 second' * least(30, 2 ^ least(d.attempts, 5))
                     + interval '1 second' * $2
             from (
                 select event_id from deliveries where due_at <= now() order by due_at limit $1 for update skip locked
             ) as due
             where d.event_id = due.event_id
             returning d.event_id, d.kind, d.sequence, d.traceparent",
        )
        .bind(BATCH)
        .bind(DEADLINE.as_secs_f64())
        .try_map(|row: PgRow| {
            let kind: String = row.try_get(1)?;
            let kind = if kind == "refund" { Kind::Refund } else { Kind::Charge };
            let (event_id, number, traceparent) = (row.try_get(0)?, row.try_get(2)?, row.try_get(3)?);
            Ok(Due { event_id, kind, number, traceparent })
        })
        .fetch_all(&self.pool)
        .await
    }

    /// Sends one; its id when somebody took it.
    async fn send(&self, due: Due, object: serde_json::Value) -> Option<String> {
        let kind = match due.kind {
            Kind::Charge => "charge",
            Kind::Refund => "refund",
        };
        let status = object["status"].as_str().unwrap_or("unknown");
        let now = Timestamp::now();
        let event = json!({
            "id": due.event_id,
            "type": format!("{kind}.{status}"),
            "created": now.as_second(),
            "data": { "object": object },
        });
        let body = event.to_string();
        let cause = due.traceparent.as_deref().and_then(TraceContext::parse);
        let mut span = self.span(cause);
        let mut request = self
            .http
            .post(&self.target.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(signature::HEADER, signature::sign(&self.target.secret, now, body.as_bytes()))
            .body(body);
        if let Some(traceparent) = span.context().or(cause) {
            request = request.header("traceparent", traceparent.to_string());
        }
        let sending = async move {
            match request.send().await {
                Ok(response) => {
                    let status = response.status();
                    span.set("http.response.status_code", status.as_u16());
                    if status.is_success() {
                        return Some(due.event_id);
                    }
                    span.fail(status.as_str().to_owned());
                    tracing::debug!(status = status.as_u16(), "webhook not taken");
                }
                Err(error) => {
                    span.fail(if error.is_timeout() { "timeout" } else { "connect" });
                    tracing::debug!(error = %error.without_url(), "webhook not delivered");
                }
            }
            None
        };
        in_trace(due.traceparent.as_deref(), sending).await
    }

    fn span(&self, cause: Option<TraceContext>) -> Span {
        if !telemetry::exporting() {
            return Span::none();
        }
        let mut span = Span::after(super::NAME, SpanKind::Client, "POST", cause);
        span.set("http.request.method", "POST");
        span.set("server.address", self.server.clone());
        span
    }
}
