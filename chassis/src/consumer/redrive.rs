//! Dead letters that go back: each key from its oldest row on, one after the other, keys side by side.
//!
//! Messages that could not be read come first: what can be read by now becomes a letter that goes back.
//!
//! Of all replicas one does it at a time: the holder of an advisory lock, on a connection of its own over which it also
//! reads and removes the rows. Who has lost the connection has lost the lock, and cannot begin another event either; the
//! one that was in its hands comes twice then, and the inbox makes that harmless. See docs/adr/0024.

use std::{rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{Connection, PgConnection, PgPool, Row, postgres::PgRow};
use tokio::{
    task::JoinSet,
    time::{Instant, error::Elapsed, sleep, timeout},
};
use uuid::Uuid;
use viscount_contracts::{Envelope, EventId, Topic};

use super::{ConsumerSpec, Failure, Handler, lanes::attempts, unreadable::Rereading};
use crate::{dead_letters::APPENDED, failpoint, log::EventLog, store::session::end_when_silent};

/// How many keys are redriven side by side.
const AT_ONCE: usize = 16;
/// How often somebody is looked for who has been asked for meanwhile.
const LOOK: Duration = Duration::from_millis(250);
/// How long the database may take for one answer.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// How long to leave it to another replica that has the lock.
const LEAVE: Duration = Duration::from_secs(1);

/// What is read of an event that goes back.
const COLUMNS: &str = "event_id, position, key, version, kind, data, occurred_at, traceparent";

/// A redrive had to stop. It goes on later, from where it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stopped {
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the database did not answer in time")]
    Late(#[from] Elapsed),
}

/// Redrives of one consumer.
pub(super) struct Redrives<H> {
    spec: Rc<ConsumerSpec>,
    handler: Rc<H>,
    pool: PgPool,
    log: Arc<dyn EventLog>,
    /// One or none; ends with the consumer.
    running: JoinSet<Result<(), Stopped>>,
    /// Not before then: another replica is at it, or the database did not answer.
    begin: Instant,
}

impl<H: Handler> Redrives<H> {
    pub(super) fn new(spec: &ConsumerSpec, handler: Rc<H>, pool: PgPool, log: Arc<dyn EventLog>) -> Self {
        let spec = Rc::new(spec.clone());
        Self { spec, handler, pool, log, running: JoinSet::new(), begin: Instant::now() }
    }

    /// There is something to redrive: begins, unless it is being done already.
    pub(super) fn begin(&mut self) {
        while let Some(ended) = self.running.try_join_next() {
            if let Ok(Err(error)) = ended {
                tracing::warn!(consumer = self.spec.consumer, topic = %self.spec.topic, %error, "redrive pauses");
            }
        }
        if self.running.is_empty() && self.begin <= Instant::now() {
            self.begin = Instant::now() + LEAVE;
            let (spec, handler, log) = (self.spec.clone(), self.handler.clone(), self.log.clone());
            let redrive = Redrive { spec, handler, log };
            self.running.spawn_local(redrive.run(self.pool.clone()));
        }
    }
}

struct Redrive<H> {
    spec: Rc<ConsumerSpec>,
    handler: Rc<H>,
    log: Arc<dyn EventLog>,
}

/// An event that is through, for better or worse.
type Through = (Arc<Envelope>, Result<(), Failure>);

impl<H: Handler> Redrive<H> {
    /// Until nothing is left that should go back.
    async fn run(self, pool: PgPool) -> Result<(), Stopped> {
        // Not the pool's any more: its end, however it comes, is the end of the lock.
        let mut connection = pool.acquire().await?.detach();
        timeout(ANSWER, end_when_silent(&mut connection)).await??;
        if !self.lock(&mut connection).await? {
            return Ok(timeout(ANSWER, connection.close()).await??);
        }
        let mut running: JoinSet<Through> = JoinSet::new();
        let mut busy: Vec<Uuid> = Vec::new();
        let rereading = Rereading { spec: &self.spec, log: self.log.as_ref() };
        loop {
            rereading.run(&mut connection, |event| self.handler.wants(event)).await?;
            let (room, heads) =
                (AT_ONCE.saturating_sub(busy.len()), self.heads(&mut connection, &busy).await?);
            let may_be_more = heads.len() == room;
            for event in heads {
                busy.push(event.key);
                self.start(event, &mut running);
            }
            let look = sleep(LOOK);
            tokio::pin!(look);
            loop {
                tokio::select! {
                    Some(through) = running.join_next() => {
                        let Ok((event, result)) = through else { continue };
                        failpoint!("consumer.redriven");
                        match self.settle(&mut connection, &event, result).await? {
                            Some(follower) => self.start(follower, &mut running),
                            None => busy.retain(|key| *key != event.key),
                        }
                        if may_be_more && busy.len() <= AT_ONCE / 2 {
                            break;
                        }
                    }
                    () = &mut look, if !busy.is_empty() => break,
                    else => return Ok(timeout(ANSWER, connection.close()).await??),
                }
            }
        }
    }

    fn start(&self, event: Envelope, running: &mut JoinSet<Through>) {
        let (spec, handler, event) = (self.spec.clone(), self.handler.clone(), Arc::new(event));
        running.spawn_local(async move {
            let result = attempts(&spec, handler.as_ref(), &event).await;
            (event, result)
        });
    }

    async fn lock(&self, connection: &mut PgConnection) -> Result<bool, Stopped> {
        let name = format!("redrive {} {}", self.spec.consumer, self.spec.topic.name());
        let asked = sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended($1, 0))").bind(name);
        Ok(timeout(ANSWER, asked.fetch_one(connection)).await??)
    }

    /// The oldest event of each key that should go back: a letter that was asked for, or what was parked behind one
    /// that is gone.
    async fn heads(&self, connection: &mut PgConnection, busy: &[Uuid]) -> Result<Vec<Envelope>, Stopped> {
        let sql = format!(
            "select {COLUMNS} from
                (select distinct on (key) * from dead_letters
                 where consumer = $1 and topic = $2 and key <> all($3) order by key, position) head
             where state <> 'dead' order by position limit $4"
        );
        let (topic, room) = (self.spec.topic, AT_ONCE.saturating_sub(busy.len()));
        let heads = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(self.spec.consumer)
            .bind(topic.name())
            .bind(busy)
            .bind(i64::try_from(room).unwrap_or_default())
            .try_map(move |row| read(topic, &row))
            .fetch_all(connection);
        Ok(timeout(ANSWER, heads).await??)
    }

    /// Notes what became of an event, and gives the next one of its key that may go on.
    async fn settle(
        &self,
        connection: &mut PgConnection,
        event: &Envelope,
        result: Result<(), Failure>,
    ) -> Result<Option<Envelope>, Stopped> {
        let (consumer, topic) = (self.spec.consumer, self.spec.topic.name());
        let outcome = if result.is_ok() { "handled" } else { "dead" };
        self.spec.redriven(outcome).increment(1);
        if let Err(failure) = result {
            tracing::error!(
                consumer, topic, event = %event.id, kind = %event.kind, attempts = failure.attempts,
                error = failure.error(), "event is a dead letter again"
            );
            let sql = format!(
                "update dead_letters set state = 'dead', attempts = attempts + $3, error = $4, errors = {APPENDED},
                        published_at = null
                 where consumer = $1 and event_id = $2"
            );
            let dead = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(consumer).bind(event.id.uuid());
            let dead = dead.bind(failure.attempts()).bind(failure.error()).bind(failure.tries.to_json());
            timeout(ANSWER, dead.execute(connection)).await??;
            return Ok(None);
        }
        tracing::info!(consumer, topic, event = %event.id, kind = %event.kind, "event redriven");
        let gone = sqlx::query("delete from dead_letters where consumer = $1 and event_id = $2");
        timeout(ANSWER, gone.bind(consumer).bind(event.id.uuid()).execute(&mut *connection)).await??;
        let sql = format!(
            "select {COLUMNS}, state from dead_letters
             where consumer = $1 and topic = $2 and key = $3 order by position limit 1"
        );
        let next = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(consumer).bind(topic).bind(event.key);
        let Some(row) = timeout(ANSWER, next.fetch_optional(connection)).await?? else { return Ok(None) };
        match row.try_get("state")? {
            "dead" => Ok(None),
            _ => Ok(Some(read(self.spec.topic, &row)?)),
        }
    }
}

fn read(topic: Topic, row: &PgRow) -> Result<Envelope, sqlx::Error> {
    Ok(Envelope {
        id: EventId::from(row.try_get::<Uuid, _>("event_id")?),
        topic,
        position: row.try_get("position")?,
        key: row.try_get("key")?,
        version: row.try_get("version")?,
        kind: topic.kind_named(row.try_get("kind")?),
        occurred_at: row.try_get::<SqlTimestamp, _>("occurred_at")?.to_jiff(),
        traceparent: row.try_get("traceparent")?,
        data: Bytes::from(row.try_get::<Vec<u8>, _>("data")?),
    })
}
