//! Why something was not done.

use viscount_chassis::store::CommitError;

use crate::domain::{LockName, Wrong};

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The instance is not registered, or its lease has expired.
    #[error("there is no such instance")]
    UnknownInstance,
    /// The instance serves something else.
    #[error("this instance is registered as another service")]
    OtherService,
    /// No room for another instance.
    #[error("there are {most} instances already")]
    TooManyInstances {
        /// The bound.
        most: i64,
    },
    /// The settings are not at the version that was named.
    #[error("the settings were replaced in the meantime")]
    Stale,
    /// The settings cannot be like this.
    #[error("these settings cannot be used")]
    BadSettings(Vec<Wrong>),
    /// Somebody else holds the lock.
    #[error("the lock is held by another")]
    Held {
        /// Until when, unless it is kept for longer.
        until: jiff::Timestamp,
    },
    /// The token does not hold the lock any more.
    #[error("the lock {} is not held with this token any more", name.as_str())]
    Lost {
        /// Which lock.
        name: LockName,
    },
    /// The lock was never taken.
    #[error("there is no such lock")]
    UnknownLock,
    /// No room for another lock.
    #[error("there are too many locks")]
    TooManyLocks,
    /// Too many requests wait already.
    #[error("too many requests are waiting")]
    TooManyWaiting,
    /// It could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The database could not be asked.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
