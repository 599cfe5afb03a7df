//! The thread that reads for one consumer. It does nothing but poll: what it reads goes into bounded queues, and a
//! partition whose queue is full is paused. So heartbeats and rebalances never wait for a handler.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use metrics::{Counter, Histogram, counter, histogram};
use parking_lot::Mutex;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
    message::BorrowedMessage,
};
use tokio::sync::Notify;
use viscount_contracts::Topic;

use super::{
    context::is_of_a_connection,
    gaps::Gaps,
    live::{Live, Living},
    queues::{Next, Queues},
    registry::{Registry, Schema, frame},
    wire,
};
use crate::log::{Delivery, LogError, Record, Unreadable};

/// How long one poll waits. A paused partition is resumed and a progress committed no later than that.
const POLL: Duration = Duration::from_millis(50);

/// How long the library may take to go back to a message. It asks nobody.
const BACK: Duration = Duration::from_secs(5);

/// How often trouble is told that passes by itself.
const TELL: Duration = Duration::from_secs(30);

/// What the polling thread and those it reads for share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) queues: Mutex<Queues>,
    news: Notify,
    /// Finished prefixes that the thread is to store.
    done: Mutex<BTreeMap<i32, i64>>,
    stopped: AtomicBool,
}

impl Shared {
    /// Waits for the next thing. Dropping the future loses nothing.
    pub(super) async fn next(&self, max: usize) -> Result<Delivery, LogError> {
        loop {
            match self.queues.lock().next(max) {
                Next::Batch(batch) => return Ok(Delivery::Events(batch)),
                Next::Revoked(revoked) => return Ok(Delivery::Revoked(revoked)),
                Next::Failure(failure) => return Err(failure),
                Next::Nothing => {}
            }
            self.news.notified().await;
        }
    }

    /// There is something new.
    pub(super) fn tell(&self) {
        self.news.notify_one();
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Everything up to and including these offsets is done.
    pub(super) fn note_done(&self, done: &[(i32, i64)]) {
        self.done.lock().extend(done.iter().copied());
    }

    /// Hands what is done to the library, which commits it in time, and at once when the partition leaves.
    pub(super) fn store<C: ConsumerContext>(&self, consumer: &BaseConsumer<C>, topic: &str) {
        let done = mem::take(&mut *self.done.lock());
        for (partition, offset) in done {
            let mut next = TopicPartitionList::with_capacity(1);
            let stored = next
                .add_partition_offset(topic, partition, Offset::Offset(offset + 1))
                .and_then(|()| consumer.store_offsets(&next));
            if let Err(error) = stored {
                // Mostly a partition that is somebody else's by now: it will be done again there, and be a duplicate.
                tracing::debug!(topic, partition, %error, "progress is not stored");
            }
        }
    }
}

/// A thread that polls until this is dropped.
pub(super) struct Poller {
    pub(super) shared: Arc<Shared>,
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // The thread may be waiting until partitions that go have been let go.
        self.shared.queues.lock().end();
    }
}

/// What a thread polls, and for what.
pub(super) struct Polling<C: ConsumerContext + 'static> {
    pub(super) consumer: BaseConsumer<C>,
    pub(super) shared: Arc<Shared>,
    pub(super) topic: Topic,
    /// The topic's name on the brokers.
    pub(super) name: String,
    pub(super) gaps: Arc<Gaps>,
    /// Whether a message in which there is no event is handed over, too: a member keeps it, a follower does not.
    pub(super) hands_over_unreadable: bool,
    /// Who knows the schemas, if anybody does.
    pub(super) registry: Option<Arc<Registry>>,
    /// Done between polls: what nobody else looks after.
    pub(super) upkeep: Upkeep<C>,
    /// When trouble was last told.
    pub(super) told: Option<Instant>,
}

type Upkeep<C> = Box<dyn FnMut(&BaseConsumer<C>) + Send>;

impl<C: ConsumerContext + 'static> Polling<C> {
    /// Starts the thread.
    pub(super) fn start(self, live: &Live) -> Result<Poller, LogError> {
        let (shared, living) = (self.shared.clone(), live.begin());
        let name = format!("kafka-{}", self.topic.service());
        let thread = thread::Builder::new().name(name).spawn(move || self.run(living));
        thread.map_err(|error| LogError::Unavailable(error.to_string()))?;
        Ok(Poller { shared })
    }

    fn run(mut self, living: Living) {
        let unreadable =
            counter!(crate::metrics::LOG_UNREADABLE_MESSAGES_TOTAL, "topic" => self.topic.name());
        let labels = [("topic", self.topic.name()), ("consumer", self.gaps.group())];
        let transit = histogram!(crate::metrics::LOG_TRANSIT_SECONDS, &labels);
        let began = SystemTime::now();
        let mut paused = BTreeSet::new();
        // Partitions whose next message has a schema that is not known yet.
        let mut waiting = BTreeMap::new();
        while !self.shared.has_stopped() {
            self.shared.store(&self.consumer, &self.name);
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    record_transit(&message, began, &transit);
                    let full = match wire::schema(self.registry.as_ref(), &message) {
                        Some(schema) => self.take(&message, &schema, &unreadable),
                        None => {
                            waiting.insert(
                                message.partition(),
                                frame::id(message.payload().unwrap_or_default()),
                            );
                            self.step_back(&message);
                            true
                        }
                    };
                    if full {
                        // Even when it was: a partition that went and came back is not paused any more.
                        paused.insert(message.partition());
                        self.switch(message.partition(), false);
                    }
                }
                Some(Err(error)) => self.judge(&error),
                None => {}
            }
            waiting.retain(|_, id| self.is_asked(*id));
            if !paused.is_empty() {
                let room: Vec<i32> = {
                    let queues = self.shared.queues.lock();
                    let goes_on =
                        |partition: &i32| !waiting.contains_key(partition) && queues.has_room(*partition);
                    paused.iter().copied().filter(goes_on).collect()
                };
                for partition in room {
                    paused.remove(&partition);
                    self.switch(partition, true);
                }
            }
            (self.upkeep)(&self.consumer);
        }
        // Leaves the group; may take a while when the brokers are away, which keeps nobody but this thread.
        self.shared.store(&self.consumer, &self.name);
        drop(self);
        drop(living);
    }

    /// True when the partition should be paused.
    fn take(&self, message: &BorrowedMessage<'_>, schema: &Schema, unreadable: &Counter) -> bool {
        let (partition, offset) = (message.partition(), message.offset());
        if let Err(lost) = self.gaps.pass(&self.consumer, &self.name, partition, offset) {
            self.shared.queues.lock().fail(lost);
            self.shared.tell();
            return false;
        }
        let full = match wire::read(self.topic, message, schema) {
            Ok(event) => {
                let event = Record::Event(Arc::new(event));
                self.shared.queues.lock().push(partition, offset, event)
            }
            Err(problem) => {
                unreadable.increment(1);
                if self.hands_over_unreadable {
                    let unreadable = Box::new(Unreadable { message: wire::raw(message), problem });
                    self.shared.queues.lock().push(partition, offset, Record::Unreadable(unreadable))
                } else {
                    let topic = &self.name;
                    tracing::debug!(
                        topic,
                        partition,
                        offset,
                        problem,
                        "a message without an event is passed"
                    );
                    self.shared.queues.lock().skip(partition, offset);
                    false
                }
            }
        };
        self.shared.tell();
        full
    }

    /// Lets this message come once more, and first.
    fn step_back(&self, message: &BorrowedMessage<'_>) {
        let (partition, offset) = (message.partition(), message.offset());
        if let Err(error) = self.consumer.seek(&self.name, partition, Offset::Offset(offset), BACK) {
            tracing::warn!(topic = self.name, partition, offset, %error, "reading begins anew, to skip nothing");
            self.shared.queues.lock().fail(LogError::Unavailable(error.to_string()));
            self.shared.tell();
        }
    }

    /// True while the registry has not said what this schema is.
    fn is_asked(&self, id: Option<u32>) -> bool {
        let (Some(registry), Some(id)) = (&self.registry, id) else { return false };
        registry.look(id).is_none()
    }

    fn switch(&self, partition: i32, on: bool) {
        let mut one = TopicPartitionList::with_capacity(1);
        one.add_partition(&self.name, partition);
        let switched = if on { self.consumer.resume(&one) } else { self.consumer.pause(&one) };
        if let Err(error) = switched {
            tracing::debug!(topic = self.name, partition, on, %error, "a partition is not switched");
        }
    }

    fn judge(&mut self, error: &KafkaError) {
        match error {
            KafkaError::MessageConsumptionFatal(_) => {
                tracing::error!(topic = self.name, %error, "reading ends, to begin anew");
                self.shared.queues.lock().fail(LogError::Unavailable(error.to_string()));
                self.shared.tell();
            }
            _ if is_of_a_connection(error) => {
                tracing::debug!(topic = self.name, %error, "reading has to wait");
            }
            // The topic is not there yet, …: the library goes on by itself.
            _ if self.told.is_none_or(|told| told.elapsed() > TELL) => {
                tracing::warn!(topic = self.name, %error, "reading has to wait");
                self.told = Some(Instant::now());
            }
            _ => tracing::debug!(topic = self.name, %error, "reading has to wait"),
        }
    }
}

/// From being handed to the publisher's client until now, by the clocks of both machines. What was published before this
/// began to read is history, and says nothing about the way.
fn record_transit(message: &BorrowedMessage<'_>, began: SystemTime, transit: &Histogram) {
    let sent = message.timestamp().to_millis().and_then(|sent| u64::try_from(sent).ok());
    let Some(sent) = sent.map(|sent| UNIX_EPOCH + Duration::from_millis(sent)).filter(|sent| *sent >= began)
    else {
        return;
    };
    transit.record(sent.elapsed().unwrap_or_default().as_secs_f64());
}
