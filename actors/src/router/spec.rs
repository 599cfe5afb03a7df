//! The bounds of a router.

use std::time::Duration;

use crate::{Backoff, Intensity};

/// How much a router takes in and keeps alive, and how its entities restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterSpec {
    /// Messages that may wait for one entity.
    pub mailbox: usize,
    /// Messages that one `handle` gets at most.
    pub batch: usize,
    /// Entities alive. Beyond it the one that has been idle longest is passivated; when none is idle, a message for
    /// one more entity is refused.
    pub max_live: usize,
    /// Messages accepted and not yet finished, over all entities.
    pub in_flight: usize,
    /// An entity without messages for this long is passivated.
    pub idle: Duration,
    /// Falls that one entity may have in a window. Beyond it, it is laid to rest alone: what waits is answered
    /// `Unavailable`, and so is all that comes within [`RouterSpec::cool_down`].
    pub intensity: Intensity,
    /// Pauses before an entity is loaded again after a fall.
    pub backoff: Backoff,
    /// How long an entity that fell too often rests.
    pub cool_down: Duration,
    /// A batch that takes longer than this counts as stuck. It is reported, not interrupted.
    pub stuck_after: Duration,
}

impl Default for RouterSpec {
    fn default() -> Self {
        RouterSpec {
            mailbox: 256,
            batch: 64,
            max_live: 50_000,
            in_flight: 8192,
            idle: Duration::from_secs(30),
            intensity: Intensity::default(),
            backoff: Backoff::default(),
            cool_down: Duration::from_secs(5),
            stuck_after: Duration::from_secs(30),
        }
    }
}

impl RouterSpec {
    /// No bound may be zero: nothing would ever pass.
    pub(crate) fn sound(mut self) -> RouterSpec {
        self.mailbox = self.mailbox.max(1);
        self.batch = self.batch.max(1);
        self.max_live = self.max_live.max(1);
        self.in_flight = self.in_flight.max(1);
        self
    }
}
