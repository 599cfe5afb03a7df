//! Messages in which no event could be read: kept as they came, before their offset passes, and read once more when
//! somebody asks for that.
//!
//! Whoever floods a topic with garbage must not fill the disk of those who read it: so many are kept of each topic, and so
//! many bytes of them. What is beyond is counted and told; the topic still has it.

use jiff_sqlx::ToSqlx;
use metrics::counter;
use sqlx::{PgConnection, PgPool};
use tokio::time::timeout;
use uuid::Uuid;
use viscount_contracts::Envelope;

use super::{
    ConsumerSpec,
    redrive::{ANSWER, Stopped},
};
use crate::{
    dead_letters::{APPENDED, Tries, UnreadableMessage},
    log::{EventLog, Unreadable},
};

/// How many are kept at most, for each consumer and topic.
const MOST: i64 = 1_000;
/// And how many bytes of them.
const MOST_BYTES: i64 = 64 << 20;
/// How many are read again at once.
const AT_ONCE: i64 = 16;

/// Keeps messages of one partition, offsets ascending. One that is kept already stays as it is.
pub(super) async fn keep(
    pool: &PgPool,
    spec: &ConsumerSpec,
    messages: &[Unreadable],
) -> Result<(), sqlx::Error> {
    let (consumer, topic) = (spec.consumer, spec.topic.name());
    let column = |of: fn(&Unreadable) -> Option<&[u8]>| messages.iter().map(of).collect::<Vec<_>>();
    let bytes = |unreadable: &Unreadable| i64::try_from(unreadable.message.size()).unwrap_or(i64::MAX);
    let tries = |unreadable: &Unreadable| Tries::one(&unreadable.problem);
    let beyond: i64 = sqlx::query_scalar(
        "with new as (
            select came.* from unnest($3::uuid[], $4::int[], $5::bigint[], $6::bytea[], $7::bytea[], $8::text[],
                                      $9::bigint[], $10::bigint[], $11::text[], $12::text[])
                as came (id, partition, message_offset, key, value, headers, millis, bytes, error, errors)
            where not exists (select 1 from unreadable_messages k where k.consumer = $1 and k.id = came.id)
         ), kept as (
            select count(*) as number, coalesce(sum(bytes), 0) as bytes
            from unreadable_messages where consumer = $1 and topic = $2
         ), counted as (
            select new.*, kept.number + row_number() over in_order as number,
                   kept.bytes + sum(new.bytes) over in_order as total
            from new, kept window in_order as (order by message_offset)
         ), room as (
            insert into unreadable_messages
                (consumer, id, topic, partition, message_offset, key, value, headers, produced_at, bytes, state,
                 attempts, error, errors)
            select $1, id, $2, partition, message_offset, key, value, headers::jsonb, to_timestamp(millis / 1000.0),
                   bytes, 'dead', 1, error, errors::jsonb
            from counted where number <= $13 and total <= $14
            on conflict do nothing
         )
         select count(*) from counted where number > $13 or total > $14",
    )
    .bind(consumer)
    .bind(topic)
    .bind(messages.iter().map(|unreadable| unreadable.message.id(topic)).collect::<Vec<Uuid>>())
    .bind(messages.iter().map(|unreadable| unreadable.message.partition).collect::<Vec<_>>())
    .bind(messages.iter().map(|unreadable| unreadable.message.offset).collect::<Vec<_>>())
    .bind(column(|unreadable| unreadable.message.key.as_deref()))
    .bind(column(|unreadable| unreadable.message.value.as_deref()))
    .bind(messages.iter().map(|unreadable| unreadable.message.headers_json()).collect::<Vec<_>>())
    .bind(messages.iter().map(produced).collect::<Vec<_>>())
    .bind(messages.iter().map(bytes).collect::<Vec<_>>())
    .bind(messages.iter().map(|unreadable| tries(unreadable).error().to_owned()).collect::<Vec<_>>())
    .bind(messages.iter().map(|unreadable| tries(unreadable).to_json()).collect::<Vec<_>>())
    .bind(MOST)
    .bind(MOST_BYTES)
    .fetch_one(pool)
    .await?;
    let labels = spec.labels();
    counter!(crate::metrics::CONSUMER_UNREADABLE_MESSAGES_TOTAL, &labels).increment(messages.len() as u64);
    if let Some(Unreadable { message, problem }) = messages.first() {
        tracing::error!(
            consumer,
            topic,
            partition = message.partition,
            offset = message.offset,
            problem,
            messages = messages.len(),
            "messages without an event became dead letters"
        );
    }
    if beyond > 0 {
        counter!(crate::metrics::CONSUMER_UNREADABLE_MESSAGES_NOT_KEPT_TOTAL, &labels)
            .increment(beyond.unsigned_abs());
        tracing::error!(
            consumer,
            topic,
            not_kept = beyond,
            "more messages without an event than are kept; only the topic has them"
        );
    }
    Ok(())
}

/// The message's time, where the database has a place for it.
fn produced(unreadable: &Unreadable) -> Option<i64> {
    let last = jiff::Timestamp::MAX.as_millisecond();
    unreadable.message.timestamp.filter(|millis| (0..=last).contains(millis))
}

/// Reads again what somebody has asked for.
pub(super) struct Rereading<'a> {
    pub(super) spec: &'a ConsumerSpec,
    pub(super) log: &'a dyn EventLog,
}

impl Rereading<'_> {
    /// Until nothing is left that should be read again. What can be read becomes a letter on its way back.
    pub(super) async fn run(
        &self,
        connection: &mut PgConnection,
        wants: impl Fn(&Envelope) -> bool,
    ) -> Result<(), Stopped> {
        loop {
            let asked = sqlx::query(
                "select *, headers::text as headers_text, errors::text as errors_text from unreadable_messages
                 where consumer = $1 and topic = $2 and state = 'redriving' order by id limit $3",
            );
            let asked = asked.bind(self.spec.consumer).bind(self.spec.topic.name()).bind(AT_ONCE);
            let asked = asked.try_map(|row| UnreadableMessage::read(&row)).fetch_all(&mut *connection);
            let asked = timeout(ANSWER, asked).await??;
            if asked.is_empty() {
                return Ok(());
            }
            for kept in asked {
                match self.log.read_again(self.spec.topic, &kept.message) {
                    Ok(event) if wants(&event) => self.send_back(connection, &kept, &event).await?,
                    Ok(event) => self.forget(connection, &kept, &event).await?,
                    Err(problem) => self.leave(connection, &kept, &problem).await?,
                }
            }
        }
    }

    /// Behind older letters of its key, if there are any.
    async fn send_back(
        &self,
        connection: &mut PgConnection,
        kept: &UnreadableMessage,
        event: &Envelope,
    ) -> Result<(), Stopped> {
        let (consumer, topic) = (self.spec.consumer, self.spec.topic.name());
        let moved = sqlx::query(
            "with gone as (
                delete from unreadable_messages where consumer = $1 and id = $2 returning attempts, error, errors
             )
             insert into dead_letters
                (consumer, event_id, topic, position, key, version, kind, data, occurred_at, traceparent, attempts, error,
                 errors, state)
             select $1, $3, $4, $5, $6, $7, $8, $9, $10, $11, attempts, error, errors,
                case when exists (select 1 from dead_letters d
                                  where d.consumer = $1 and d.topic = $4 and d.key = $6 and d.position < $5)
                     then 'parked' else 'redriving' end
             from gone on conflict (consumer, event_id) do nothing",
        )
        .bind(consumer)
        .bind(kept.id)
        .bind(event.id.uuid())
        .bind(topic)
        .bind(event.position)
        .bind(event.key)
        .bind(event.version)
        .bind(event.kind.as_ref())
        .bind(event.data.as_ref())
        .bind(event.occurred_at.to_sqlx())
        .bind(&event.traceparent)
        .execute(connection);
        timeout(ANSWER, moved).await??;
        tracing::info!(consumer, topic, message = %kept.id, event = %event.id, kind = %event.kind, "message can be read");
        Ok(())
    }

    /// An event after all, and none that means anything here.
    async fn forget(
        &self,
        connection: &mut PgConnection,
        kept: &UnreadableMessage,
        event: &Envelope,
    ) -> Result<(), Stopped> {
        let (consumer, topic) = (self.spec.consumer, self.spec.topic.name());
        let gone = sqlx::query("delete from unreadable_messages where consumer = $1 and id = $2");
        timeout(ANSWER, gone.bind(consumer).bind(kept.id).execute(connection)).await??;
        tracing::info!(consumer, topic, message = %kept.id, kind = %event.kind, "message can be read, and is not for us");
        self.spec.redriven("handled").increment(1);
        Ok(())
    }

    async fn leave(
        &self,
        connection: &mut PgConnection,
        kept: &UnreadableMessage,
        problem: &str,
    ) -> Result<(), Stopped> {
        let (consumer, topic, tries) = (self.spec.consumer, self.spec.topic.name(), Tries::one(problem));
        let sql = format!(
            "update unreadable_messages set state = 'dead', attempts = attempts + $3, error = $4, errors = {APPENDED},
                    published_at = null
             where consumer = $1 and id = $2"
        );
        let dead = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(consumer).bind(kept.id).bind(1);
        let dead = dead.bind(tries.error()).bind(tries.to_json()).execute(connection);
        timeout(ANSWER, dead).await??;
        tracing::error!(consumer, topic, message = %kept.id, problem, "message still cannot be read");
        self.spec.redriven("dead").increment(1);
        Ok(())
    }
}
