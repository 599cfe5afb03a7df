//! I4: what is committed is published, and handled once. I5: versions are contiguous.

use std::collections::{HashMap, HashSet};

use sqlx::{PgPool, Row};
use uuid::Uuid;
use viscount_contracts::Topic;

use super::{
    report::{Promise, Report},
    world::World,
};
use crate::failure::Failure;

/// Who reads whom.
const READS: [(Topic, Topic); 6] = [
    (Topic::Orders, Topic::Catalog),
    (Topic::Orders, Topic::Inventory),
    (Topic::Orders, Topic::Payments),
    (Topic::Inventory, Topic::Orders),
    (Topic::Payments, Topic::Orders),
    (Topic::Catalog, Topic::Inventory),
];

/// How far each service has come with each log: everything up to there is done.
#[derive(Debug, Default)]
pub struct Places(HashMap<(Topic, String), i64>);

impl Places {
    /// How far `service` has come with `topic`.
    pub fn of(&self, service: Topic, topic: Topic) -> i64 {
        self.0.get(&(service, topic.name().to_owned())).copied().unwrap_or(0)
    }
}

/// How far everybody has come.
pub async fn places(world: &World) -> Result<Places, Failure> {
    let mut places = HashMap::new();
    for (service, pool) in world.topics() {
        let rows = sqlx::query("select topic, min(position) from consumer_offsets group by topic");
        for row in rows.fetch_all(pool).await? {
            places.insert((service, row.try_get(0)?), row.try_get(1)?);
        }
    }
    if !world.log.shares_work() {
        return Ok(Places(places));
    }
    let pools: HashMap<Topic, &PgPool> = world.topics().into_iter().collect();
    for (service, topic) in READS {
        let Some(pool) = pools.get(&topic) else { continue };
        let published = sqlx::query_scalar("select position from log_relay").fetch_one(*pool).await?;
        let place = world.log.place(service.service(), topic, published).await;
        if let Some(place) = place.map_err(|error| Failure::doing("the brokers", error))? {
            places.insert((service, topic.name().to_owned()), place);
        }
    }
    Ok(Places(places))
}

/// Where each log ends.
pub async fn heads(world: &World) -> Result<HashMap<Topic, i64>, Failure> {
    let mut heads = HashMap::new();
    for (topic, pool) in world.topics() {
        heads.insert(topic, sqlx::query_scalar("select position from log_head").fetch_one(pool).await?);
    }
    Ok(heads)
}

/// Whether everybody has come to where the logs ended when the audit began.
pub fn check_behind(places: &Places, heads: &HashMap<Topic, i64>, report: &mut Report) {
    for (service, topic) in READS {
        let (position, head) = (places.of(service, topic), heads.get(&topic).copied().unwrap_or(0));
        if position < head {
            report.violation(
                Promise::I4,
                format!("{} reading {topic}", service.service()),
                format!("has come to {position}, and does not go on to {head}"),
            );
        }
    }
}

/// Checks every log, and every consumer against the logs it reads.
pub async fn check(world: &World, places: &Places, report: &mut Report) -> Result<(), Failure> {
    // Consumers first: what they have handled by now must be at its source afterwards.
    let mut inboxes = Vec::new();
    for (topic, pool) in world.topics() {
        let handled: Vec<Uuid> = sqlx::query_scalar("select event_id from inbox").fetch_all(pool).await?;
        dead_letters(topic, pool, report).await?;
        inboxes.push((topic, handled));
    }
    let mut known: HashMap<Uuid, Topic> = HashMap::new();
    let mut heads = HashMap::new();
    for (topic, pool) in world.topics() {
        heads.insert(topic.name(), log(topic, pool, &mut known, report).await?);
        versions(topic, pool, report).await?;
    }
    for (topic, handled) in inboxes {
        let service = topic.service();
        for event in &handled {
            match known.get(event) {
                None => report.violation(
                    Promise::I4,
                    format!("event {event}"),
                    format!("{service} has handled it, and nobody has published it"),
                ),
                Some(source) if !READS.contains(&(topic, *source)) => report.violation(
                    Promise::I4,
                    format!("event {event}"),
                    format!("{service} has handled it, and does not read {source}"),
                ),
                Some(_) => {}
            }
        }
        report.checked(Promise::I4, format!("{} events handled by {service}", handled.len()));
    }
    for ((service, read), position) in &places.0 {
        let head = heads.get(read.as_str()).copied().unwrap_or(0);
        if *position > head {
            report.violation(
                Promise::I4,
                format!("{} reading {read}", service.service()),
                format!("has come to {position}, and the log ends at {head}"),
            );
        }
    }
    Ok(())
}

async fn dead_letters(topic: Topic, pool: &PgPool, report: &mut Report) -> Result<(), Failure> {
    let letters = sqlx::query(
        "select event_id, key, kind, state, error from dead_letters order by recorded_at limit 1000",
    )
    .fetch_all(pool)
    .await?;
    for row in letters {
        let (event, key): (Uuid, Uuid) = (row.try_get(0)?, row.try_get(1)?);
        let (kind, state, error): (String, String, String) =
            (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        report.violation(
            Promise::I4,
            format!("event {event}"),
            format!("{kind} of {key} is {state} at {}: {error}", topic.service()),
        );
    }
    let messages = sqlx::query(
        "select consumer, topic, partition, message_offset, error from unreadable_messages
         order by recorded_at limit 1000",
    );
    for row in messages.fetch_all(pool).await? {
        let (consumer, read): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (partition, offset, error): (i32, i64, String) =
            (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        report.violation(
            Promise::I4,
            format!("message {offset} of partition {partition} of {read}"),
            format!("{consumer} found no event in it: {error}"),
        );
    }
    Ok(())
}

async fn log(
    topic: Topic,
    pool: &PgPool,
    known: &mut HashMap<Uuid, Topic>,
    report: &mut Report,
) -> Result<i64, Failure> {
    let mut transaction = pool.begin().await?;
    sqlx::query("set transaction isolation level repeatable read").execute(&mut *transaction).await?;
    let head: i64 = sqlx::query_scalar("select position from log_head").fetch_one(&mut *transaction).await?;
    let (count, last): (i64, i64) = sqlx::query_as("select count(*), coalesce(max(position), 0) from events")
        .fetch_one(&mut *transaction)
        .await?;
    let missing: Vec<(i64, i64)> = sqlx::query_as(
        "select before + 1, position - 1
         from (select position, lag(position, 1, 0::bigint) over (order by position) as before from events) e
         where position <> before + 1 order by position limit 100",
    )
    .fetch_all(&mut *transaction)
    .await?;
    let ids: Vec<Uuid> =
        sqlx::query_scalar("select event_id from events").fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    for (from, to) in missing {
        report.violation(
            Promise::I4,
            format!("log {topic}"),
            format!("nothing is at positions {from} to {to}"),
        );
    }
    if last != head {
        report.violation(
            Promise::I4,
            format!("log {topic}"),
            format!("ends at {head}, its last event is {last}"),
        );
    }
    let mut here = HashSet::with_capacity(ids.len());
    for id in ids {
        let elsewhere = known.insert(id, topic).filter(|elsewhere| *elsewhere != topic);
        if !here.insert(id) || elsewhere.is_some() {
            let other = elsewhere.unwrap_or(topic);
            report.violation(
                Promise::I4,
                format!("event {id}"),
                format!("is in {topic} and again in {other}"),
            );
        }
    }
    report.checked(Promise::I4, format!("{count} events of {}", topic.service()));
    Ok(head)
}

async fn versions(topic: Topic, pool: &PgPool, report: &mut Report) -> Result<(), Failure> {
    let streams: i64 =
        sqlx::query_scalar("select count(distinct stream) from events").fetch_one(pool).await?;
    report.checked(Promise::I5, format!("{streams} streams of {}", topic.service()));
    let torn: Vec<(Uuid, i32, i64)> = sqlx::query_as(
        "select distinct on (stream) stream, version, place
         from (select stream, version, position, row_number() over (partition by stream order by position) as place
               from events) e
         where version <> place order by stream, position limit 1000",
    )
    .fetch_all(pool)
    .await?;
    for (stream, version, place) in torn {
        report.violation(
            Promise::I5,
            format!("stream {stream} of {topic}"),
            format!("version {version} stands where version {place} belongs"),
        );
    }
    Ok(())
}
