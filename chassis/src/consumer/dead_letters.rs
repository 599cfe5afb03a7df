//! Events that were given up, and those that wait behind them.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff_sqlx::ToSqlx;
use metrics::gauge;
use sqlx::{PgPool, Row};
use tokio::time::{self, Instant};
use uuid::Uuid;
use viscount_contracts::Envelope;

use super::{ConsumerSpec, Failure};
use crate::dead_letters::Tries;

/// How often the table is looked at while keys are parked: this long a redrive waits to be begun.
const LOOK: Duration = Duration::from_millis(250);
/// How often it is looked at while there are none that we know of. Another member may have buried one and have gone.
const GLANCE: Duration = Duration::from_secs(5);

/// Looking may take this part of the time, when there are very many.
const SHARE: u32 = 20;

/// The keys that have a dead letter. Their later events are parked.
pub(super) struct DeadLetters {
    keys: HashSet<Uuid>,
    /// True when messages are kept that could not be read.
    has_unreadable: bool,
    /// When the table is to be looked at again.
    look: Instant,
}

impl DeadLetters {
    /// Nothing is known yet; the first look is due at once.
    pub(super) fn unknown() -> Self {
        Self { keys: HashSet::new(), has_unreadable: false, look: Instant::now() }
    }

    /// Reads again which keys are parked: those of other members, too. Keys whose rows are gone are free from now on, so
    /// nothing may be parked between the reading and its end. True when there is something to redrive.
    pub(super) async fn look(&mut self, pool: &PgPool, spec: &ConsumerSpec) -> Result<bool, sqlx::Error> {
        let began = Instant::now();
        let rows = sqlx::query(
            "select key,
                    (array_agg(state order by position))[1] <> 'dead' as due,
                    count(*) filter (where state <> 'parked') as letters,
                    extract(epoch from now() - min(recorded_at) filter (where state <> 'parked'))::float8 as age
             from dead_letters where consumer = $1 and topic = $2 group by key
             union all
             select null, bool_or(state = 'redriving'), count(*),
                    extract(epoch from now() - min(recorded_at))::float8
             from unreadable_messages where consumer = $1 and topic = $2 having count(*) > 0",
        );
        let rows = rows.bind(spec.consumer).bind(spec.topic.name()).fetch_all(pool).await?;
        self.keys.clear();
        let (mut is_due, mut letters, mut unreadable, mut oldest) = (false, 0, 0, 0.0_f64);
        for row in &rows {
            is_due |= row.try_get::<bool, _>("due")?;
            oldest = oldest.max(row.try_get::<Option<f64>, _>("age")?.unwrap_or_default());
            let count: i64 = row.try_get("letters")?;
            match row.try_get("key")? {
                Some(key) => {
                    self.keys.insert(key);
                    letters += count;
                }
                None => unreadable += count,
            }
        }
        self.has_unreadable = unreadable > 0;
        let labels = spec.labels();
        gauge!(crate::metrics::CONSUMER_PARKED_KEYS, &labels).set(self.keys.len() as f64);
        gauge!(crate::metrics::CONSUMER_DEAD_LETTERS_OPEN, &labels).set(letters as f64);
        gauge!(crate::metrics::CONSUMER_UNREADABLE_MESSAGES_OPEN, &labels).set(unreadable as f64);
        gauge!(crate::metrics::CONSUMER_DEAD_LETTER_OLDEST_SECONDS, &labels).set(oldest);
        self.look_again();
        self.look = self.look.max(began + SHARE * began.elapsed());
        Ok(is_due)
    }

    /// Waits until the table is to be looked at again. Dropping the future loses nothing.
    pub(super) async fn look_is_due(&self) {
        time::sleep_until(self.look).await;
    }

    /// A message was kept that could not be read.
    pub(super) fn has_unreadable(&mut self) {
        self.has_unreadable = true;
        self.look_again();
    }

    /// Not now, but before long.
    pub(super) fn look_again(&mut self) {
        let nothing = self.keys.is_empty() && !self.has_unreadable;
        self.look = Instant::now() + if nothing { GLANCE } else { LOOK };
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
            attempts = failure.attempts, error = failure.error(), "event became a dead letter"
        );
        self.keys.insert(event.key);
        self.look_again();
        record(pool, spec, event, "dead", failure.attempts(), failure.error(), &failure.tries).await
    }

    /// Keeps an event that came after a dead letter of its key.
    pub(super) async fn park(
        &self,
        pool: &PgPool,
        spec: &ConsumerSpec,
        event: &Arc<Envelope>,
    ) -> Result<(), sqlx::Error> {
        let why = "waits behind a dead letter of its key";
        record(pool, spec, event, "parked", 0, why, &Tries::default()).await
    }
}

async fn record(
    pool: &PgPool,
    spec: &ConsumerSpec,
    event: &Envelope,
    state: &str,
    attempts: i32,
    error: &str,
    tries: &Tries,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into dead_letters
            (consumer, event_id, topic, position, key, version, kind, data, occurred_at, traceparent, state, attempts, error, errors)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::jsonb)
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
    .bind(tries.to_json())
    .execute(pool)
    .await?;
    Ok(())
}
