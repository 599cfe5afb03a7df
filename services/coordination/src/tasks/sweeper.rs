//! Ends registrations whose lease is over.
//!
//! The deadline is in the database and compared with its clock. A lease that was found expired is marked first: from then
//! on it cannot be renewed, so that nobody hears of a good lease and of its end at the same time. A replica that dies in
//! between leaves the mark, and the next one goes on. While nobody sweeps, because the database or all replicas are away,
//! nobody can renew a lease: that time is not held against anyone.

use std::{convert::Infallible, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::registry::Registry;

/// How often the database is asked.
const ROUND: Duration = Duration::from_secs(1);
/// In which rounds the instances are counted.
const SHOWN: u64 = 5;
/// How many registrations end in one round at most.
const PER_ROUND: i64 = 200;

/// Sweeps for as long as the service lives. Run as a supervised task.
pub async fn sweep(registry: Registry) -> Result<(), Infallible> {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0u64.. {
        rounds.tick().await;
        if round.is_multiple_of(SHOWN)
            && let Err(error) = registry.show().await
        {
            tracing::debug!(%error, "instances cannot be counted now");
        }
        if let Err(error) = registry.sweep(PER_ROUND).await {
            tracing::debug!(%error, "expired leases cannot be ended now");
        }
    }
    Ok(())
}
