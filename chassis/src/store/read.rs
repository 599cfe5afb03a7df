//! Reading events back: one stream for an entity, the whole log for whoever is behind.

use std::collections::HashMap;

use bytes::Bytes;
use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;
use viscount_contracts::{Envelope, EventId, Topic};

/// The events that a service publishes, as its database has them.
#[derive(Debug, Clone)]
pub struct EventStore {
    topic: Topic,
    pool: PgPool,
}

impl EventStore {
    /// The events of `topic` live in this database.
    pub fn new(topic: Topic, pool: PgPool) -> Self {
        Self { topic, pool }
    }

    /// The topic.
    pub fn topic(&self) -> Topic {
        self.topic
    }

    /// Where they live.
    #[cfg(feature = "kafka")]
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// One aggregate's events with a version above `after`, oldest first.
    pub async fn stream(&self, stream: Uuid, after: i32) -> Result<Vec<Envelope>, sqlx::Error> {
        sqlx::query(
            "select position, stream, version, event_id, kind, data, occurred_at, traceparent
             from events where stream = $1 and version > $2 order by version",
        )
        .bind(stream)
        .bind(after)
        .try_map(|row| self.envelope(&row))
        .fetch_all(&self.pool)
        .await
    }

    /// At most `limit` events behind position `after`, in the order of the log.
    pub async fn log(&self, after: i64, limit: i64) -> Result<Vec<Envelope>, sqlx::Error> {
        sqlx::query(
            "select position, stream, version, event_id, kind, data, occurred_at, traceparent
             from events where position > $1 order by position limit $2",
        )
        .bind(after)
        .bind(limit)
        .try_map(|row| self.envelope(&row))
        .fetch_all(&self.pool)
        .await
    }

    /// The position of the newest event; 0 when there is none.
    pub async fn head(&self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar("select position from log_head").fetch_one(&self.pool).await
    }

    /// At most `limit` events up to position `head`, stream by stream, behind this version of this stream.
    pub async fn by_stream(
        &self,
        after: (Uuid, i32),
        head: i64,
        limit: i64,
    ) -> Result<Vec<Envelope>, sqlx::Error> {
        sqlx::query(
            "select position, stream, version, event_id, kind, data, occurred_at, traceparent
             from events where (stream, version) > ($1, $2) and position <= $3 order by stream, version limit $4",
        )
        .bind(after.0)
        .bind(after.1)
        .bind(head)
        .bind(limit)
        .try_map(|row| self.envelope(&row))
        .fetch_all(&self.pool)
        .await
    }

    /// The streams that have an event behind position `after` and not behind `head`.
    pub async fn changed(&self, after: i64, head: i64) -> Result<Vec<Uuid>, sqlx::Error> {
        sqlx::query_scalar("select distinct stream from events where position > $1 and position <= $2")
            .bind(after)
            .bind(head)
            .fetch_all(&self.pool)
            .await
    }

    /// The position before the first event that happened at this moment or later; the newest position when there is none.
    /// Reads all events, for people and tools.
    pub async fn before(&self, moment: Timestamp) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(
            "select coalesce((select min(position) - 1 from events where occurred_at >= $1), position) from log_head",
        )
        .bind(moment.to_sqlx())
        .fetch_one(&self.pool)
        .await
    }

    /// For each of these (stream, version): the id of the event that is there, if any.
    pub(super) async fn occupants(
        &self,
        streams: &[Uuid],
        versions: &[i32],
    ) -> Result<HashMap<(Uuid, i32), Uuid>, sqlx::Error> {
        let rows = sqlx::query(
            "select e.stream, e.version, e.event_id from unnest($1::uuid[], $2::int[]) as u (stream, version)
             join events e on e.stream = u.stream and e.version = u.version",
        )
        .bind(streams)
        .bind(versions)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))).collect()
    }

    /// The newest version of each of these streams that has one.
    pub(super) async fn newest(&self, streams: &[Uuid]) -> Result<HashMap<Uuid, i32>, sqlx::Error> {
        let rows =
            sqlx::query("select stream, max(version) from events where stream = any($1) group by stream")
                .bind(streams)
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    fn envelope(&self, row: &PgRow) -> Result<Envelope, sqlx::Error> {
        Ok(Envelope {
            id: EventId::from(row.try_get::<Uuid, _>("event_id")?),
            topic: self.topic,
            position: row.try_get("position")?,
            key: row.try_get("stream")?,
            version: row.try_get("version")?,
            kind: self.topic.kind(row.try_get("kind")?),
            occurred_at: row.try_get::<SqlTimestamp, _>("occurred_at")?.to_jiff(),
            traceparent: row.try_get("traceparent")?,
            data: Bytes::from(row.try_get::<Vec<u8>, _>("data")?),
        })
    }
}
