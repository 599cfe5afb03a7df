//! Dropped database connections, on demand: the server ends all that this service has, as it does when it is restarted
//! under a running program.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{sleep, timeout};
use viscount_actors::{Restart, Supervisor, faults::FaultKind};

/// How often it is looked whether somebody wants that.
const LOOK: Duration = Duration::from_millis(200);
/// How long the server may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Looks after faults of this kind, where faults are allowed.
pub(super) fn start(supervisor: &Supervisor, pool: &PgPool) {
    let (faults, pool) = (supervisor.faults(), pool.clone());
    faults.offer(FaultKind::DropDatabaseConnections);
    supervisor.task("database-faults", Restart::Permanent, move || {
        let (faults, pool) = (faults.clone(), pool.clone());
        async move {
            loop {
                sleep(LOOK).await;
                let Some(fault) = faults.happens(FaultKind::DropDatabaseConnections) else { continue };
                let ended = sqlx::query_scalar::<_, i64>(
                    "select count(pg_terminate_backend(pid)) from pg_stat_activity
                     where datname = current_database() and usename = current_user and pid <> pg_backend_pid()",
                );
                match timeout(ANSWER, ended.fetch_one(&pool)).await {
                    Ok(Ok(ended)) => tracing::warn!(ended, "database connections dropped on demand"),
                    Ok(Err(error)) => tracing::warn!(%error, "database connections could not be dropped"),
                    Err(_) => tracing::warn!("database connections could not be dropped in time"),
                }
                sleep(fault.delay()).await;
            }
            #[expect(unreachable_code, reason = "says which error the task could have")]
            Ok::<(), std::convert::Infallible>(())
        }
    });
}
