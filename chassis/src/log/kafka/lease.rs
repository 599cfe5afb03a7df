//! Who publishes: of all replicas of a service exactly one, the holder of an advisory lock on the service's database.
//!
//! The lock belongs to a connection of its own, so it is free the moment its holder dies. A holder that lives but has
//! lost that connection learns of it by the next [`Lease::beat`]; until then it might still send. So a successor that
//! finds no orderly end waits for [`GRACE`] before it sends anything, and the row's epoch tells a late holder that it
//! is one.

use std::time::Duration;

use sqlx::{Connection, PgConnection, PgPool, Row};
use tokio::time::{sleep, timeout};

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
    /// Waits until it is ours. `cluster` says which brokers are meant: on others, everything is published anew.
    pub(super) async fn acquire(pool: &PgPool, cluster: &str) -> Result<Self, LeaseError> {
        let options = pool.connect_options();
        let mut connection = timeout(3 * ANSWER, PgConnection::connect_with(&options)).await??;
        loop {
            let asked = sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(LOCK);
            if timeout(ANSWER, asked.fetch_one(&mut connection)).await?? {
                break;
            }
            sleep(ASK.mul_f64(rand::random_range(0.5..1.0))).await;
        }
        let taken = sqlx::query(
            "with before as (select cluster, released, position from log_relay for update)
             update log_relay r set epoch = r.epoch + 1, released = false, cluster = $1,
                    position = case when before.cluster = $1 then before.position else 0 end
             from before returning r.epoch, r.position, before.released, before.cluster is distinct from $1",
        );
        let row = timeout(ANSWER, taken.bind(cluster).fetch_one(&mut connection)).await??;
        let (released, elsewhere): (bool, bool) = (row.try_get(2)?, row.try_get(3)?);
        if elsewhere {
            tracing::info!(cluster, "publishing to these brokers from the first event on");
        }
        let mut lease = Self { connection, epoch: row.try_get(0)?, position: row.try_get(1)? };
        if !released {
            tracing::info!(grace = ?GRACE, "the one who published last left no word; waiting");
            sleep(GRACE).await;
            lease.beat(lease.position).await?;
        }
        Ok(lease)
    }

    /// Makes sure that it is still ours, and keeps how far we have come.
    pub(super) async fn beat(&mut self, position: i64) -> Result<(), LeaseError> {
        let sql = match position > self.position {
            true => "update log_relay set position = $2 where epoch = $1 returning true",
            false => "select true from log_relay where epoch = $1 and $2::bigint is not null",
        };
        let query = sqlx::query_scalar::<_, bool>(sql).bind(self.epoch).bind(position);
        match timeout(ANSWER, query.fetch_optional(&mut self.connection)).await?? {
            Some(_) => {
                self.position = position;
                Ok(())
            }
            None => Err(LeaseError::Fenced),
        }
    }

    /// Leaves word that nothing is on its way any more, and gives the lock free.
    pub(super) async fn release(mut self, position: i64) -> Result<(), LeaseError> {
        let query = sqlx::query("update log_relay set position = $2, released = true where epoch = $1");
        timeout(ANSWER, query.bind(self.epoch).bind(position).execute(&mut self.connection)).await??;
        timeout(ANSWER, self.connection.close()).await??;
        Ok(())
    }
}
