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

/// Checks every log, and every consumer against the logs it reads.
pub async fn check(world: &World, report: &mut Report) -> Result<(), Failure> {
    // Consumers first: what they have handled by now must be at its source afterwards.
    let mut inboxes = Vec::new();
    for (topic, pool) in world.topics() {
        let handled: Vec<Uuid> = sqlx::query_scalar("select event_id from inbox").fetch_all(pool).await?;
        let places = sqlx::query("select consumer, topic, position from consumer_offsets").fetch_all(pool).await?;
        dead_letters(topic, pool, report).await?;
        inboxes.push((topic, handled, places));
    }
    let mut known: HashSet<Uuid> = HashSet::new();
    let mut heads = HashMap::new();
    for (topic, pool) in world.topics() {
        heads.insert(topic.name(), log(topic, pool, &mut known, report).await?);
        versions(topic, pool, report).await?;
    }
    for (topic, handled, places) in inboxes {
        let service = topic.service();
        for event in handled.iter().filter(|event| !known.contains(event)) {
            report.violation(Promise::I4, format!("{service} has handled event {event}, which nobody published"));
        }
        report.checked(Promise::I4, format!("{} events handled by {service}", handled.len()));
        for place in places {
            let (consumer, read, position): (String, String, i64) =
                (place.try_get(0)?, place.try_get(1)?, place.try_get(2)?);
            let head = heads.get(read.as_str()).copied().unwrap_or(0);
            if position > head {
                report.violation(
                    Promise::I4,
                    format!("{consumer} stands at {position} of {read}, which ends at {head}"),
                );
            }
        }
    }
    Ok(())
}

async fn dead_letters(topic: Topic, pool: &PgPool, report: &mut Report) -> Result<(), Failure> {
    let letters = sqlx::query("select consumer, event_id, kind, key, state, error from dead_letters limit 100")
        .fetch_all(pool)
        .await?;
    for row in letters {
        let text = |column: usize| row.try_get::<String, _>(column);
        let (event, key): (Uuid, Uuid) = (row.try_get(1)?, row.try_get(3)?);
        report.violation(
            Promise::I4,
            format!("{}: {} {} {event} of {key}: {} ({})", topic.service(), text(4)?, text(2)?, text(5)?, text(0)?),
        );
    }
    Ok(())
}

async fn log(topic: Topic, pool: &PgPool, known: &mut HashSet<Uuid>, report: &mut Report) -> Result<i64, Failure> {
    let mut transaction = pool.begin().await?;
    sqlx::query("set transaction isolation level repeatable read").execute(&mut *transaction).await?;
    let head: i64 = sqlx::query_scalar("select position from log_head").fetch_one(&mut *transaction).await?;
    let (count, first, last): (i64, Option<i64>, Option<i64>) =
        sqlx::query_as("select count(*), min(position), max(position) from events").fetch_one(&mut *transaction).await?;
    let ids: Vec<Uuid> = sqlx::query_scalar("select event_id from events").fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    if (count, first.unwrap_or(1), last.unwrap_or(0)) != (head, 1, head) {
        report.violation(
            Promise::I4,
            format!("{topic}: {count} events from {first:?} to {last:?}, and the log ends at {head}"),
        );
    }
    for id in ids {
        if !known.insert(id) {
            report.violation(Promise::I4, format!("{topic}: event {id} is there twice"));
        }
    }
    report.checked(Promise::I4, format!("{count} events of {}", topic.service()));
    Ok(head)
}

async fn versions(topic: Topic, pool: &PgPool, report: &mut Report) -> Result<(), Failure> {
    let streams: i64 = sqlx::query_scalar("select count(distinct stream) from events").fetch_one(pool).await?;
    report.checked(Promise::I5, format!("{streams} streams of {}", topic.service()));
    let torn = sqlx::query(
        "select stream, array_agg(version order by position) from events group by stream
         having array_agg(version order by position) <> array(select generate_series(1, count(*)::int)) limit 100",
    )
    .fetch_all(pool)
    .await?;
    for row in torn {
        let (stream, versions): (Uuid, Vec<i32>) = (row.try_get(0)?, row.try_get(1)?);
        report.violation(Promise::I5, format!("{topic}: {stream} has versions {versions:?}"));
    }
    Ok(())
}
