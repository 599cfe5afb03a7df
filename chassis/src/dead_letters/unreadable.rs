//! Messages in which no event could be read, as those who run a service see them.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde::Serialize;
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use super::{Filter, State, Tried, errors, trace_id};
use crate::log::RawMessage;

/// A message of a topic in which its consumer found no event.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct UnreadableMessage {
    /// Made of the message itself.
    pub id: Uuid,
    /// Who could not read it.
    pub consumer: String,
    /// Where it was published.
    pub topic: String,
    /// Always `unreadable`.
    #[schema(value_type = String)]
    pub kind: &'static str,
    /// The partition that it is in.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// Its key, as far as it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How many bytes it has, key and headers included.
    pub bytes: usize,
    /// What becomes of it; never `parked`.
    pub state: State,
    /// How often it was read.
    pub attempts: i32,
    /// Why there is no event in it.
    pub error: String,
    /// What went wrong, oldest first; the newest 20.
    pub errors: Vec<Tried>,
    /// The message's own time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub produced_at: Option<Timestamp>,
    /// When it came here.
    #[schema(value_type = String, format = DateTime)]
    pub recorded_at: Timestamp,
    /// The trace of what caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// As it came.
    #[serde(skip)]
    pub message: RawMessage,
}

impl UnreadableMessage {
    /// Of a row with its columns `headers` and `errors` as `…_text` besides.
    pub(crate) fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let bytes = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<Vec<u8>>, _>(column)?.map(Into::into));
        let produced_at = row.try_get::<Option<SqlTimestamp>, _>("produced_at")?.map(SqlTimestamp::to_jiff);
        let message = RawMessage {
            partition: row.try_get("partition")?,
            offset: row.try_get("message_offset")?,
            timestamp: produced_at.map(Timestamp::as_millisecond),
            key: bytes("key")?,
            value: bytes("value")?,
            headers: RawMessage::headers_of_json(row.try_get("headers_text")?),
        };
        let traceparent = message.header("traceparent").map(String::from_utf8_lossy);
        Ok(Self {
            id: row.try_get("id")?,
            consumer: row.try_get("consumer")?,
            topic: row.try_get("topic")?,
            kind: "unreadable",
            partition: message.partition,
            offset: message.offset,
            key: message.key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned()),
            bytes: message.size(),
            state: State::read(row)?,
            attempts: row.try_get("attempts")?,
            error: row.try_get("error")?,
            errors: errors(row)?,
            produced_at,
            recorded_at: row.try_get::<SqlTimestamp, _>("recorded_at")?.to_jiff(),
            trace_id: traceparent.as_deref().and_then(trace_id),
            message,
        })
    }
}

pub(super) async fn list(
    pool: &PgPool,
    filter: &Filter,
    limit: i64,
) -> Result<Vec<UnreadableMessage>, sqlx::Error> {
    let (after, after_consumer) = filter.after.clone().unzip();
    sqlx::query(
        "select *, headers::text as headers_text, errors::text as errors_text from unreadable_messages
         where ($1::text is null or consumer = $1)
           and ($2::uuid is null or key = convert_to($2::uuid::text, 'UTF8'))
           and ($3::uuid is null or id = $3)
           and ($4::uuid is null or (id, consumer) > ($4, $5::text))
         order by id, consumer limit $6",
    )
    .bind(&filter.consumer)
    .bind(filter.key)
    .bind(filter.id)
    .bind(after)
    .bind(after_consumer)
    .bind(limit)
    .try_map(|row| UnreadableMessage::read(&row))
    .fetch_all(pool)
    .await
}

pub(super) async fn redrive(pool: &PgPool, message: &UnreadableMessage) -> Result<bool, sqlx::Error> {
    let asked =
        sqlx::query("update unreadable_messages set state = 'redriving' where consumer = $1 and id = $2");
    Ok(asked.bind(&message.consumer).bind(message.id).execute(pool).await?.rows_affected() > 0)
}
