//! A fault in force: how often it was its turn, and when it is over.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};

use super::fault::{ActiveFault, Fault, FaultKind};

/// How long a fault is in force that does not say.
const EXPIRES: Duration = Duration::from_secs(600);

pub(super) struct Active {
    pub(super) fault: Fault,
    expires: Instant,
    /// Handlers, or calls, that it could have happened to.
    met: AtomicU64,
    injected: AtomicU64,
    ended: watch::Sender<bool>,
}

impl Active {
    pub(super) fn new(fault: Fault, now: Instant) -> Active {
        let expires = now + fault.expires_in_seconds.map_or(EXPIRES, Duration::from_secs);
        let (met, injected) = (AtomicU64::new(0), AtomicU64::new(0));
        Active { fault, expires, met, injected, ended: watch::Sender::new(false) }
    }

    /// Whether it happens this time; counted. Called under the lock of all faults.
    pub(super) fn is_its_turn(&self) -> bool {
        let met = self.met.fetch_add(1, Ordering::Relaxed) + 1;
        let happens = met.is_multiple_of(self.fault.every.unwrap_or(1));
        if happens {
            self.injected.fetch_add(1, Ordering::Relaxed);
        }
        happens
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.expires
            || self.times().is_some_and(|times| self.injected.load(Ordering::Relaxed) >= times)
    }

    fn times(&self) -> Option<u64> {
        match self.fault.kind {
            FaultKind::DropDatabaseConnections => Some(self.fault.times.unwrap_or(1)),
            _ => self.fault.times,
        }
    }

    /// Whether a stuck handler waits for its end, so that it must not be forgotten for having happened often enough.
    pub(super) fn holds_somebody(&self, now: Instant) -> bool {
        now < self.expires && self.ended.receiver_count() > 0
    }

    pub(super) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Done when the fault is taken back or has expired. Whoever has it counts as held from now on.
    pub(super) fn over(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut ended, expires) = (self.ended.subscribe(), self.expires);
        async move {
            tokio::select! {
                // An error means that nobody can end it any more: it is gone.
                _ = ended.wait_for(|ended| *ended) => {}
                () = sleep_until(expires) => {}
            }
        }
    }

    pub(super) fn show(&self, now: Instant) -> ActiveFault {
        let left = self.expires.saturating_duration_since(now).as_secs();
        let fault = Fault { expires_in_seconds: Some(left), ..self.fault.clone() };
        ActiveFault { fault, injected: self.injected.load(Ordering::Relaxed) }
    }
}
