//! Reads a whole topic for oneself: every partition, no group, no place kept.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use viscount_contracts::{Envelope, Topic};

use super::{
    Inner, OutOfRange,
    context::Complaints,
    gaps::Gaps,
    poller::{Poller, Polling, Shared},
    unavailable,
};
use crate::log::{BoxFuture, Delivery, LogError, LogReader, Start};

/// How long the brokers are asked for the topic's partitions, and for the end of each.
const ASK: Duration = Duration::from_secs(5);
/// How often it is looked whether there are more partitions than before.
const LOOK: Duration = Duration::from_secs(3);

type FollowingConsumer = BaseConsumer<Complaints>;

/// Begins to follow. Blocks until the brokers have answered.
pub(super) fn follow(inner: &Inner, topic: Topic, start: Start) -> Result<Box<dyn LogReader>, LogError> {
    let Inner { config, live, complaints, registry, .. } = inner;
    let name = config.topic(topic);
    let consumer: FollowingConsumer =
        config.follower().create_with_context(complaints.clone()).map_err(unavailable)?;
    let count = partitions(&consumer, &name, ASK).map_err(unavailable)?;
    if count == 0 {
        return Err(LogError::UnknownTopic(topic));
    }
    let mut starts = BTreeMap::new();
    for partition in 0..count {
        let from = match start {
            Start::Beginning => Offset::Beginning,
            Start::Now => {
                let (_, end) = consumer.fetch_watermarks(&name, partition, ASK).map_err(unavailable)?;
                Offset::Offset(end)
            }
        };
        starts.insert(partition, from);
    }
    let shared = Arc::new(Shared::default());
    let gaps = Arc::new(Gaps::new(topic, None, OutOfRange::Earliest));
    let mut followed = Followed { name: name.clone(), starts, gaps: gaps.clone(), looked: Instant::now() };
    followed.assign(&consumer).map_err(unavailable)?;
    let upkeep = Box::new(move |consumer: &FollowingConsumer| followed.look_for_more(consumer));
    let registry = registry.clone();
    let polling = Polling {
        consumer,
        shared,
        topic,
        name,
        gaps,
        hands_over_unreadable: false,
        registry,
        upkeep,
        told: None,
    };
    Ok(Box::new(Following(polling.start(live)?)))
}

/// Zero when there is no such topic.
fn partitions(consumer: &FollowingConsumer, name: &str, patience: Duration) -> Result<i32, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(name), patience)?;
    let count = metadata
        .topics()
        .iter()
        .find(|topic| topic.name() == name)
        .map_or(0, |topic| topic.partitions().len());
    Ok(i32::try_from(count).unwrap_or(i32::MAX))
}

struct Following(Poller);

impl LogReader for Following {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, LogError>> {
        Box::pin(async move {
            loop {
                if let Delivery::Events(batch) = self.0.shared.next(max).await? {
                    return Ok(batch.into_events());
                }
            }
        })
    }
}

/// The partitions that are followed, each from where.
struct Followed {
    name: String,
    starts: BTreeMap<i32, Offset>,
    gaps: Arc<Gaps>,
    looked: Instant,
}

impl Followed {
    fn assign(&self, consumer: &FollowingConsumer) -> Result<(), KafkaError> {
        let mut all = TopicPartitionList::with_capacity(self.starts.len());
        for (partition, start) in &self.starts {
            let from = self.gaps.next(*partition).map_or(*start, Offset::Offset);
            all.add_partition_offset(&self.name, *partition, from)?;
        }
        consumer.assign(&all)
    }

    fn look_for_more(&mut self, consumer: &FollowingConsumer) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let Ok(count) = partitions(consumer, &self.name, Duration::from_secs(1)) else { return };
        let more: Vec<i32> = (0..count).filter(|partition| !self.starts.contains_key(partition)).collect();
        if more.is_empty() {
            return;
        }
        tracing::info!(topic = self.name, ?more, "the topic has more partitions");
        self.starts.extend(more.into_iter().map(|partition| (partition, Offset::Beginning)));
        if let Err(error) = self.assign(consumer) {
            tracing::warn!(topic = self.name, %error, "new partitions cannot be followed");
        }
    }
}
