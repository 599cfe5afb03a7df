//! Counts the threads that still run, for an end that is bounded in time.

use std::{sync::Arc, time::Duration};

use rdkafka::producer::{Producer as _, ProducerContext, PurgeConfig, ThreadedProducer};
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

    /// Ends a producer and takes back what has not left yet. What is under way may still arrive, now or never.
    pub(super) async fn end<C: ProducerContext + 'static>(&self, producer: ThreadedProducer<C>) {
        producer.purge(PurgeConfig::default().queue().inflight());
        let living = self.begin();
        // Waits for its threads, which none of ours may do.
        let ending = tokio::task::spawn_blocking(move || {
            drop(producer);
            drop(living);
        });
        let _ = ending.await;
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
