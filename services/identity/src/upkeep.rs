//! What runs beside the requests: keys grow old, sessions end.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use metrics::{counter, gauge};
use tokio::{task::spawn_blocking, time};
use viscount_chassis::auth::Verifier;

use crate::{
    keys::{KeyError, KeyRing},
    metrics as names,
    store::Sessions,
};

/// How often the ring is looked at: another replica may have changed it.
const LOOK: Duration = Duration::from_secs(2);
/// How often ended sessions are deleted.
const SWEEP: Duration = Duration::from_secs(600);

/// Rotates keys by age and takes up what other replicas have changed. A ring that cannot be read is told once and
/// tried again: the keys in memory go on signing.
pub async fn keep_keys(ring: KeyRing, age: Duration, verifier: Verifier) -> Result<(), KeyError> {
    let mut ticks = time::interval(LOOK);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        let looked = ring.clone();
        let looked = spawn_blocking(move || {
            let changed = looked.refresh()?;
            Ok((looked.rotate_when_older_than(age)?, changed))
        });
        match looked.await.unwrap_or(Err(KeyError::Crypto)) {
            Ok((rotated, changed)) => {
                failing = false;
                if rotated {
                    counter!(names::KEY_ROTATIONS, "reason" => "age").increment(1);
                    tracing::info!(key = %ring.overview().current, "signing key rotated by age");
                }
                if rotated || changed {
                    verifier.install(&ring.jwks());
                }
                let since = Timestamp::now().duration_since(ring.overview().since);
                gauge!(names::KEY_AGE_SECONDS).set(since.as_secs_f64());
            }
            Err(error) if !failing => {
                failing = true;
                tracing::error!(%error, "keys cannot be kept up to date, going on with those in memory");
            }
            Err(_) => {}
        }
    }
}

/// Deletes sessions that have ended by time. Those that were revoked stay until then: their tokens must stay known.
pub async fn sweep_sessions(sessions: Sessions) -> Result<(), sqlx::Error> {
    let mut ticks = time::interval(SWEEP);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A clock that differs between replicas must not delete what another one still renews.
        let before = Timestamp::now() - SignedDuration::from_mins(5);
        loop {
            match sessions.sweep(before).await {
                Ok(0) => break,
                Ok(swept) => tracing::debug!(swept, "ended sessions deleted"),
                Err(error) => {
                    tracing::warn!(%error, "ended sessions could not be deleted yet");
                    break;
                }
            }
        }
    }
}
