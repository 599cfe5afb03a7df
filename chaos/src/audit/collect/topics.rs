//! Topics from their beginning to where they end now.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
};
use viscount_contracts::Topic;

use super::CollectError;
use crate::audit::dataset::{READS, Record, TopicShape, digest};

/// How long the brokers may take to answer a question.
const ANSWER: Duration = Duration::from_secs(15);
/// How long nothing may come although there is more.
const PATIENCE: Duration = Duration::from_secs(30);
/// What an experiment puts on a message that it has injected itself.
const INJECTED: &str = "x-chaos-injected";
/// The content type of a message behind a schema registry's frame.
const FRAMED: &str = "application/vnd.confluent.protobuf";

/// All topics.
pub struct Topics {
    pub shapes: Vec<TopicShape>,
    pub records: Vec<Record>,
}

/// Reads all topics of all services.
pub fn read(brokers: &str, prefix: &str) -> Result<Topics, CollectError> {
    let mut topics = Topics { shapes: Vec::new(), records: Vec::new() };
    for topic in Topic::ALL {
        let name = format!("{prefix}{}", topic.name());
        let broken = |problem: String| CollectError::Topic { topic: name.clone(), problem };
        let partitions = one(brokers, &name, topic, &mut topics.records).map_err(broken)?;
        // One that is not there is one on which every event is missing.
        topics.shapes.push(TopicShape { topic, partitions });
    }
    topics.records.sort_by_key(|record| (record.topic, record.partition, record.offset));
    Ok(topics)
}

/// Groups that have not finished what is on their topics, in words. They are asked about, not joined: of a partition without
/// a member nobody else says anything.
pub fn unfinished(brokers: &str, prefix: &str) -> Result<Vec<String>, CollectError> {
    let mut told = Vec::new();
    for (reader, topic) in READS {
        let name = format!("{prefix}{}", topic.name());
        let group = format!("{prefix}{}.{}", reader.service(), topic.name());
        let broken =
            |error: KafkaError| CollectError::Topic { topic: name.clone(), problem: error.to_string() };
        let left = behind(brokers, &name, &group).map_err(broken)?;
        if left != 0 {
            told.push(format!("{}: {left} messages of {name} not handled", reader.service()));
        }
    }
    Ok(told)
}

fn behind(brokers: &str, name: &str, group: &str) -> Result<i64, KafkaError> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "false")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(name), ANSWER)?;
    let mut asked = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        asked.add_partition(name, partition.id());
    }
    let mut behind = 0;
    for place in consumer.committed_offsets(asked, ANSWER)?.elements() {
        let (low, high) = consumer.fetch_watermarks(name, place.partition(), ANSWER)?;
        let next = match place.offset() {
            Offset::Offset(offset) => offset.max(low),
            _ => low,
        };
        behind += (high - next).max(0);
    }
    Ok(behind)
}

/// Reads one, and says how many partitions it has; none when there is no such topic.
fn one(brokers: &str, name: &str, topic: Topic, records: &mut Vec<Record>) -> Result<i32, String> {
    let told = |error: KafkaError| error.to_string();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // The library wants a name; nothing is ever saved under it.
        .set("group.id", "viscount-chaos-audit")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false")
        .set("allow.auto.create.topics", "false")
        .set("isolation.level", "read_uncommitted")
        .create()
        .map_err(told)?;
    let metadata = consumer.fetch_metadata(Some(name), ANSWER).map_err(told)?;
    let partitions = metadata.topics().iter().find(|found| found.name() == name);
    let partitions: Vec<i32> =
        partitions.into_iter().flat_map(|found| found.partitions()).map(|partition| partition.id()).collect();
    let mut ends: HashMap<i32, i64> = HashMap::new();
    let mut assigned = TopicPartitionList::new();
    for partition in &partitions {
        let (low, high) = consumer.fetch_watermarks(name, *partition, ANSWER).map_err(told)?;
        if low < high {
            ends.insert(*partition, high);
            assigned.add_partition_offset(name, *partition, Offset::Offset(low)).map_err(told)?;
        }
    }
    consumer.assign(&assigned).map_err(told)?;
    let mut heard = Instant::now();
    while !ends.is_empty() {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let (partition, next) = (message.partition(), message.offset() + 1);
                let Some(end) = ends.get(&partition).copied() else { continue };
                if next <= end {
                    records.push(record(topic, &message));
                }
                if next >= end {
                    ends.remove(&partition);
                }
            }
            // Connections come and go; what counts is whether anything comes.
            Some(Err(error)) if heard.elapsed() > PATIENCE => return Err(error.to_string()),
            None if heard.elapsed() > PATIENCE => {
                return Err(format!(
                    "nothing came for {} s, and partitions {ends:?} have more",
                    PATIENCE.as_secs()
                ));
            }
            Some(Err(_)) | None => {}
        }
    }
    i32::try_from(partitions.len()).map_err(|_| "too many partitions".to_owned())
}

fn record(topic: Topic, message: &BorrowedMessage<'_>) -> Record {
    let mut headers: HashMap<&str, &str> = HashMap::new();
    for header in message.headers().into_iter().flat_map(Headers::iter) {
        if let Some(Ok(value)) = header.value.map(str::from_utf8) {
            headers.insert(header.key, value);
        }
    }
    let header = |name: &str| headers.get(name).copied();
    let number = |name: &str| header(name).and_then(|text| text.parse::<i64>().ok());
    let value = message.payload().unwrap_or_default();
    let value = if header("content-type") == Some(FRAMED) { unframed(value) } else { value };
    Record {
        topic,
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(|key| String::from_utf8_lossy(key).into()),
        id: header("ce_id").and_then(|id| id.parse().ok()),
        subject: header("ce_subject").and_then(|id| id.parse().ok()),
        position: number("ce_position"),
        version: number("ce_version").and_then(|version| version.try_into().ok()),
        kind: topic.kind_named(header("ce_type").unwrap_or_default()),
        digest: digest(value),
        injected: headers.contains_key(INJECTED),
    }
}

/// The message behind Confluent's frame: a magic byte, four bytes of an id, and the path to the message's type, a zigzag
/// varint count with so many more behind it, where a count of 0 stands for the first type.
fn unframed(value: &[u8]) -> &[u8] {
    let Some(mut rest) = value.get(5..) else { return value };
    let Some(count) = varint(&mut rest) else { return value };
    for _ in 0..count >> 1 {
        if varint(&mut rest).is_none() {
            return value;
        }
    }
    rest
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_off() {
        assert_eq!(unframed(&[0, 0, 0, 0, 7, 0, b'x', b'y']), b"xy");
        assert_eq!(unframed(&[0, 0, 0, 0, 7, 4, 2, 6, b'x']), b"x");
        assert_eq!(unframed(&[0, 0]), [0, 0]);
    }
}
