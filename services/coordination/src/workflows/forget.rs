//! Forgets workflows that have long been finished.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::PgPool;
use tokio::time::{self, MissedTickBehavior};
use viscount_chassis::store::is_unavailable;

use super::store;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(60);
/// How many rows go in one statement.
const AT_ONCE: i64 = 2_000;

/// Forgets what is finished and older than this, for as long as the service runs.
pub async fn forget_old(pool: PgPool, keep: Duration) -> Result<(), sqlx::Error> {
    let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
    let mut pace = time::interval(LOOK);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let Ok(before) = Timestamp::now().checked_sub(keep) else { continue };
        loop {
            match store::forget(&pool, before, AT_ONCE).await {
                Ok(gone) if gone == AT_ONCE.unsigned_abs() => time::sleep(Duration::from_millis(200)).await,
                Ok(_) => break,
                Err(error) if is_unavailable(&error) => {
                    tracing::debug!(%error, "finished workflows cannot be forgotten now");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
