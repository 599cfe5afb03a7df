//! Dead letters as those who run a service see them: what there is, and asking for another try.
//!
//! There are two sorts: events that their consumer has given up ([`Letter`]), and messages in which it found no event
//! ([`UnreadableMessage`]). The rows live in the consumer's own database ([`consumer`](crate::consumer) writes them, and
//! does the work of a redrive). Here they are read, and marked: [`redrive_any`] is one statement, so it holds whoever is
//! running or not.

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

/// Either sort.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum DeadLetter {
    /// An event that was given up, or waits behind one.
    Event(Letter),
    /// A message in which no event was found. Its `kind` is `unreadable`.
    Unreadable(UnreadableMessage),
}

impl DeadLetter {
    /// The event's id, or the message's.
    pub fn id(&self) -> Uuid {
        match self {
            DeadLetter::Event(letter) => letter.id,
            DeadLetter::Unreadable(message) => message.id,
        }
    }

    /// Who could not handle it.
    pub fn consumer(&self) -> &str {
        match self {
            DeadLetter::Event(letter) => &letter.consumer,
            DeadLetter::Unreadable(message) => &message.consumer,
        }
    }

    /// What becomes of it.
    pub fn state(&self) -> State {
        match self {
            DeadLetter::Event(letter) => letter.state,
            DeadLetter::Unreadable(message) => message.state,
        }
    }

    /// Notes what becomes of it.
    pub(crate) fn set_state(&mut self, state: State) {
        match self {
            DeadLetter::Event(letter) => letter.state = state,
            DeadLetter::Unreadable(message) => message.state = state,
        }
    }

    /// The first of its key, when this one waits behind it.
    pub fn behind(&self) -> Option<Uuid> {
        match self {
            DeadLetter::Event(letter) => letter.behind,
            DeadLetter::Unreadable(_) => None,
        }
    }
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

/// At most `limit` letters of both sorts (not what is parked behind them), oldest event or message first.
pub async fn list_all(pool: &PgPool, filter: &Filter, limit: i64) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let events = read(pool, filter, false, limit).await?.into_iter().map(DeadLetter::Event);
    let messages = unreadable::list(pool, filter, limit).await?.into_iter().map(DeadLetter::Unreadable);
    let mut letters: Vec<_> = events.chain(messages).collect();
    letters.sort_by(|a, b| (a.id(), a.consumer()).cmp(&(b.id(), b.consumer())));
    letters.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(letters)
}

/// At most `limit` events that were given up (not what is parked behind them), oldest event first.
pub async fn list(pool: &PgPool, filter: &Filter, limit: i64) -> Result<Vec<Letter>, sqlx::Error> {
    read(pool, filter, false, limit).await
}

/// One letter of either sort, or a parked event, of each consumer that has it.
pub async fn find_any(pool: &PgPool, id: Uuid) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let filter = Filter { id: Some(id), ..Filter::default() };
    let messages = unreadable::list(pool, &filter, 100).await?;
    let events = find(pool, id).await?.into_iter().map(DeadLetter::Event);
    Ok(events.chain(messages.into_iter().map(DeadLetter::Unreadable)).collect())
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

/// Asks for another try of a letter, and then of what is parked behind it; older letters of its key go first. Its consumer
/// takes that up within about a second when it runs, and else when it starts. Asking twice is asking once. False when the
/// letter is gone.
///
/// A message that could not be read is read once more; when there is an event in it by now, it goes the same way.
pub async fn redrive_any(pool: &PgPool, letter: &DeadLetter) -> Result<bool, sqlx::Error> {
    match letter {
        DeadLetter::Event(letter) => redrive(pool, letter).await,
        DeadLetter::Unreadable(message) => unreadable::redrive(pool, message).await,
    }
}

/// Gives a letter up for good: it is gone, and what is parked behind it follows by itself, in order. False when the letter
/// is gone, is parked, or is on its way back.
pub async fn discard(pool: &PgPool, letter: &DeadLetter) -> Result<bool, sqlx::Error> {
    let sql = match letter {
        DeadLetter::Event(_) => {
            "delete from dead_letters where consumer = $1 and event_id = $2 and state = 'dead'"
        }
        DeadLetter::Unreadable(_) => {
            "delete from unreadable_messages where consumer = $1 and id = $2 and state = 'dead'"
        }
    };
    let gone = sqlx::query(sql).bind(letter.consumer()).bind(letter.id()).execute(pool).await?;
    Ok(gone.rows_affected() > 0)
}

/// The same for an event.
pub async fn redrive(pool: &PgPool, letter: &Letter) -> Result<bool, sqlx::Error> {
    let asked = sqlx::query(
        "update dead_letters set state = 'redriving'
         where consumer = $1 and topic = $2 and key = $3 and position <= $4 and state <> 'parked'",
    );
    let asked = asked.bind(&letter.consumer).bind(&letter.topic).bind(letter.key).bind(letter.position);
    Ok(asked.execute(pool).await?.rows_affected() > 0)
}
