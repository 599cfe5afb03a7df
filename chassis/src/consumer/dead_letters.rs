//! Events that were given up, and those that wait behind them.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff_sqlx::ToSqlx;
use metrics::gauge;
use sqlx::{PgPool, Row};
use tokio::time::{self, Instant};
use uuid::Uuid;
use viscount_contracts::Envelope;

use super::{ConsumerSpec, Failure};

/// How often the table is looked at while keys are parked: this long a redrive waits to be begun.
const LOOK: Duration = Duration::from_millis(250);
/// How often it is looked at while there are none that we know of. Another member may have buried one and have gone.
const GLANCE: Duration = Duration::from_secs(5);

/// Looking may take this part of the time, when there are very many.
const SHARE: u32 = 20;

/// The keys that have a dead letter. Their later events are parked.
pub(super) struct DeadLetters {
    keys: HashSet<Uuid>,
    /// When the table is to be looked at again.
    look: Instant,
}

impl DeadLetters {
    /// Nothing is known yet; the first look is due at once.
    pub(super) fn unknown() -> Self {
        Self { keys: HashSet::new(), look: Instant::now() }
    }

    /// Reads again which keys are parked: those of other members, too. Keys whose rows are gone are free from now on, so
    /// nothing may be parked between the reading and its end. True when there is something to redrive.
    pub(super) async fn look(&mut self, pool: &PgPool, spec: &ConsumerSpec) -> Result<bool, sqlx::Error> {
        let began = Instant::now();
        let rows = sqlx::query(
            "select key,
                    bool_or(state = 'redriving') or not bool_or(state = 'dead') as due,
                    count(*) filter (where state <> 'parked') as letters,
                    extract(epoch from now() - min(recorded_at) filter (where state <> 'parked'))::float8 as age
             from dead_letters where consumer = $1 and topic = $2 group by key",
        );
        let rows = rows.bind(spec.consumer).bind(spec.topic.name()).fetch_all(pool).await?;
        self.keys.clear();
        let (mut is_due, mut letters, mut oldest) = (false, 0, 0.0_f64);
        for row in &rows {
            self.keys.insert(row.try_get("key")?);
            is_due |= row.try_get::<bool, _>("due")?;
            letters += row.try_get::<i64, _>("letters")?;
            oldest = oldest.max(row.try_get::<Option<f64>, _>("age")?.unwrap_or_default());
        }
        let labels = [("consumer", spec.consumer), ("topic", spec.topic.name())];
        gauge!("consumer_parked_keys", &labels).set(self.keys.len() as f64);
        gauge!("consumer_dead_letters_open", &labels).set(letters as f64);
        gauge!("consumer_dead_letter_oldest_seconds", &labels).set(oldest);
        self.look_again();
        self.look = self.look.max(began + SHARE * began.elapsed());
        Ok(is_due)
    }

    /// Waits until the table is to be looked at again. Dropping the future loses nothing.
    pub(super) async fn look_is_due(&self) {
        time::sleep_until(self.look).await;
    }

    /// Not now, but before long.
    pub(super) fn look_again(&mut self) {
        self.look = Instant::now() + if self.keys.is_empty() { GLANCE } else { LOOK };
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
        self.look_again();
        record(pool, spec, event, "dead", failure.attempts(), &failure.error).await
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
