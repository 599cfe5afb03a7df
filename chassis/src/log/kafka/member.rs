//! A member of a consumer group.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use metrics::{Gauge, gauge};
use parking_lot::Mutex;
use rdkafka::{
    Statistics, TopicPartitionList,
    client::ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance},
    error::KafkaError,
    statistics::Partition,
};
use tokio::time::Instant;
use viscount_contracts::Topic;

use super::{
    Inner,
    context::Complaints,
    gaps::Gaps,
    poller::{Poller, Polling, Shared},
    unavailable,
};
use crate::{
    log::{BoxFuture, Deliveries, Delivery, LogError, Member, Place, Revoked, Subscription},
    metrics::CONSUMER_LAG_EVENTS,
};

/// How long what is being handled may take until its partition goes to another member.
const DRAIN: Duration = Duration::from_secs(2);
/// How much longer the group waits for the member to say so.
const MARGIN: Duration = Duration::from_millis(300);

/// Joins.
pub(super) fn join(inner: &Inner, member: &Member) -> Result<Subscription, LogError> {
    let Inner { config, live, complaints, registry, .. } = inner;
    let (topic, complaints, registry) = (member.topic, complaints.clone(), registry.clone());
    let name = config.topic(topic);
    let shared = Arc::new(Shared::default());
    let gaps = Arc::new(Gaps::new(topic, Some(member.consumer), config.out_of_range));
    let context = Context {
        shared: shared.clone(),
        gaps: gaps.clone(),
        name: name.clone(),
        complaints,
        consumer: member.consumer,
        topic,
        lags: Mutex::default(),
    };
    let consumer: BaseConsumer<Context> =
        config.member(&group(member.consumer, topic)).create_with_context(context).map_err(unavailable)?;
    consumer.subscribe(&[&name]).map_err(unavailable)?;
    let upkeep = Box::new(|_: &BaseConsumer<Context>| {});
    let polling = Polling {
        consumer,
        shared: shared.clone(),
        topic,
        name,
        gaps,
        hands_over_unreadable: true,
        registry,
        upkeep,
        told: None,
    };
    let poller = polling.start(live)?;
    Ok(Subscription { deliveries: Box::new(Joined(poller)), place: Box::new(GroupPlace(shared)) })
}

/// A group of its own for each topic: a slow topic's rebalance is none of another's business.
pub(super) fn group(consumer: &str, topic: Topic) -> String {
    format!("{consumer}.{}", topic.name())
}

struct Joined(Poller);

impl Deliveries for Joined {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Delivery, LogError>> {
        Box::pin(self.0.shared.next(max))
    }

    fn revoked(&mut self) -> BoxFuture<'_, Result<Delivery, LogError>> {
        Box::pin(self.0.shared.next(0))
    }
}

/// The group's offsets on the brokers.
struct GroupPlace(Arc<Shared>);

impl Place for GroupPlace {
    fn save<'a>(&'a self, done: &'a [(i32, i64)]) -> BoxFuture<'a, Result<(), LogError>> {
        self.note(done);
        Box::pin(async { Ok(()) })
    }

    fn note(&self, done: &[(i32, i64)]) {
        self.0.note_done(done);
    }
}

/// What the library calls, on the polling thread.
struct Context {
    shared: Arc<Shared>,
    gaps: Arc<Gaps>,
    name: String,
    complaints: Complaints,
    consumer: &'static str,
    topic: Topic,
    /// How many events of each partition the group has not finished.
    lags: Mutex<BTreeMap<i32, Gauge>>,
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let mut lags = self.lags.lock();
        // The library also tells of -1, which is no partition.
        let partitions = statistics.topics.values().flat_map(|topic| topic.partitions.values());
        for partition in partitions.filter(|partition| partition.partition >= 0) {
            // It goes on telling what it knew last of partitions that are others' by now.
            let ours = partition.fetch_state == "active";
            if ours || lags.contains_key(&partition.partition) {
                let shown =
                    lags.entry(partition.partition).or_insert_with(|| self.gauge(partition.partition));
                shown.set(if ours { lag(partition) as f64 } else { 0.0 });
            }
        }
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.complaints.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.complaints.error(error, reason);
    }
}

/// How many events of a partition the group has not finished: all that there are, while nothing is committed.
fn lag(partition: &Partition) -> i64 {
    let all = partition.hi_offset.max(0) - partition.lo_offset.max(0);
    let nothing_is_committed = partition.consumer_lag < 0 && partition.committed_offset < 0;
    // Negative where it is not known.
    if nothing_is_committed { all.max(0) } else { partition.consumer_lag.max(0) }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => {
                let partitions = numbers(partitions);
                tracing::info!(topic = self.name, ?partitions, "partitions come");
                self.gaps.forget(&partitions);
            }
            Rebalance::Revoke(partitions) => {
                let (partitions, lost) = (numbers(partitions), consumer.assignment_lost());
                if partitions.is_empty() {
                    return;
                }
                tracing::info!(topic = self.name, ?partitions, lost, "partitions go");
                self.let_go(partitions, lost);
                // What has been finished is committed by the library when the partitions go, which is next.
                self.shared.store(consumer, &self.name);
            }
            Rebalance::Error(error) => tracing::warn!(topic = self.name, %error, "a rebalance failed"),
        }
    }
}

impl Context {
    fn gauge(&self, partition: i32) -> Gauge {
        gauge!(
            CONSUMER_LAG_EVENTS,
            "service" => self.consumer, "consumer" => self.consumer, "topic" => self.topic.name(),
            "partition" => partition.to_string(),
        )
    }

    /// Waits until the member has finished with them, unless they have been somebody else's for a while, or the member
    /// is gone.
    fn let_go(&self, partitions: Vec<i32>, lost: bool) {
        let patience = if lost { Duration::ZERO } else { DRAIN };
        let (revoked, end) = Revoked::until(partitions, Instant::now() + patience);
        {
            let mut queues = self.shared.queues.lock();
            // Looked at while nobody can end the queues: what is put in before that is answered by their end.
            if self.shared.has_stopped() {
                return;
            }
            queues.revoke(revoked);
        }
        self.shared.tell();
        if !lost {
            // An error is the usual answer: the other end was dropped.
            let _ = end.recv_timeout(DRAIN + MARGIN);
        }
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    partitions.elements().iter().map(|element| element.partition()).collect()
}
