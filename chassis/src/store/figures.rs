//! What a service's database and its pool tell about themselves, asked for at a low rate and never by a scrape.
//!
//! The pool's own counts cost nothing and are shown each second. Everything else is one statement each fifteen seconds,
//! over the same pool as everybody's: no session more, and when the pool is the problem, that shows.

use std::{convert::Infallible, sync::Arc, time::Duration};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use sqlx::{PgPool, Row, postgres::PgRow};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use viscount_contracts::Topic;

use crate::{log::EventLog, metrics as names};

const LOOK: Duration = Duration::from_secs(1);
/// How many looks there are to a try of the pool, and to a question to the database.
const TRY: u32 = 5;
const ASK: u32 = 15;
/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shows them for ever, over this pool.
pub(crate) async fn show(
    service: &'static str,
    pool: PgPool,
    log: Arc<dyn EventLog>,
) -> Result<(), Infallible> {
    let figures = Figures::of(service);
    figures.most.set(f64::from(pool.options().get_max_connections()));
    let topic = Topic::ALL.into_iter().find(|topic| topic.service() == service);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = 0_u32;
    loop {
        looks.tick().await;
        let idle = pool.num_idle();
        figures.idle.set(idle as f64);
        figures.in_use.set(f64::from(pool.size()) - idle as f64);
        if look.is_multiple_of(TRY) {
            let began = Instant::now();
            // A pool that has none to give is waited for as long as by anybody else: that is the figure.
            drop(pool.acquire().await);
            figures.acquire.record(began.elapsed().as_secs_f64());
        }
        if look % ASK == 1 {
            let asked = async {
                figures.tell(&sqlx::query(DATABASE).fetch_one(&pool).await?)?;
                match topic {
                    Some(topic) => tell_relay(&pool, topic, log.as_ref()).await,
                    None => Ok(()),
                }
            };
            match timeout(PATIENCE, asked).await {
                Ok(Ok(())) => {}
                // Whoever depends on the database says so louder.
                Ok(Err(error)) => tracing::debug!(service, %error, "the database does not tell its figures"),
                Err(_) => tracing::debug!(service, "the database does not tell its figures in time"),
            }
        }
        look = look.wrapping_add(1);
    }
}

/// Sessions are those of this database that are somebody's, other than the one that asks.
const DATABASE: &str = "
    select d.xact_commit, d.xact_rollback, d.blks_hit, d.blks_read, d.deadlocks, pg_database_size(d.datid) as bytes,
           a.active, a.idle, a.in_transaction, a.sessions - a.active - a.idle - a.in_transaction as other, a.waiting, a.oldest
    from pg_stat_database d, (
        select count(*) as sessions,
               count(*) filter (where state = 'active') as active,
               count(*) filter (where state = 'idle') as idle,
               count(*) filter (where state like 'idle in transaction%') as in_transaction,
               count(*) filter (where wait_event_type = 'Lock') as waiting,
               coalesce(extract(epoch from now() - min(xact_start)), 0)::float8 as oldest
        from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
    ) a
    where d.datname = current_database()";

/// How far the brokers have acknowledged, if there are any.
const PUBLISHED: &str = "select position from log_relay where cluster is not null";

const AGE_BEHIND: &str = "select extract(epoch from now() - occurred_at)::float8 from events where position > $1 order by position limit 1";

struct Figures {
    idle: Gauge,
    in_use: Gauge,
    most: Gauge,
    acquire: Histogram,
    sessions: [(&'static str, Gauge); 4],
    counts: [(&'static str, Counter); 5],
    bytes: Gauge,
    oldest: Gauge,
    waiting: Gauge,
}

impl Figures {
    fn of(service: &'static str) -> Self {
        let pool = |state| gauge!(names::DB_POOL_CONNECTIONS, "service" => service, "state" => state);
        let sessions = |column, state| {
            (column, gauge!(names::POSTGRES_CONNECTIONS, "service" => service, "state" => state))
        };
        let transactions = |column, outcome| {
            (column, counter!(names::POSTGRES_TRANSACTIONS_TOTAL, "service" => service, "outcome" => outcome))
        };
        let blocks = |column, source| {
            (column, counter!(names::POSTGRES_BLOCKS_TOTAL, "service" => service, "source" => source))
        };
        Self {
            idle: pool("idle"),
            in_use: pool("in_use"),
            most: gauge!(names::DB_POOL_CONNECTIONS_MAX, "service" => service),
            acquire: histogram!(names::DB_POOL_ACQUIRE_SECONDS, "service" => service),
            sessions: [
                sessions("active", "active"),
                sessions("idle", "idle"),
                sessions("in_transaction", "idle_in_transaction"),
                sessions("other", "other"),
            ],
            counts: [
                transactions("xact_commit", "committed"),
                transactions("xact_rollback", "rolled_back"),
                blocks("blks_hit", "cache"),
                blocks("blks_read", "disk"),
                ("deadlocks", counter!(names::POSTGRES_DEADLOCKS_TOTAL, "service" => service)),
            ],
            bytes: gauge!(names::POSTGRES_DATABASE_BYTES, "service" => service),
            oldest: gauge!(names::POSTGRES_OLDEST_TRANSACTION_SECONDS, "service" => service),
            waiting: gauge!(names::POSTGRES_LOCKS_WAITING, "service" => service),
        }
    }

    fn tell(&self, row: &PgRow) -> Result<(), sqlx::Error> {
        let number = |column: &str| row.try_get::<i64, _>(column);
        for (column, sessions) in &self.sessions {
            sessions.set(number(column)? as f64);
        }
        for (column, count) in &self.counts {
            count.absolute(number(column)?.unsigned_abs());
        }
        self.bytes.set(number("bytes")? as f64);
        self.waiting.set(number("waiting")? as f64);
        self.oldest.set(row.try_get::<f64, _>("oldest")?);
        Ok(())
    }
}

/// What is committed and not yet with the log.
async fn tell_relay(pool: &PgPool, topic: Topic, log: &dyn EventLog) -> Result<(), sqlx::Error> {
    let committed: i64 = sqlx::query_scalar("select position from log_head").fetch_one(pool).await?;
    // Asked for after that: what is committed meanwhile does not look late.
    let published = match log.newest(topic) {
        Some(newest) => Some(newest),
        None => sqlx::query_scalar(PUBLISHED).fetch_optional(pool).await?,
    };
    let Some(published) = published else { return Ok(()) };
    let age: Option<f64> = match published < committed {
        true => sqlx::query_scalar(AGE_BEHIND).bind(published).fetch_optional(pool).await?,
        false => None,
    };
    gauge!(names::RELAY_LAG_EVENTS, "service" => topic.service()).set((committed - published).max(0) as f64);
    gauge!(names::RELAY_LAG_SECONDS, "service" => topic.service()).set(age.unwrap_or(0.0).max(0.0));
    Ok(())
}
