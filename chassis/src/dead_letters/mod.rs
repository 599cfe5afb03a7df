//! Dead letters as those who run a service see them: what there is, and asking for another try.
//!
//! There are two sorts: events that their consumer has given up ([`Letter`]), and messages in which it found no event
//! ([`UnreadableMessage`]). The rows live in the consumer's own database ([`consumer`](crate::consumer) writes them, and
//! does the work of a redrive). Here they are read, and marked: [`redrive_any`] is one statement, so it holds whoever is
//! running or not.

mod either;
#[cfg(feature = "kafka")]
mod publishing;
mod tries;
mod unreadable;

use bytes::Bytes;
use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;
use viscount_contracts::{Envelope, EventId, Topic};

pub use either::{DeadLetter, discard, find_any, list_all, redrive_any};
#[cfg(feature = "kafka")]
pub(crate) use publishing::{note_published, unpublished};
pub use tries::Tried;
#[cfg(feature = "kafka")]
pub(crate) use tries::json;
pub(crate) use tries::{APPENDED, Tries};
pub use unreadable::UnreadableMessage;

/// What becomes of an event that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = DeadLetterState)]
pub enum State {
    /// Given up. It waits for somebody to decide.
    Dead,
    /// Somebody has: its consumer handles it once more, and then what is parked behind it.
    Redriving,
    /// Waits behind a dead letter of its key.
    Parked,
}

/// An event that its consumer has given up, or one that waits behind such an event.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Letter {
    /// The event's id.
    pub id: Uuid,
    /// Who could not handle it.
    pub consumer: String,
    /// Where it was published.
    pub topic: String,
    /// The event's short name, such as `OrderCreated`.
    pub kind: String,
    /// The aggregate's id.
    pub key: Uuid,
    /// The aggregate's version after this event.
    pub version: i32,
    /// Its place in the topic.
    pub position: i64,
    /// What becomes of it.
    pub state: State,
    /// How often it was tried, all redrives together.
    pub attempts: i32,
    /// Why it was given up the last time.
    pub error: String,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub occurred_at: Timestamp,
    /// When it came here.
    #[schema(value_type = String, format = DateTime)]
    pub recorded_at: Timestamp,
    /// The trace of what caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// How many later events of its key wait.
    pub parked: i64,
    /// The first of its key, when this one waits behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<Uuid>,
    /// What went wrong, oldest first; the newest 20.
    pub errors: Vec<Tried>,
    /// The whole trace context.
    #[serde(skip)]
    pub traceparent: Option<String>,
    /// The protobuf message.
    #[serde(skip)]
    pub data: Bytes,
}

impl Letter {
    /// The event as it came; `None` when its topic is none that this program knows.
    pub fn event(&self) -> Option<Envelope> {
        let topic: Topic = self.topic.parse().ok()?;
        Some(Envelope {
            id: EventId::from(self.id),
            topic,
            position: self.position,
            key: self.key,
            version: self.version,
            kind: topic.kind_named(&self.kind),
            occurred_at: self.occurred_at,
            traceparent: self.traceparent.clone(),
            data: self.data.clone(),
        })
    }

    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let traceparent: Option<String> = row.try_get("traceparent")?;
        Ok(Self {
            id: row.try_get("event_id")?,
            consumer: row.try_get("consumer")?,
            topic: row.try_get("topic")?,
            kind: row.try_get("kind")?,
            key: row.try_get("key")?,
            version: row.try_get("version")?,
            position: row.try_get("position")?,
            state: State::read(row)?,
            attempts: row.try_get("attempts")?,
            error: row.try_get("error")?,
            occurred_at: row.try_get::<SqlTimestamp, _>("occurred_at")?.to_jiff(),
            recorded_at: row.try_get::<SqlTimestamp, _>("recorded_at")?.to_jiff(),
            trace_id: traceparent.as_deref().and_then(trace_id),
            parked: row.try_get("parked")?,
            behind: row.try_get("behind")?,
            errors: errors(row)?,
            traceparent,
            data: Bytes::from(row.try_get::<Vec<u8>, _>("data")?),
        })
    }
}

impl State {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(match row.try_get("state")? {
            "dead" => State::Dead,
            "redriving" => State::Redriving,
            _ => State::Parked,
        })
    }
}

fn errors(row: &PgRow) -> Result<Vec<Tried>, sqlx::Error> {
    Ok(serde_json::from_str(row.try_get("errors_text")?).unwrap_or_default())
}

/// The trace in a W3C trace context: version, trace id, parent id, flags.
fn trace_id(traceparent: &str) -> Option<String> {
    traceparent.split('-').nth(1).map(str::to_owned)
}

/// Which letters are meant. What is absent does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those of this consumer.
    pub consumer: Option<String>,
    /// Those of this aggregate.
    pub key: Option<Uuid>,
    /// This event.
    pub id: Option<Uuid>,
    /// Those behind this one, in the order of a list: the id and its consumer.
    pub after: Option<(Uuid, String)>,
}

/// At most `limit` events that were given up (not what is parked behind them), oldest event first.
pub async fn list(pool: &PgPool, filter: &Filter, limit: i64) -> Result<Vec<Letter>, sqlx::Error> {
    read(pool, filter, false, limit).await
}

/// One event, letter or parked, of each consumer that has it.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Vec<Letter>, sqlx::Error> {
    read(pool, &Filter { id: Some(id), ..Filter::default() }, true, 100).await
}

async fn read(
    pool: &PgPool,
    filter: &Filter,
    with_parked: bool,
    limit: i64,
) -> Result<Vec<Letter>, sqlx::Error> {
    let (after, after_consumer) = filter.after.clone().unzip();
    sqlx::query(
        "select l.*, l.errors::text as errors_text,
                (select count(*) from dead_letters p
                 where p.consumer = l.consumer and p.topic = l.topic and p.key = l.key and p.state = 'parked'
                   and p.position > l.position) as parked,
                case l.state when 'parked' then
                    (select f.event_id from dead_letters f
                     where f.consumer = l.consumer and f.topic = l.topic and f.key = l.key
                       and f.position < l.position
                     order by f.position limit 1)
                end as behind
         from dead_letters l
         where ($1 or l.state <> 'parked')
           and ($2::text is null or l.consumer = $2)
           and ($3::uuid is null or l.key = $3)
           and ($4::uuid is null or l.event_id = $4)
           and ($5::uuid is null or (l.event_id, l.consumer) > ($5, $6::text))
         order by l.event_id, l.consumer limit $7",
    )
    .bind(with_parked)
    .bind(&filter.consumer)
    .bind(filter.key)
    .bind(filter.id)
    .bind(after)
    .bind(after_consumer)
    .bind(limit)
    .try_map(|row| Letter::read(&row))
    .fetch_all(pool)
    .await
}

/// Asks for another try of what was set aside for an entity: letters for which these words were the reason once (a try
/// since may have failed in another way), and those of the aggregate with the entity's id. Says how many events go back or
/// are on their way already, those parked behind included. Asking twice is asking once.
pub async fn redrive_set_aside(pool: &PgPool, words: &str, id: &str) -> Result<u64, sqlx::Error> {
    let key = Uuid::parse_str(id).ok();
    let asked: i64 = sqlx::query_scalar(
        "with asked as (
            update dead_letters set state = 'redriving'
            where state in ('dead', 'redriving')
              and (error = $1 or key = $2 or errors @> jsonb_build_array(jsonb_build_object('error', $1::text)))
            returning consumer, topic, key
         )
         select count(*) from dead_letters l
         where exists (select from asked a where a.consumer = l.consumer and a.topic = l.topic and a.key = l.key)",
    )
    .bind(words)
    .bind(key)
    .fetch_one(pool)
    .await?;
    Ok(u64::try_from(asked).unwrap_or_default())
}

/// Asks for another try of a letter, and then of what is parked behind it; older letters of its key go first. Its consumer
/// takes that up within about a second when it runs, and else when it starts. Asking twice is asking once. False when the
/// letter is gone.
pub async fn redrive(pool: &PgPool, letter: &Letter) -> Result<bool, sqlx::Error> {
    let asked = sqlx::query(
        "update dead_letters set state = 'redriving'
         where consumer = $1 and topic = $2 and key = $3 and position <= $4 and state <> 'parked'",
    );
    let asked = asked.bind(&letter.consumer).bind(&letter.topic).bind(letter.key).bind(letter.position);
    Ok(asked.execute(pool).await?.rows_affected() > 0)
}
