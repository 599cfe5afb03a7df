//! The hub reads the orders topic as a broadcast and hands each event to those who watch its order. It does not matter
//! where the order's actor lives: every replica's hub sees every order.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use metrics::gauge;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use uuid::Uuid;
use viscount_chassis::{
    log::{EventLog, LogError, Start},
    seldom::Seldom,
};
use viscount_contracts::{Envelope, OrderId, Topic};

use crate::metrics::STREAM_WATCHERS;

/// Events that one watcher may be behind before it has to read from the store again.
const BEHIND: usize = 8;

type Watchers = HashMap<Uuid, Vec<mpsc::Sender<Arc<Envelope>>>>;

/// Who watches which order. Cheap to clone.
#[derive(Clone, Default)]
pub struct StreamHub {
    watchers: Arc<Mutex<Watchers>>,
}

impl StreamHub {
    /// Begins to watch. Subscribe first, then read the past: what comes in between is in the channel. The channel
    /// closes when the watcher is too slow or the hub began anew; then subscribe and read the past again.
    pub fn watch(&self, order: OrderId) -> mpsc::Receiver<Arc<Envelope>> {
        let (sender, receiver) = mpsc::channel(BEHIND);
        self.watchers.lock().entry(order.uuid()).or_default().push(sender);
        gauge!(STREAM_WATCHERS).increment(1.0);
        receiver
    }

    /// Follows the topic for ever. Run as a supervised task. An outage of the log is waited for: it is no failure of
    /// the hub's, and must not use up the restarts of the service.
    pub async fn follow(self, log: Arc<dyn EventLog>) -> Result<(), Infallible> {
        let mut seldom = Seldom::default();
        loop {
            let Err(error) = self.follow_from_now(log.as_ref()).await;
            if seldom.is_due() {
                tracing::warn!(%error, "the stream hub pauses");
            }
            tokio::time::sleep(Duration::from_millis(rand::random_range(200..600))).await;
        }
    }

    async fn follow_from_now(&self, log: &dyn EventLog) -> Result<Infallible, LogError> {
        let mut reader = log.follow(Topic::Orders, Start::Now).await?;
        // Whoever subscribed before this moment may have missed something: let them read the past again.
        let before = std::mem::take(&mut *self.watchers.lock());
        gauge!(STREAM_WATCHERS).decrement(before.values().map(Vec::len).sum::<usize>() as f64);
        drop(before);
        loop {
            let events = reader.next(512).await?;
            let mut watchers = self.watchers.lock();
            for event in &events {
                deliver(&mut watchers, event);
            }
        }
    }

    /// Forgets watchers that have gone. Run as a supervised task.
    pub async fn forget_gone(self) -> Result<(), Infallible> {
        let mut pace = tokio::time::interval(Duration::from_secs(10));
        loop {
            pace.tick().await;
            let mut watchers = self.watchers.lock();
            watchers.retain(|_, senders| {
                senders.retain(|sender| keep(!sender.is_closed()));
                !senders.is_empty()
            });
            if watchers.capacity() > 4 * watchers.len() + 64 {
                watchers.shrink_to_fit();
            }
        }
    }
}

fn deliver(watchers: &mut Watchers, event: &Arc<Envelope>) {
    let Some(senders) = watchers.get_mut(&event.key) else { return };
    senders.retain(|sender| keep(sender.try_send(event.clone()).is_ok()));
    if senders.is_empty() {
        watchers.remove(&event.key);
    }
}

fn keep(keep: bool) -> bool {
    if !keep {
        gauge!(STREAM_WATCHERS).decrement(1.0);
    }
    keep
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use viscount_chassis::{
        log::{BoxFuture, EmbeddedLog, LogReader, Member, Publisher, Subscription},
        store::EventStore,
    };

    use super::*;

    /// A log whose store is away for the first ten questions.
    #[derive(Default)]
    struct Away(EmbeddedLog, AtomicU32);

    impl EventLog for Away {
        fn publisher(&self, store: EventStore) -> Arc<dyn Publisher> {
            self.0.publisher(store)
        }

        fn subscribe(&self, member: Member) -> BoxFuture<'_, Result<Subscription, LogError>> {
            self.0.subscribe(member)
        }

        fn follow(&self, topic: Topic, _: Start) -> BoxFuture<'_, Result<Box<dyn LogReader>, LogError>> {
            let asked = self.1.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                if asked < 10 {
                    return Err(LogError::Unavailable("lunch".into()));
                }
                self.0.follow(topic, Start::Beginning).await
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_of_the_log_is_waited_for() {
        let log = Arc::new(Away::default());
        let following =
            tokio::time::timeout(Duration::from_secs(60), StreamHub::default().follow(log.clone())).await;
        assert!(following.is_err(), "the hub should still follow");
        assert_eq!(log.1.load(Ordering::Relaxed), 11);
    }
}
