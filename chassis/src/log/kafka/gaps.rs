//! Events that are no longer there: what a broker's retention took before a group has seen it.
//!
//! Our topics keep everything, so this is always somebody's mistake, and never silent. Brokers give offsets without
//! gaps to what is written without transactions, as we write. So an offset that is not the next one means that events
//! are missing; or, for the first one of a partition, one that is not where the group stood.

use std::{collections::BTreeMap, time::Duration};

use metrics::counter;
use parking_lot::Mutex;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
};
use viscount_contracts::Topic;

use super::OutOfRange;
use crate::log::LogError;

/// How long the brokers are asked where the group stood.
const ASK: Duration = Duration::from_secs(3);

/// Watches over the offsets of one consumer's partitions.
pub(super) struct Gaps {
    topic: Topic,
    group: Option<&'static str>,
    policy: OutOfRange,
    /// The offset that should come next.
    next: Mutex<BTreeMap<i32, i64>>,
}

impl Gaps {
    /// For a member of this group; a follower has none.
    pub(super) fn new(topic: Topic, group: Option<&'static str>, policy: OutOfRange) -> Self {
        Self { topic, group, policy, next: Mutex::default() }
    }

    /// Whose partitions they are, as metrics name it.
    pub(super) fn group(&self) -> &'static str {
        self.group.unwrap_or("followers")
    }

    /// These partitions begin anew.
    pub(super) fn forget(&self, partitions: &[i32]) {
        self.next.lock().retain(|partition, _| !partitions.contains(partition));
    }

    /// The offset that should come next, if any has come.
    pub(super) fn next(&self, partition: i32) -> Option<i64> {
        self.next.lock().get(&partition).copied()
    }

    /// A message of this offset has come.
    pub(super) fn pass<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        name: &str,
        partition: i32,
        offset: i64,
    ) -> Result<(), LogError> {
        let known = self.next.lock().insert(partition, offset + 1);
        let wanted = known.or_else(|| self.group.and_then(|_| committed(consumer, name, partition)));
        match wanted {
            Some(wanted) if wanted != offset => self.missing(partition, wanted, offset),
            _ => Ok(()),
        }
    }

    fn missing(&self, partition: i32, wanted: i64, found: i64) -> Result<(), LogError> {
        let group = self.group();
        counter!(crate::metrics::LOG_OUT_OF_RANGE_TOTAL, "topic" => self.topic.name(), "consumer" => group)
            .increment(1);
        tracing::error!(
            topic = self.topic.name(),
            consumer = group,
            partition,
            wanted,
            found,
            "events are missing: the topic's retention is too short, or it was made anew"
        );
        match (self.policy, self.group) {
            (OutOfRange::Stop, Some(_)) => {
                Err(LogError::HistoryLost { topic: self.topic, partition, wanted, found })
            }
            _ => Ok(()),
        }
    }
}

/// Where the group stood; nothing when it is new, or the brokers do not say.
fn committed<C: ConsumerContext>(consumer: &BaseConsumer<C>, name: &str, partition: i32) -> Option<i64> {
    let mut one = TopicPartitionList::with_capacity(1);
    one.add_partition(name, partition);
    let answer = consumer.committed_offsets(one, ASK).ok()?;
    match answer.find_partition(name, partition)?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}
