//! The log of one process: the publisher's own events table, with the newest events handed over in memory.
//!
//! There is no second store and no second fsync: what is committed is in the log, by construction. A committer hands
//! its batch to the topic's [`Ring`]; readers that keep up take it from there, readers that are behind read the
//! table. Nothing depends on the hand-over: a watcher compares the table's head with memory, so a batch that was
//! committed but never announced (by a process that died, or a replica elsewhere) is seen a moment later.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use tokio::{sync::watch, time};
use viscount_contracts::{Envelope, Topic};

use super::{
    BoxFuture, EventLog, LogError, LogReader, Publisher,
    ring::{Found, Ring},
};
use crate::store::EventStore;

/// How often the table's head is compared with memory while all is well.
const WATCH: Duration = Duration::from_millis(250);
/// How many events are taken from the table at once.
const PAGE: i64 = 1_000;

/// The engine for one process.
#[derive(Default)]
pub struct EmbeddedLog {
    topics: RwLock<HashMap<Topic, Arc<Partition>>>,
}

impl EmbeddedLog {
    /// An engine without topics; each service brings its own with [`EventLog::publisher`].
    pub fn new() -> Self {
        Self::default()
    }

    fn partition(&self, topic: Topic) -> Arc<Partition> {
        if let Some(partition) = self.topics.read().get(&topic) {
            return partition.clone();
        }
        self.topics.write().entry(topic).or_default().clone()
    }
}

impl EventLog for EmbeddedLog {
    fn publisher(&self, store: EventStore) -> Arc<dyn Publisher> {
        let partition = self.partition(store.topic());
        *partition.store.write() = Some(store);
        tokio::spawn(watch_table(Arc::downgrade(&partition)));
        partition
    }

    fn reader(&self, topic: Topic, after: i64) -> Box<dyn LogReader> {
        let partition = self.partition(topic);
        let head = partition.head.subscribe();
        Box::new(Reader { topic, partition, head, after })
    }

    fn head(&self, topic: Topic) -> BoxFuture<'_, Result<i64, LogError>> {
        let partition = self.partition(topic);
        Box::pin(async move {
            let store = partition.store().ok_or(LogError::UnknownTopic(topic))?;
            store.head().await.map_err(|error| LogError::Unavailable(error.to_string()))
        })
    }
}

/// One topic.
struct Partition {
    ring: Mutex<Ring>,
    head: watch::Sender<i64>,
    /// Where the events are kept; absent until the publishing service has started.
    store: RwLock<Option<EventStore>>,
}

impl Default for Partition {
    fn default() -> Self {
        Self { ring: Mutex::default(), head: watch::Sender::new(0), store: RwLock::default() }
    }
}

impl Partition {
    fn store(&self) -> Option<EventStore> {
        self.store.read().clone()
    }

    fn push(&self, batch: Vec<Arc<Envelope>>) {
        self.change(|ring| ring.push(batch));
    }

    fn change(&self, change: impl FnOnce(&mut Ring)) {
        let head = {
            let mut ring = self.ring.lock();
            change(&mut ring);
            ring.head()
        };
        self.head.send_if_modified(|known| {
            let news = head > *known;
            *known = head.max(*known);
            news
        });
    }

    /// Takes from the table what memory has missed. A fresh process begins at the table's head: what is older is
    /// read from the table by those who want it.
    async fn catch_up(&self, fresh: bool) -> Result<(), sqlx::Error> {
        let Some(store) = self.store() else { return Ok(()) };
        let stored = store.head().await?;
        let (known, gap) = {
            let ring = self.ring.lock();
            (ring.head(), ring.has_gap())
        };
        if fresh && known == 0 {
            self.change(|ring| ring.begin_behind(stored));
        } else if stored > known || gap {
            let mut known = known;
            loop {
                let missed = store.log(known, PAGE).await?;
                let Some(last) = missed.last().map(|event| event.position) else { break };
                self.push(missed.into_iter().map(Arc::new).collect());
                known = last;
                if last >= stored {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Publisher for Partition {
    fn publish(&self, events: Vec<Envelope>) {
        self.push(events.into_iter().map(Arc::new).collect());
    }
}

/// Looks for committed events that nobody announced, for as long as the topic is in use.
async fn watch_table(partition: Weak<Partition>) {
    let mut fresh = true;
    let mut pace = time::interval(WATCH);
    pace.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let Some(partition) = partition.upgrade() else { return };
        match partition.catch_up(fresh).await {
            Ok(()) => fresh = false,
            Err(error) => tracing::debug!(%error, "the events table cannot be watched"),
        }
    }
}

struct Reader {
    topic: Topic,
    partition: Arc<Partition>,
    head: watch::Receiver<i64>,
    after: i64,
}

impl LogReader for Reader {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, LogError>> {
        Box::pin(async move {
            loop {
                // Marked as seen before looking, so that news in between is not missed.
                self.head.borrow_and_update();
                let found = self.partition.ring.lock().behind(self.after, max);
                let events = match found {
                    Found::Events(events) => events,
                    Found::Stored => self.stored(max).await?,
                    Found::Nothing => Vec::new(),
                };
                if let Some(last) = events.last() {
                    self.after = last.position;
                    return Ok(events);
                }
                if self.head.changed().await.is_err() {
                    return Err(LogError::UnknownTopic(self.topic));
                }
            }
        })
    }
}

impl Reader {
    async fn stored(&self, max: usize) -> Result<Vec<Arc<Envelope>>, LogError> {
        let store = self.partition.store().ok_or(LogError::UnknownTopic(self.topic))?;
        let limit = i64::try_from(max).unwrap_or(PAGE).min(PAGE);
        let events =
            store.log(self.after, limit).await.map_err(|error| LogError::Unavailable(error.to_string()))?;
        Ok(events.into_iter().map(Arc::new).collect())
    }
}
