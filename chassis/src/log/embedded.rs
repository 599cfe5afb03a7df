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
use tokio::{
    sync::{Notify, watch},
    time::{self, Instant},
};
use uuid::Uuid;
use viscount_contracts::{Envelope, Topic};

use super::{
    Batch, BoxFuture, Deliveries, Delivery, EventLog, LogError, LogReader, Member, Publisher, Standing,
    Start, Subscription,
    place::TablePlace,
    ring::{Found, Ring},
};
use crate::store::EventStore;

/// How many events are taken from the table at once.
const PAGE: i64 = 1_000;

/// How often the table's head is compared with memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    /// While all is announced.
    pub(super) idle: Duration,
    /// For a while after something was found that nobody announced: another replica commits.
    pub(super) busy: Duration,
}

impl Watch {
    /// Where nobody else is expected to commit.
    const ALONE: Watch = Watch { idle: Duration::from_millis(250), busy: Duration::from_millis(250) };
    /// How long others are expected to go on.
    const WHILE: Duration = Duration::from_secs(5);
}

/// The engine for one process.
pub struct EmbeddedLog {
    topics: RwLock<HashMap<Topic, Arc<Partition>>>,
    watch: Watch,
}

impl Default for EmbeddedLog {
    fn default() -> Self {
        Self::watching(Watch::ALONE)
    }
}

impl EmbeddedLog {
    /// An engine without topics; each service brings its own with [`EventLog::publisher`].
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, looking more or less often for what is committed elsewhere.
    pub(super) fn watching(watch: Watch) -> Self {
        Self { topics: RwLock::default(), watch }
    }

    /// The position of the newest event of this topic; 0 when there is none.
    pub async fn head(&self, topic: Topic) -> Result<i64, LogError> {
        let store = self.partition(topic).store().ok_or(LogError::UnknownTopic(topic))?;
        store.head().await.map_err(|error| LogError::Unavailable(error.to_string()))
    }

    /// Reads everything behind a position.
    pub(super) fn read(&self, topic: Topic, after: i64) -> Reader {
        let partition = self.partition(topic);
        let head = partition.head.subscribe();
        Reader { topic, partition, head, after }
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
        tokio::spawn(watch_table(Arc::downgrade(&partition), self.watch));
        partition
    }

    fn subscribe(&self, member: Member) -> BoxFuture<'_, Result<Subscription, LogError>> {
        Box::pin(async move {
            let topic = member.topic;
            let place = TablePlace::of(member);
            let reader = self.read(topic, place.saved().await?);
            Ok(Subscription { deliveries: Box::new(reader), place: Box::new(place) })
        })
    }

    fn standing(&self, member: Member, _: Uuid) -> BoxFuture<'_, Result<Standing, LogError>> {
        Box::pin(async move {
            let topic = member.topic;
            let place = TablePlace::of(member).saved().await?;
            let store = self.partition(topic).store().ok_or(LogError::UnknownTopic(topic))?;
            let unavailable = |error: sqlx::Error| LogError::Unavailable(error.to_string());
            let behind = (store.head().await.map_err(unavailable)? - place).max(0);
            let oldest = match behind {
                0 => None,
                _ => store.log(place, 1).await.map_err(unavailable)?.first().map(|event| event.occurred_at),
            };
            Ok(Standing { partition: 0, behind, oldest })
        })
    }

    fn newest(&self, topic: Topic) -> Option<i64> {
        self.topics.read().get(&topic).map(|partition| *partition.head.borrow())
    }

    fn follow(&self, topic: Topic, start: Start) -> BoxFuture<'_, Result<Box<dyn LogReader>, LogError>> {
        Box::pin(async move {
            let after = match start {
                Start::Beginning => 0,
                Start::Now => self.head(topic).await?,
            };
            Ok(Box::new(self.read(topic, after)) as Box<dyn LogReader>)
        })
    }
}

/// One topic.
struct Partition {
    ring: Mutex<Ring>,
    head: watch::Sender<i64>,
    /// Where the events are kept; absent until the publishing service has started.
    store: RwLock<Option<EventStore>>,
    /// A batch came before its predecessors: the table has them.
    gap: Notify,
}

impl Default for Partition {
    fn default() -> Self {
        let (ring, head) = (Mutex::default(), watch::Sender::new(0));
        Self { ring, head, store: RwLock::default(), gap: Notify::new() }
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
        let (head, gap) = {
            let mut ring = self.ring.lock();
            change(&mut ring);
            (ring.head(), ring.has_gap())
        };
        if gap {
            self.gap.notify_one();
        }
        self.head.send_if_modified(|known| {
            let news = head > *known;
            *known = head.max(*known);
            news
        });
    }

    /// Takes from the table what memory has missed. A fresh process begins at the table's head: what is older is
    /// read from the table by those who want it. True when there was something that nobody here announced.
    async fn catch_up(&self, fresh: bool) -> Result<bool, sqlx::Error> {
        let Some(store) = self.store() else { return Ok(false) };
        let stored = store.head().await?;
        let (known, gap) = {
            let ring = self.ring.lock();
            (ring.head(), ring.has_gap())
        };
        // What nobody reads is not fetched: memory begins anew at the end.
        let unread = self.head.receiver_count() == 0 && (stored > known || gap);
        if fresh && known == 0 || unread {
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
            return Ok(true);
        }
        Ok(false)
    }
}

impl Publisher for Partition {
    fn publish(&self, events: Vec<Envelope>) {
        self.push(events.into_iter().map(Arc::new).collect());
    }
}

/// Looks for committed events that nobody announced, for as long as the topic is in use.
async fn watch_table(partition: Weak<Partition>, watch: Watch) {
    let mut fresh = true;
    let mut busy_until = Instant::now();
    loop {
        let Some(topic) = partition.upgrade() else { return };
        match topic.catch_up(fresh).await {
            Ok(found) => {
                fresh = false;
                if found {
                    busy_until = Instant::now() + Watch::WHILE;
                }
            }
            Err(error) => tracing::debug!(%error, "the events table cannot be watched"),
        }
        let pause = if Instant::now() < busy_until { watch.busy } else { watch.idle };
        // A gap is closed at once, but not faster than the table can be asked.
        time::sleep(pause.min(Duration::from_millis(5))).await;
        let _ = time::timeout(pause, topic.gap.notified()).await;
    }
}

/// A place in a topic.
pub(super) struct Reader {
    topic: Topic,
    partition: Arc<Partition>,
    head: watch::Receiver<i64>,
    after: i64,
}

impl LogReader for Reader {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, LogError>> {
        Box::pin(self.take(max))
    }
}

impl Deliveries for Reader {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Delivery, LogError>> {
        Box::pin(async move { Ok(Delivery::Events(Batch::whole(self.take(max).await?))) })
    }
}

impl Reader {
    /// Waits until there is something behind the reader's place. Dropping the future loses nothing.
    pub(super) async fn take(&mut self, max: usize) -> Result<Vec<Arc<Envelope>>, LogError> {
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
    }

    async fn stored(&self, max: usize) -> Result<Vec<Arc<Envelope>>, LogError> {
        let store = self.partition.store().ok_or(LogError::UnknownTopic(self.topic))?;
        let limit = i64::try_from(max).unwrap_or(PAGE).min(PAGE);
        let events =
            store.log(self.after, limit).await.map_err(|error| LogError::Unavailable(error.to_string()))?;
        Ok(events.into_iter().map(Arc::new).collect())
    }
}
