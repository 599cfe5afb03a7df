//! Who waits for a change is woken, whichever replica made it.
//!
//! PostgreSQL tells of each change (`notify`, from triggers) and one supervised task of each replica listens. A wake-up
//! may be lost, when that connection breaks for example: so whoever waits also looks by itself every few seconds, and a
//! wake-up says no more than that it is worth looking.

use std::{convert::Infallible, sync::Arc, time::Duration};

use metrics::gauge;
use sqlx::{PgPool, postgres::PgListener};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, broadcast},
    time::{Instant, sleep, timeout_at},
};
use viscount_chassis::http::Closing;

use crate::{metrics as names, refusal::Refusal};

/// The channel that the triggers use.
const CHANNEL: &str = "coordination";
/// Requests that may wait at once.
const MOST: usize = 512;
/// Changes that a waiter may be behind before it is woken for nothing.
const BEHIND: usize = 64;
/// How long until a database that is away is asked again.
const AGAIN: Duration = Duration::from_millis(700);
/// How long a waiter trusts in being woken.
const LOOK: Duration = Duration::from_secs(3);

/// Tells waiters of changes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bell {
    changes: broadcast::Sender<Arc<str>>,
    room: Arc<Semaphore>,
}

/// One who waits.
pub struct Waiter {
    changes: broadcast::Receiver<Arc<str>>,
    until: Instant,
    closing: Closing,
    _room: OwnedSemaphorePermit,
    _counted: Counted,
}

/// Whether it is worth looking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Something may have changed.
    Look,
    /// The time is up, or the port is closing.
    TimeIsUp,
}

impl Bell {
    /// A bell that nobody rings yet.
    pub fn new() -> Self {
        Self { changes: broadcast::channel(BEHIND).0, room: Arc::new(Semaphore::new(MOST)) }
    }

    /// Begins to wait. To be called before the first look, so that no change falls between.
    pub fn wait(&self, patience: Duration, closing: Closing) -> Result<Waiter, Refusal> {
        let room = self.room.clone().try_acquire_owned().map_err(|_| Refusal::TooManyWaiting)?;
        Ok(Waiter {
            changes: self.changes.subscribe(),
            until: Instant::now() + patience,
            closing,
            _room: room,
            _counted: Counted::new(),
        })
    }

    /// Listens for as long as the service lives, and rings. Run as a supervised task. A database that is away is waited
    /// for: that is no fault of this task.
    pub async fn listen(self, pool: PgPool) -> Result<(), Infallible> {
        let mut told = false;
        loop {
            let Err(error) = self.hear(&pool, &mut told).await else { continue };
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(%error, "changes are not heard of now; those who wait look by themselves");
            }
            sleep(AGAIN).await;
        }
    }

    /// Rings until the connection cannot be had any more.
    async fn hear(&self, pool: &PgPool, told: &mut bool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            // Nobody knows what was missed before.
            *told = false;
            self.ring("");
            while let Some(change) = listener.try_recv().await? {
                self.ring(change.payload());
            }
        }
    }

    fn ring(&self, change: &str) {
        // Nobody may be waiting.
        let _ = self.changes.send(change.into());
    }
}

impl Waiter {
    /// Until this may have changed, or `at_most` this long, or the time is up.
    pub async fn woken(&mut self, change: &str, at_most: Option<Duration>) -> Woken {
        let look = Instant::now() + at_most.map_or(LOOK, |most| most.min(LOOK));
        let heard = async {
            loop {
                match self.changes.recv().await {
                    Ok(heard) if &*heard == change || heard.is_empty() => return,
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        };
        tokio::select! {
            () = self.closing.begun() => return Woken::TimeIsUp,
            _ = timeout_at(look.min(self.until), heard) => {}
        }
        if Instant::now() >= self.until { Woken::TimeIsUp } else { Woken::Look }
    }
}

/// Counted for as long as it lives.
struct Counted;

impl Counted {
    fn new() -> Self {
        gauge!(names::WAITING).increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        gauge!(names::WAITING).decrement(1.0);
    }
}
