//! Counts the threads that still run, for an end that is bounded in time.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

/// How many threads run.
#[derive(Clone)]
pub(super) struct Live(Arc<watch::Sender<usize>>);

impl Default for Live {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

/// One that runs; it ends with this.
pub(super) struct Living(Live);

impl Live {
    pub(super) fn begin(&self) -> Living {
        self.0.send_modify(|running| *running += 1);
        Living(self.clone())
    }

    /// Waits until none runs; false when some still do.
    pub(super) async fn ended(&self, patience: Duration) -> bool {
        let mut running = self.0.subscribe();
        let ended = tokio::time::timeout(patience, running.wait_for(|running| *running == 0)).await;
        matches!(ended, Ok(Ok(_)))
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.0.0.send_modify(|running| *running -= 1);
    }
}
