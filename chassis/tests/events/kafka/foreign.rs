//! Producers that know nothing of our rules, and readers of plain messages.

use std::time::Duration;

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    message::{Header, Headers, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::hall::{Hall, PATIENCE};

const ASK: Duration = Duration::from_secs(10);

/// A message as anybody may write it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plain {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Plain {
    pub fn new(key: &[u8], value: &[u8]) -> Self {
        Self { key: Some(key.to_vec()), value: Some(value.to_vec()), headers: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.to_owned(), Some(value.to_vec())));
        self
    }

    /// With the headers of an event of ours, the one of this name replaced.
    pub fn event_but(mut self, name: &str, value: &[u8]) -> Self {
        let id = uuid::Uuid::now_v7().to_string();
        let usual = [
            ("ce_specversion", "1.0"),
            ("ce_id", &id),
            ("ce_type", "OrderCompleted"),
            ("ce_time", "2026-01-02T03:04:05Z"),
            ("ce_subject", &id),
            ("ce_version", "1"),
            ("ce_position", "1"),
        ];
        for (usual, text) in usual {
            let value = if usual == name { value } else { text.as_bytes() };
            self = self.header(usual, value);
        }
        self
    }

    pub fn of_name(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(header, _)| header == name)?;
        found.1.as_deref()
    }
}

/// Writes messages to the orders topic, one after the other.
pub fn produce(hall: &Hall, messages: &[Plain]) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &hall.config.brokers).create().unwrap();
    for Plain { key, value, headers } in messages {
        let mut owned = OwnedHeaders::new();
        for (key, value) in headers {
            owned = owned.insert(Header { key, value: value.as_ref() });
        }
        let name = hall.topic();
        let mut record = BaseRecord::<[u8], [u8]>::to(&name).headers(owned);
        (record.key, record.payload) = (key.as_deref(), value.as_deref());
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(ASK).unwrap();
}

/// Reads so many messages of partition 0 of a topic, from its beginning.
pub async fn read(hall: &Hall, topic: &str, wanted: usize) -> Vec<Plain> {
    let consumer = plain_consumer(hall, "reader");
    let topic = topic.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let mut partition = TopicPartitionList::new();
        partition.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&partition).unwrap();
        let (mut found, since) = (Vec::new(), std::time::Instant::now());
        while found.len() < wanted {
            assert!(since.elapsed() < PATIENCE, "{} of {wanted} messages came", found.len());
            // The topic may not be there yet.
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            found.push(Plain {
                key: owned(message.key()),
                value: owned(message.payload()),
                headers: headers.map(|header| (header.key.to_owned(), owned(header.value))).collect(),
            });
        }
        found
    });
    reading.await.unwrap()
}

/// Where the group stands in partition 0 of the orders topic, and where that ends.
pub fn standing(hall: &Hall) -> (Option<i64>, i64) {
    let (consumer, name) = (plain_consumer(hall, "members.orders.events.v1"), hall.topic());
    let mut partition = TopicPartitionList::new();
    partition.add_partition(&name, 0);
    let committed = consumer.committed_offsets(partition, ASK).unwrap();
    let committed = match committed.find_partition(&name, 0).unwrap().offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    (committed, consumer.fetch_watermarks(&name, 0, ASK).unwrap().1)
}

/// Sets the group, which has no members, back to the beginning of partition 0.
pub fn rewind(hall: &Hall) {
    let consumer = plain_consumer(hall, "members.orders.events.v1");
    let mut beginning = TopicPartitionList::new();
    beginning.add_partition_offset(&hall.topic(), 0, Offset::Offset(0)).unwrap();
    consumer.commit(&beginning, CommitMode::Sync).unwrap();
}

fn plain_consumer(hall: &Hall, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", &hall.config.brokers)
        .set("group.id", format!("{}{group}", hall.config.prefix))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("topic.metadata.refresh.interval.ms", "500")
        .create()
        .unwrap()
}

/// Writes one message, with one header of any bytes as its name, to partition 0 of the orders topic: no client library
/// does that, so this speaks the protocol itself (Produce, version 3; record batch, version 2).
pub async fn produce_with_header_named(hall: &Hall, name: &[u8], value: &[u8]) {
    let mut record = vec![0, 0, 0];
    varint(&mut record, -1);
    varint(&mut record, value.len() as i64);
    record.extend(value);
    varint(&mut record, 1);
    varint(&mut record, name.len() as i64);
    record.extend(name);
    varint(&mut record, 1);
    record.extend(b"x");
    let now = jiff::Timestamp::now().as_millisecond();
    // Attributes, last offset delta, first and last time, producer id and epoch, sequence, number of records.
    let mut checked = [&[0; 2][..], &[0; 4], &now.to_be_bytes(), &now.to_be_bytes(), &[0xff; 14]].concat();
    checked.extend(1_i32.to_be_bytes());
    varint(&mut checked, record.len() as i64);
    checked.extend(record);
    let crc = crc32c(&checked).to_be_bytes();
    let length = (checked.len() as i32 + 9).to_be_bytes();
    let batch = [&[0; 8][..], &length, &[0xff; 4], &[2], &crc, &checked].concat();
    let topic = hall.topic();
    let mut request = Vec::new();
    // Produce, version 3; correlation; no client id; no transaction; all replicas; patience; one topic.
    request.extend([0, 0, 0, 3, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    request.extend(5_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend((topic.len() as i16).to_be_bytes());
    request.extend(topic.as_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(0_i32.to_be_bytes());
    request.extend((batch.len() as i32).to_be_bytes());
    request.extend(batch);
    let speaking = async {
        let mut broker = TcpStream::connect(&hall.config.brokers).await.unwrap();
        broker.write_all(&(request.len() as i32).to_be_bytes()).await.unwrap();
        broker.write_all(&request).await.unwrap();
        let length = broker.read_i32().await.unwrap();
        let mut answer = vec![0; length as usize];
        broker.read_exact(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(ASK, speaking).await.unwrap();
    // Correlation, one topic, its name, one partition, its number; then the error code.
    let code = 4 + 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(answer[code..code + 2], [0, 0], "the broker takes it: {answer:?}");
}

/// Zigzag, as protobuf's `sint64`.
fn varint(to: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        to.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    to.push(rest as u8);
}

/// RFC 3720, appendix B.4.
fn crc32c(bytes: &[u8]) -> u32 {
    let each = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(!0, each)
}
