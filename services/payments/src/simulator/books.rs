//! The simulator's books. Charges that come at the same time are written together: one statement, one commit.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;
use sqlx::{PgPool, Row, postgres::PgRow};
use tokio::{
    sync::{Mutex, Notify, mpsc, oneshot},
    time::timeout,
};
use viscount_actors::{Restart, Supervisor};
use viscount_chassis::telemetry::current_traceparent;

use super::failure::Refusal;
use crate::provider::wire::{Charge, LedgerEntry, Metadata, NewCharge, NewRefund, Refund, Status};

/// How many charges may wait.
const QUEUE: usize = 4_096;
/// How many are written together at most.
const BATCH: usize = 256;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The part of a charge's id before its number.
const CHARGE: &str = "ch_";
/// The part of a refund's id before its number.
const REFUND: &str = "re_";

/// The books. Cheap to clone.
#[derive(Clone)]
pub(super) struct Books {
    pool: PgPool,
    queue: mpsc::Sender<Waiting>,
    /// Whether somebody is told of every charge and refund.
    telling: bool,
    news: Arc<Notify>,
}

/// A charge that is to be made.
#[derive(Debug, Clone)]
pub(super) struct NewRow {
    /// Its idempotency key.
    pub key: String,
    /// What was asked for.
    pub wanted: NewCharge,
    /// Why it is refused: code and text.
    pub failure: Option<(&'static str, &'static str)>,
    /// The trace that its webhook belongs to.
    pub traceparent: Option<String>,
}

/// What became of a refund that was asked for.
#[derive(Debug)]
pub(super) enum RefundOutcome {
    /// It is made, now or before under this key.
    Made(Refund),
    /// There is no such charge.
    NoSuchCharge,
    /// The charge took no money.
    NotCaptured,
    /// More than what is left.
    TooMuch,
    /// A charge was made under its key.
    KeyReused,
}

struct Waiting {
    row: NewRow,
    reply: oneshot::Sender<Option<Charge>>,
}

/// A query over charges, ending in these words.
macro_rules! charges {
    ($rest:literal) => {
        concat!(
            "select sequence, idempotency_key, amount, currency, source, captured, status, failure_code,
                 failure_message, amount_refunded, metadata, extract(epoch from created_at)::bigint as created
             from ",
            $rest
        )
    };
}

/// A query over refunds, ending in these words.
macro_rules! refunds {
    ($rest:literal) => {
        concat!(
            "select sequence, idempotency_key, charge, amount, currency, metadata,
                 extract(epoch from created_at)::bigint as created
             from ",
            $rest
        )
    };
}

impl Books {
    /// Opens the books, and starts the supervised task that writes charges.
    pub fn start(supervisor: &Supervisor, pool: PgPool, telling: bool) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        let books = Self { pool, queue, telling, news: Arc::new(Notify::new()) };
        let (pool, news) = (books.pool.clone(), books.news.clone());
        supervisor.task("bookkeeper", Restart::Permanent, move || {
            keep(pool.clone(), telling, news.clone(), receiver.clone())
        });
        books
    }

    /// Wakes whenever something was booked that somebody is to be told of.
    pub fn news(&self) -> Arc<Notify> {
        self.news.clone()
    }

    /// Makes a charge, or gives the one that was made under its key.
    pub async fn make_charge(&self, row: NewRow) -> Result<Charge, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Waiting { row, reply }).map_err(|_| Refusal::down())?;
        match timeout(PATIENCE, answer).await {
            Ok(Ok(Some(charge))) => Ok(charge),
            Ok(Ok(None) | Err(_)) | Err(_) => Err(Refusal::broken()),
        }
    }

    /// Makes a refund, or gives the one that was made under its key.
    pub async fn make_refund(&self, key: &str, wanted: &NewRefund) -> Result<RefundOutcome, sqlx::Error> {
        let Some(number) = number(CHARGE, &wanted.charge) else { return Ok(RefundOutcome::NoSuchCharge) };
        // The charge's row is locked first, so two refunds of one charge come one after the other; the key is unique,
        // so that of two under one key the second undoes itself.
        let made = sqlx::query(
            "with charge as (
                 update charges set amount_refunded = amount_refunded + $3
                 where sequence = $2 and status = 'succeeded' and captured and amount_refunded + $3 <= amount
                     and not exists (select from refunds where idempotency_key = $1)
                     and not exists (select from charges where idempotency_key = $1)
                 returning currency
             ), added as (
                 insert into refunds (idempotency_key, charge, amount, currency, metadata, created_at)
                 select $1, $2, $3, currency, $4, now() from charge
                 returning sequence, idempotency_key, charge, amount, currency, metadata,
                     extract(epoch from created_at)::bigint as created
             ), told as (
                 insert into deliveries (event_id, kind, sequence, due_at, attempts, traceparent)
                 select 'evt_' || gen_random_uuid(), 'refund', sequence, now(), 0, $6 from added where $5
             )
             select * from added",
        )
        .bind(key)
        .bind(number)
        .bind(wanted.amount)
        .bind(serde_json::to_string(&wanted.metadata).unwrap_or_default())
        .bind(self.telling)
        .bind(current_traceparent())
        .try_map(|row| refund(&row))
        .fetch_optional(&self.pool)
        .await;
        match made {
            Ok(Some(made)) => {
                if self.telling {
                    self.news.notify_one();
                }
                return Ok(RefundOutcome::Made(made));
            }
            Ok(None) => {}
            Err(error) if error.as_database_error().is_some_and(|refused| refused.is_unique_violation()) => {}
            Err(error) => return Err(error),
        }
        if let Some(before) = self.refund(key).await? {
            return Ok(RefundOutcome::Made(before));
        }
        // As with those who do this for a living: a key is for one thing, whatever that is.
        if self.charge(key).await?.is_some() {
            return Ok(RefundOutcome::KeyReused);
        }
        let charge = sqlx::query(charges!("charges where sequence = $1"))
            .bind(number)
            .try_map(|row| charge(&row))
            .fetch_optional(&self.pool)
            .await?;
        Ok(match charge {
            None => RefundOutcome::NoSuchCharge,
            Some(charge) if charge.status != Status::Succeeded || !charge.captured => {
                RefundOutcome::NotCaptured
            }
            Some(_) => RefundOutcome::TooMuch,
        })
    }

    /// The charge under a key.
    pub async fn charge(&self, key: &str) -> Result<Option<Charge>, sqlx::Error> {
        sqlx::query(charges!("charges where idempotency_key = $1"))
            .bind(key)
            .try_map(|row| charge(&row))
            .fetch_optional(&self.pool)
            .await
    }

    /// The refund under a key.
    pub async fn refund(&self, key: &str) -> Result<Option<Refund>, sqlx::Error> {
        sqlx::query(refunds!("refunds where idempotency_key = $1"))
            .bind(key)
            .try_map(|row| refund(&row))
            .fetch_optional(&self.pool)
            .await
    }

    /// Up to `limit` entries behind `after`, with their places, and whether there are more.
    pub async fn ledger(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<(Vec<(i64, LedgerEntry)>, bool), sqlx::Error> {
        let charges = sqlx::query(charges!("charges where sequence > $1 order by sequence limit $2"))
            .bind(after)
            .bind(limit + 1)
            .try_map(|row| Ok((row.try_get(0)?, LedgerEntry::Charge(charge(&row)?))))
            .fetch_all(&self.pool)
            .await?;
        let refunds = sqlx::query(refunds!("refunds where sequence > $1 order by sequence limit $2"))
            .bind(after)
            .bind(limit + 1)
            .try_map(|row| Ok((row.try_get(0)?, LedgerEntry::Refund(refund(&row)?))))
            .fetch_all(&self.pool)
            .await?;
        let mut entries: Vec<(i64, LedgerEntry)> = charges.into_iter().chain(refunds).collect();
        entries.sort_unstable_by_key(|(sequence, _)| *sequence);
        let most = usize::try_from(limit).unwrap_or_default();
        let has_more = entries.len() > most;
        entries.truncate(most);
        Ok((entries, has_more))
    }

    /// The objects of these kinds and numbers, as JSON.
    pub async fn objects(
        pool: &PgPool,
        wanted: &[(Kind, i64)],
    ) -> Result<HashMap<(Kind, i64), Value>, sqlx::Error> {
        let numbers = |kind| wanted.iter().filter(|(k, _)| *k == kind).map(|(_, n)| *n).collect::<Vec<_>>();
        let charges = sqlx::query(charges!("charges where sequence = any($1)"))
            .bind(numbers(Kind::Charge))
            .try_map(|row| Ok(((Kind::Charge, row.try_get(0)?), json(&charge(&row)?))))
            .fetch_all(pool)
            .await?;
        let refunds = sqlx::query(refunds!("refunds where sequence = any($1)"))
            .bind(numbers(Kind::Refund))
            .try_map(|row| Ok(((Kind::Refund, row.try_get(0)?), json(&refund(&row)?))))
            .fetch_all(pool)
            .await?;
        Ok(charges.into_iter().chain(refunds).collect())
    }
}

/// Charge or refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Charge,
    Refund,
}

/// Writes what waits, batch after batch.
async fn keep(
    pool: PgPool,
    telling: bool,
    news: Arc<Notify>,
    receiver: Arc<Mutex<mpsc::Receiver<Waiting>>>,
) -> Result<(), std::convert::Infallible> {
    let mut receiver = receiver.lock().await;
    let mut batch = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut batch, BATCH).await > 0 {
        let waiting = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
        match book(&pool, telling, &waiting).await {
            Ok(charges) => {
                for Waiting { row, reply } in waiting {
                    // Under one key several may have waited; all get the same charge. Whoever asked may be gone.
                    let _ = reply.send(charges.get(&row.key).cloned());
                }
                if telling {
                    news.notify_one();
                }
            }
            // Their askers are told that something is wrong, and ask again under the same key.
            Err(error) => tracing::warn!(%error, charges = waiting.len(), "charges could not be booked"),
        }
    }
    Ok(())
}

/// Books these charges, and gives those that are under their keys now.
async fn book(
    pool: &PgPool,
    telling: bool,
    batch: &[Waiting],
) -> Result<HashMap<String, Charge>, sqlx::Error> {
    let column = |of: fn(&NewRow) -> String| batch.iter().map(|waiting| of(&waiting.row)).collect::<Vec<_>>();
    let rows = || batch.iter().map(|waiting| &waiting.row);
    let keys = column(|row| row.key.clone());
    let charges = sqlx::query(concat!(
        "with added as (
             insert into charges (idempotency_key, amount, currency, source, captured, status, failure_code,
                 failure_message, metadata, created_at)
             select u.*, now() from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bool[], $6::text[],
                 $7::text[], $8::text[], $9::text[]) as u
             on conflict (idempotency_key) do nothing
             returning *
         ), told as (
             insert into deliveries (event_id, kind, sequence, due_at, attempts, traceparent)
             select 'evt_' || gen_random_uuid(), 'charge', sequence, now(), 0,
                 ($11::text[])[array_position($1::text[], idempotency_key)]
             from added where $10
         ) ",
        charges!("added"),
        " union all ",
        charges!("charges where idempotency_key = any($1)")
    ))
    .bind(keys)
    .bind(rows().map(|row| row.wanted.amount).collect::<Vec<_>>())
    .bind(column(|row| row.wanted.currency.clone()))
    .bind(column(|row| row.wanted.source.clone()))
    .bind(rows().map(|row| row.wanted.capture && row.failure.is_none()).collect::<Vec<_>>())
    .bind(column(|row| if row.failure.is_some() { "failed" } else { "succeeded" }.to_owned()))
    .bind(rows().map(|row| row.failure.map(|(code, _)| code)).collect::<Vec<_>>())
    .bind(rows().map(|row| row.failure.map(|(_, message)| message)).collect::<Vec<_>>())
    .bind(column(|row| serde_json::to_string(&row.wanted.metadata).unwrap_or_default()))
    .bind(telling)
    .bind(rows().map(|row| row.traceparent.as_deref()).collect::<Vec<_>>())
    .try_map(|row| charge(&row))
    .fetch_all(pool)
    .await?;
    Ok(charges.into_iter().map(|charge| (charge.idempotency_key.clone(), charge)).collect())
}

fn charge(row: &PgRow) -> Result<Charge, sqlx::Error> {
    let status: String = row.try_get("status")?;
    Ok(Charge {
        id: name(CHARGE, row.try_get("sequence")?),
        object: "charge".to_owned(),
        amount: row.try_get("amount")?,
        currency: row.try_get("currency")?,
        source: row.try_get("source")?,
        captured: row.try_get("captured")?,
        status: if status == "failed" { Status::Failed } else { Status::Succeeded },
        amount_refunded: row.try_get("amount_refunded")?,
        failure_code: row.try_get("failure_code")?,
        failure_message: row.try_get("failure_message")?,
        idempotency_key: row.try_get("idempotency_key")?,
        metadata: metadata(row)?,
        created: row.try_get("created")?,
    })
}

fn refund(row: &PgRow) -> Result<Refund, sqlx::Error> {
    Ok(Refund {
        id: name(REFUND, row.try_get("sequence")?),
        object: "refund".to_owned(),
        charge: name(CHARGE, row.try_get("charge")?),
        amount: row.try_get("amount")?,
        currency: row.try_get("currency")?,
        status: Status::Succeeded,
        idempotency_key: row.try_get("idempotency_key")?,
        metadata: metadata(row)?,
        created: row.try_get("created")?,
    })
}

fn metadata(row: &PgRow) -> Result<Metadata, sqlx::Error> {
    let text: String = row.try_get("metadata")?;
    serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn json<T: serde::Serialize>(object: &T) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

/// The public id of entry number `number`.
fn name(prefix: &str, number: i64) -> String {
    format!("{prefix}{number:016x}")
}

/// The entry behind a public id.
fn number(prefix: &str, name: &str) -> Option<i64> {
    i64::from_str_radix(name.strip_prefix(prefix)?, 16).ok()
}
