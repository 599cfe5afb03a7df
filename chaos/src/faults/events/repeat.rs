//! All events so far once more, and once more: as if every publisher had forgotten what it had sent.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
};

use super::{
    INJECTED,
    send::{Outgoing, Sender},
};

/// So many events are held at once, and shuffled among each other.
const AT_ONCE: usize = 20_000;
/// For one question to the brokers.
const ASK: Duration = Duration::from_secs(10);
/// How long nothing may come.
const SILENCE: Duration = Duration::from_secs(30);

/// A message as it came.
struct Seen {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: OwnedHeaders,
}

/// Publishes what these topics have now, so many times: in each partition keys come in an order that the seed decides,
/// and each key's events in their own. What was injected before is not among it. Gives how many messages were published.
/// Blocks.
pub(in crate::faults) fn repeat(
    brokers: &str,
    topics: &[String],
    copies: u32,
    seed: u64,
) -> Result<u64, String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // It joins no group: its partitions are given to it.
        .set("group.id", "viscount-chaos")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false")
        .create()
        .map_err(|error| error.to_string())?;
    let sender = Sender::new(brokers)?;
    let mut chance = StdRng::seed_from_u64(seed);
    for topic in topics {
        for (partition, low, high) in partitions(&consumer, topic)? {
            let mut next = low;
            while next < high {
                let (seen, after) = read(&consumer, topic, partition, next, high)?;
                next = after;
                for _ in 0..copies {
                    for event in shuffled(&seen, &mut chance) {
                        sender.send(Outgoing {
                            topic,
                            partition: Some(partition),
                            key: event.key.as_deref(),
                            value: event.value.as_deref(),
                            headers: event.headers.clone(),
                        })?;
                    }
                }
            }
        }
    }
    sender.finish()
}

/// Each partition, its first offset and the one behind its last.
fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<Vec<(i32, i64, i64)>, String> {
    let told = |error: rdkafka::error::KafkaError| format!("{topic}: {error}");
    let metadata = consumer.fetch_metadata(Some(topic), ASK).map_err(told)?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    let partitions: Vec<i32> = partitions.map(|partition| partition.id()).collect();
    if partitions.is_empty() {
        return Err(format!("{topic}: there is no such topic"));
    }
    let marks = |partition| consumer.fetch_watermarks(topic, partition, ASK).map_err(told);
    partitions.into_iter().map(|id| marks(id).map(|(low, high)| (id, low, high))).collect()
}

/// A stretch of a partition, and the offset behind it.
fn read(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    from: i64,
    high: i64,
) -> Result<(Vec<Seen>, i64), String> {
    let told = |error: rdkafka::error::KafkaError| format!("{topic}: {error}");
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, partition, Offset::Offset(from)).map_err(told)?;
    consumer.assign(&place).map_err(told)?;
    let (mut seen, mut next, mut heard) = (Vec::new(), from, Instant::now());
    while next < high && seen.len() < AT_ONCE {
        match consumer.poll(Duration::from_millis(100)) {
            Some(message) => {
                let message = message.map_err(told)?;
                heard = Instant::now();
                next = message.offset() + 1;
                seen.extend(copy(&message)?);
            }
            None if heard.elapsed() > SILENCE => {
                return Err(format!("{topic}: nothing came of partition {partition} behind offset {next}"));
            }
            None => {}
        }
    }
    Ok((seen, next))
}

/// A copy with our mark; none of what has it already.
fn copy(message: &BorrowedMessage<'_>) -> Result<Option<Seen>, String> {
    let mut headers = OwnedHeaders::new();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        if header.key == INJECTED {
            return Ok(None);
        }
        headers = headers.insert(header);
    }
    let headers = headers.insert(Header { key: INJECTED, value: Some("repeat") });
    Ok(Some(Seen {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
    }))
}

/// All of them: keys by chance, each key's in their order.
fn shuffled<'a>(seen: &'a [Seen], chance: &mut StdRng) -> Vec<&'a Seen> {
    let mut of_key: HashMap<Option<&[u8]>, Vec<&Seen>> = HashMap::new();
    let mut turns = Vec::with_capacity(seen.len());
    for event in seen {
        turns.push(event.key.as_deref());
        of_key.entry(event.key.as_deref()).or_default().push(event);
    }
    turns.shuffle(chance);
    let mut of_key: HashMap<_, _> =
        of_key.into_iter().map(|(key, events)| (key, events.into_iter())).collect();
    turns.into_iter().filter_map(|key| of_key.get_mut(&key)?.next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shuffled_and_each_keeps_its_order() {
        let event = |key: u8, value: u8| Seen {
            key: Some(vec![key]),
            value: Some(vec![value]),
            headers: OwnedHeaders::new(),
        };
        let seen: Vec<Seen> = (0..50).flat_map(|n| [event(0, n), event(1, n), event(2, n)]).collect();
        let mixed = shuffled(&seen, &mut StdRng::seed_from_u64(4));
        assert_eq!(mixed.len(), 150);
        for key in 0..3 {
            let values = mixed.iter().filter(|event| event.key == Some(vec![key]));
            let values: Vec<u8> = values.filter_map(|event| event.value.as_ref()?.first().copied()).collect();
            assert_eq!(values, (0..50).collect::<Vec<u8>>());
        }
        let keys = |events: &[&Seen]| events.iter().map(|event| event.key.clone()).collect::<Vec<_>>();
        assert_ne!(keys(&mixed), keys(&seen.iter().collect::<Vec<_>>()));
        assert_eq!(keys(&mixed), keys(&shuffled(&seen, &mut StdRng::seed_from_u64(4))));
    }
}
