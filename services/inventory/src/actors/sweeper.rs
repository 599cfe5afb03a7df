//! Ends reservations whose time has run out.
//!
//! The deadline is in the database, so it holds across restarts. Two replicas may sweep the same reservation: its state
//! is checked by the write itself, so it is given back once.

use std::{convert::Infallible, time::Duration};

use futures_util::{StreamExt, stream};
use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    desk::{Cause, Desk},
    desk_end::Ended,
};
use crate::{domain::Reason, store::expired};

/// How often the database is asked.
const ROUND: Duration = Duration::from_millis(500);
/// How many reservations end in one round at most.
const PER_ROUND: i64 = 500;
/// How many are under way at a time.
const AT_ONCE: usize = 64;

/// Sweeps for as long as the service lives. Run as a supervised task.
pub async fn sweep(pool: PgPool, desk: Desk) -> Result<(), Infallible> {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let ids = match expired(&pool, PER_ROUND).await {
            Ok(ids) => ids,
            Err(error) => {
                tracing::debug!(%error, "expired reservations cannot be looked for");
                continue;
            }
        };
        let ends = stream::iter(ids)
            .map(async |id| (id, desk.end(id, Reason::Expired.into(), true, Cause::default()).await));
        let mut ends = std::pin::pin!(ends.buffer_unordered(AT_ONCE));
        while let Some((id, ended)) = ends.next().await {
            match ended {
                Ok(Ended::Done(_)) => tracing::debug!(reservation = %id, "reservation expired"),
                Ok(Ended::TooLate(_) | Ended::OfOrder) => {}
                Err(error) => {
                    tracing::debug!(reservation = %id, %error, "an expired reservation stays for now")
                }
            }
        }
    }
}
