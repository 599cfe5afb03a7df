//! From the first event to the mended tables.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;
use viscount_contracts::Envelope;

use super::{Difference, Key, Progress, Replay, ReplayError, mend::mend, stage};
use crate::store::EventStore;

/// Events that are read at once.
const PAGE: i64 = 5_000;
/// Keys that are written at once.
const KEYS: usize = 500;
/// So many events may be left for the moment when writers are kept out.
const FEW: i64 = 500;
/// How often what came meanwhile is made up for before that moment.
const ROUNDS: usize = 5;

/// SQLSTATE `lock_not_available`.
const LOCKED: &str = "55P03";

/// Makes a projection anew from the events of `source` and tells what the tables differed in. With `mend` they are put
/// right, all in one transaction; else they stay.
///
/// `connection` is to the database of the projection and is given up to this: close it afterwards. Others may go on
/// writing there: only while tables are compared and put right do they wait.
pub async fn replay(
    replay: &dyn Replay,
    source: &EventStore,
    connection: &mut PgConnection,
    asked: bool,
    told: &mut dyn FnMut(Progress),
) -> Result<Vec<Difference>, ReplayError> {
    stage::set(connection, replay).await?;
    let mut head = source.head().await?;
    from_the_beginning(replay, source, connection, head, told).await?;
    for _ in 0..ROUNDS {
        let now = source.head().await?;
        if now - head <= FEW {
            break;
        }
        make_up(replay, source, connection, head, now).await?;
        head = now;
    }

    let mut transaction = connection.begin().await?;
    let tables: Vec<_> = replay.tables().iter().map(|table| format!("public.{}", table.name)).collect();
    let lock = format!("lock table {} in exclusive mode", tables.join(", "));
    transaction.execute(AssertSqlSafe(lock)).await.map_err(unless_locked)?;
    // Whoever writes an event with its effect in these tables has ended by now, or waits.
    let last = source.head().await?;
    make_up(replay, source, &mut transaction, head, last).await?;
    let mut differences = Vec::new();
    for table in replay.tables() {
        differences.push(mend(&mut transaction, *table, asked).await?);
    }
    if asked {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(differences)
}

async fn from_the_beginning(
    replay: &dyn Replay,
    source: &EventStore,
    connection: &mut PgConnection,
    head: i64,
    told: &mut dyn FnMut(Progress),
) -> Result<(), ReplayError> {
    let total = u64::try_from(head).unwrap_or(0);
    let (mut place, mut done) = ((Uuid::nil(), 0), 0);
    let mut whole: Vec<Key> = Vec::new();
    let mut growing: Vec<Envelope> = Vec::new();
    told(Progress { done, total });
    loop {
        let page = source.by_stream(place, head, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        done += page.len() as u64;
        for event in page {
            place = (event.key, event.version);
            if growing.last().is_some_and(|last| last.key != event.key) {
                whole.push((Vec::new(), std::mem::take(&mut growing)));
            }
            growing.push(event);
        }
        if is_last && !growing.is_empty() {
            whole.push((Vec::new(), std::mem::take(&mut growing)));
        }
        for keys in whole.chunks(KEYS) {
            replay.write(connection, keys).await?;
        }
        whole.clear();
        told(Progress { done, total });
        if is_last {
            return Ok(());
        }
    }
}

/// Writes what was published behind position `from` and not behind `to`.
async fn make_up(
    replay: &dyn Replay,
    source: &EventStore,
    connection: &mut PgConnection,
    from: i64,
    to: i64,
) -> Result<(), ReplayError> {
    for changed in source.changed(from, to).await?.chunks(KEYS) {
        let mut keys = Vec::with_capacity(changed.len());
        for key in changed {
            let mut events = source.stream(*key, 0).await?;
            events.retain(|event| event.position <= to);
            let fresh = events.split_off(events.partition_point(|event| event.position <= from));
            keys.push((events, fresh));
        }
        replay.write(connection, &keys).await?;
    }
    Ok(())
}

fn unless_locked(error: sqlx::Error) -> ReplayError {
    let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    if code.as_deref() == Some(LOCKED) { ReplayError::Locked } else { error.into() }
}
