//! Who publishes: of all replicas of a service exactly one, the holder of an advisory lock on the service's database.
//!
//! The lock belongs to a session of its own: it is free when its holder ends, and some seconds after the holder's host
//! has vanished. A holder that lives but has lost its connection learns of it by the next [`Lease::beat`]; until then it
//! might still send. So a successor that finds no orderly end waits for [`GRACE`] before it sends anything, and the
//! row's epoch tells a late holder that it is one.

use std::time::Duration;

use sqlx::{Connection, PgConnection, PgPool, Row};
use tokio::time::{Instant, sleep, timeout};
use viscount_contracts::Topic;

use crate::store::session::{SILENCE, end_when_silent};

/// Any number will do: the lock is the database's own.
const LOCK: i64 = 0x7669_7363_6F75_6E74;
/// How often somebody who waits for the lock asks.
const ASK: Duration = Duration::from_millis(250);
/// How long any answer may take. A holder that gets none stops.
const ANSWER: Duration = Duration::from_secs(1);
/// How often a holder makes sure.
pub(super) const BEAT: Duration = Duration::from_millis(200);
/// How long a successor waits for a predecessor of whom nobody knows: longer than a beat and its answer.
const GRACE: Duration = Duration::from_secs(2);
/// After how long, and then how often, somebody who waits looks for whom.
const WHO: Duration = Duration::from_secs(10);

/// The lock could not be had or held.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeaseError {
    /// The database.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// It did not answer.
    #[error("the database did not answer in time")]
    Late(#[from] tokio::time::error::Elapsed),
    /// Another replica publishes by now.
    #[error("another replica has taken over")]
    Fenced,
}

/// The lock, held.
pub(super) struct Lease {
    connection: PgConnection,
    epoch: i64,
    /// Everything up to here is on the brokers.
    pub(super) position: i64,
}

impl Lease {
    /// Waits until it is ours and nobody else sends any more. `cluster` says which brokers are meant: on others,
    /// everything is published anew.
    pub(super) async fn acquire(pool: &PgPool, topic: Topic, cluster: &str) -> Result<Self, LeaseError> {
        let options = pool.connect_options();
        let mut connection = timeout(3 * ANSWER, PgConnection::connect_with(&options)).await??;
        timeout(ANSWER, end_when_silent(&mut connection)).await??;
        wait(&mut connection, topic).await?;
        let taken = sqlx::query(
            "with before as (select cluster, position from log_relay for update)
             update log_relay r set epoch = r.epoch + 1, cluster = $1,
                    position = case when before.cluster = $1 then before.position else 0 end
             from before returning r.epoch, r.position, r.released, before.cluster is distinct from $1",
        );
        let row = timeout(ANSWER, taken.bind(cluster).fetch_one(&mut connection)).await??;
        let (released, elsewhere): (bool, bool) = (row.try_get(2)?, row.try_get(3)?);
        if elsewhere {
            tracing::info!(cluster, "publishing to these brokers from the first event on");
        }
        let mut lease = Self { connection, epoch: row.try_get(0)?, position: row.try_get(1)? };
        if !released {
            tracing::info!(%topic, grace = ?GRACE, "the one who published last left no word; waiting");
            lease.meanwhile(sleep(GRACE)).await?;
            lease.write("update log_relay set position = $2, released = true", lease.position).await?;
        }
        Ok(lease)
    }

    /// From now on messages are on their way.
    pub(super) async fn begin(&mut self) -> Result<(), LeaseError> {
        self.write("update log_relay set position = $2, released = false", self.position).await
    }

    /// What was published is lost: back to the first event.
    pub(super) async fn rewind(&mut self) -> Result<(), LeaseError> {
        self.write("update log_relay set position = $2", 0).await
    }

    /// Makes sure that it is still ours, and keeps how far we have come.
    pub(super) async fn beat(&mut self, position: i64) -> Result<(), LeaseError> {
        if position > self.position {
            return self.write("update log_relay set position = $2", position).await;
        }
        let query = sqlx::query_scalar::<_, bool>("select true from log_relay where epoch = $1");
        let ours = timeout(ANSWER, query.bind(self.epoch).fetch_optional(&mut self.connection)).await??;
        ours.map(drop).ok_or(LeaseError::Fenced)
    }

    /// Keeps it while something else is done.
    pub(super) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, LeaseError> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = sleep(BEAT) => self.beat(self.position).await?,
            }
        }
    }

    /// Leaves word that nothing is on its way any more, and gives the lock free.
    pub(super) async fn release(mut self, position: i64) -> Result<(), LeaseError> {
        self.write("update log_relay set position = $2, released = true", position).await?;
        timeout(ANSWER, self.connection.close()).await??;
        Ok(())
    }

    /// Changes the row, if it is still ours.
    async fn write(&mut self, change: &'static str, position: i64) -> Result<(), LeaseError> {
        let sql = format!("{change} where epoch = $1");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.epoch).bind(position);
        let written = timeout(ANSWER, query.execute(&mut self.connection)).await??;
        if written.rows_affected() == 0 {
            return Err(LeaseError::Fenced);
        }
        self.position = position;
        Ok(())
    }
}

/// Waits for the lock. Who asks this often is not silent.
async fn wait(connection: &mut PgConnection, topic: Topic) -> Result<(), LeaseError> {
    let (mut look, mut told) = (Instant::now() + WHO, false);
    loop {
        let asked = sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(LOCK);
        if timeout(ANSWER, asked.fetch_one(&mut *connection)).await?? {
            return Ok(());
        }
        if look <= Instant::now() {
            look = Instant::now() + WHO;
            told = tell(connection, topic, told).await?;
        }
        sleep(ASK.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

/// Tells who holds the lock: once, as long as the holder is well, and every time when it says nothing.
async fn tell(connection: &mut PgConnection, topic: Topic, told: bool) -> Result<bool, LeaseError> {
    let holder = sqlx::query(
        "select a.pid, a.application_name, host(a.client_addr),
                extract(epoch from clock_timestamp() - a.state_change)::float8
         from pg_locks l join pg_stat_activity a using (pid)
         where l.locktype = 'advisory' and l.granted and a.datname = current_database()
               and l.classid::bigint = ($1 >> 32) and l.objid::bigint = ($1 & 4294967295) and l.objsubid = 1",
    );
    let holder = timeout(ANSWER, holder.bind(LOCK).fetch_optional(connection)).await??;
    let Some(holder) = holder else { return Ok(told) };
    let (pid, application): (i32, Option<String>) = (holder.try_get(0)?, holder.try_get(1)?);
    let (address, silent): (Option<String>, Option<f64>) = (holder.try_get(2)?, holder.try_get(3)?);
    if silent.is_none_or(|seconds| seconds > SILENCE.as_secs_f64()) {
        tracing::warn!(
            %topic, pid, application, address, silent,
            "waiting to publish: the session that holds the lock says nothing; it is in pg_stat_activity"
        );
        return Ok(true);
    }
    if !told {
        tracing::info!(%topic, pid, application, address, "another replica publishes; this one waits");
    }
    Ok(true)
}
