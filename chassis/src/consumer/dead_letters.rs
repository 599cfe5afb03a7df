//! Events that were given up, and those that wait behind them.

use std::{collections::HashSet, sync::Arc};

use jiff_sqlx::ToSqlx;
use sqlx::PgPool;
use uuid::Uuid;
use viscount_contracts::Envelope;

use super::{ConsumerSpec, Failure};

/// The keys that have a dead letter. Their later events are parked.
#[derive(Default)]
pub(super) struct DeadLetters {
    keys: HashSet<Uuid>,
}

impl DeadLetters {
    pub(super) async fn load(pool: &PgPool, spec: &ConsumerSpec) -> Result<Self, sqlx::Error> {
        let keys: Vec<Uuid> =
            sqlx::query_scalar("select distinct key from dead_letters where consumer = $1 and topic = $2")
                .bind(spec.consumer)
                .bind(spec.topic.name())
                .fetch_all(pool)
                .await?;
        Ok(Self { keys: keys.into_iter().collect() })
    }

    pub(super) fn holds(&self, key: Uuid) -> bool {
        !self.keys.is_empty() && self.keys.contains(&key)
    }

    /// Keeps an event that was given up, with what is known of why.
    pub(super) async fn bury(
        &mut self,
        pool: &PgPool,
        spec: &ConsumerSpec,
        event: &Arc<Envelope>,
        failure: &Failure,
    ) -> Result<(), sqlx::Error> {
        tracing::error!(
            consumer = spec.consumer, topic = %spec.topic, event = %event.id, kind = %event.kind,
            attempts = failure.attempts, error = %failure.error, "event became a dead letter"
        );
        self.keys.insert(event.key);
        let attempts = i32::try_from(failure.attempts).unwrap_or(i32::MAX);
        record(pool, spec, event, "dead", attempts, &failure.error).await
    }

    /// Keeps an event that came after a dead letter of its key.
    pub(super) async fn park(
        &self,
        pool: &PgPool,
        spec: &ConsumerSpec,
        event: &Arc<Envelope>,
    ) -> Result<(), sqlx::Error> {
        record(pool, spec, event, "parked", 0, "waits behind a dead letter of its key").await
    }
}

async fn record(
    pool: &PgPool,
    spec: &ConsumerSpec,
    event: &Envelope,
    state: &str,
    attempts: i32,
    error: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into dead_letters
            (consumer, event_id, topic, position, key, version, kind, data, occurred_at, traceparent, state, attempts, error)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         on conflict (consumer, event_id) do nothing",
    )
    .bind(spec.consumer)
    .bind(event.id.uuid())
    .bind(spec.topic.name())
    .bind(event.position)
    .bind(event.key)
    .bind(event.version)
    .bind(event.kind.as_ref())
    .bind(event.data.as_ref())
    .bind(event.occurred_at.to_sqlx())
    .bind(&event.traceparent)
    .bind(state)
    .bind(attempts)
    .bind(error)
    .execute(pool)
    .await?;
    Ok(())
}
