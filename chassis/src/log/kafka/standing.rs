//! How far a group has come, as a position: for those who look at the platform from outside.
//!
//! Brokers know offsets. The first message that a group has not finished says its position itself, and a group that has
//! finished every message has come to where publishing has.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use uuid::Uuid;
use viscount_contracts::{Envelope, Topic};

use super::{KafkaConfig, context::Complaints, member::group, murmur2, registry::Schema, unavailable, wire};
use crate::log::{LogError, Standing};

/// How long the brokers may take for each answer.
const ASK: Duration = Duration::from_secs(5);

/// The position up to which the group has finished everything. `published` is a position up to which everything is on
/// the brokers. Blocks.
pub(super) fn place(
    config: &KafkaConfig,
    complaints: Complaints,
    consumer: &str,
    topic: Topic,
    published: i64,
) -> Result<i64, LogError> {
    let name = config.topic(topic);
    let mut client = config.member(&group(consumer, topic));
    client.set("enable.auto.commit", "false");
    let client: BaseConsumer<Complaints> = client.create_with_context(complaints).map_err(unavailable)?;
    let unfinished = unfinished(&client, &name).map_err(unavailable)?;
    let mut place = published;
    for (partition, offset) in unfinished {
        // A message that cannot be read is as good as done.
        if let Some(position) = position(&client, topic, &name, partition, offset).map_err(unavailable)? {
            place = place.min(position - 1);
        }
    }
    Ok(place)
}

/// The first message of each partition that the group has not finished. The group is asked about, not joined.
fn unfinished(client: &BaseConsumer<Complaints>, name: &str) -> Result<Vec<(i32, i64)>, KafkaError> {
    let metadata = client.fetch_metadata(Some(name), ASK)?;
    let mut asked = TopicPartitionList::new();
    for topic in metadata.topics() {
        for partition in topic.partitions() {
            asked.add_partition(name, partition.id());
        }
    }
    let mut unfinished = Vec::new();
    for partition in client.committed_offsets(asked, ASK)?.elements() {
        let (low, high) = client.fetch_watermarks(name, partition.partition(), ASK)?;
        let next = match partition.offset() {
            Offset::Offset(offset) => offset.max(low),
            _ => low,
        };
        if next < high {
            unfinished.push((partition.partition(), next));
        }
    }
    Ok(unfinished)
}

/// Where the group stands in the partition that a key is in: how many messages are behind its place, and when the first of
/// them happened. Blocks.
pub(super) fn of_key(
    config: &KafkaConfig,
    complaints: Complaints,
    consumer: &str,
    topic: Topic,
    key: Uuid,
) -> Result<Standing, LogError> {
    let name = config.topic(topic);
    let mut client = config.member(&group(consumer, topic));
    client.set("enable.auto.commit", "false");
    let client: BaseConsumer<Complaints> = client.create_with_context(complaints).map_err(unavailable)?;
    let asked = || -> Result<Standing, KafkaError> {
        let metadata = client.fetch_metadata(Some(&name), ASK)?;
        let partitions = metadata.topics().iter().map(|topic| topic.partitions().len()).sum();
        let partition = murmur2::partition(key.to_string().as_bytes(), partitions);
        let mut one = TopicPartitionList::with_capacity(1);
        one.add_partition(&name, partition);
        let committed = client.committed_offsets(one, ASK)?;
        let committed = committed.elements().first().map(|partition| partition.offset());
        let (low, high) = client.fetch_watermarks(&name, partition, ASK)?;
        let next = match committed {
            Some(Offset::Offset(offset)) => offset.max(low),
            _ => low,
        };
        let behind = (high - next).max(0);
        let oldest = match behind {
            0 => None,
            _ => happened(&client, topic, &name, partition, next)?,
        };
        Ok(Standing { partition, behind, oldest })
    };
    asked().map_err(unavailable)
}

fn position(
    client: &BaseConsumer<Complaints>,
    topic: Topic,
    name: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<i64>, KafkaError> {
    Ok(event_at(client, topic, name, partition, offset)?.map(|event| event.position))
}

fn happened(
    client: &BaseConsumer<Complaints>,
    topic: Topic,
    name: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<Timestamp>, KafkaError> {
    Ok(event_at(client, topic, name, partition, offset)?.map(|event| event.occurred_at))
}

/// The event at this place; `None` when the message there cannot be read.
fn event_at(
    client: &BaseConsumer<Complaints>,
    topic: Topic,
    name: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<Envelope>, KafkaError> {
    let mut one = TopicPartitionList::with_capacity(1);
    one.add_partition_offset(name, partition, Offset::Offset(offset))?;
    client.assign(&one)?;
    let since = Instant::now();
    while since.elapsed() < ASK {
        match client.poll(Duration::from_millis(100)) {
            Some(Ok(message)) if message.partition() == partition => {
                return Ok(wire::read(topic, &message, &Schema::Unchecked).ok());
            }
            Some(Err(error)) => return Err(error),
            _ => {}
        }
    }
    Err(KafkaError::Canceled)
}
