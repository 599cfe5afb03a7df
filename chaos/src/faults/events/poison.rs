//! Messages that no consumer can handle, of the three kinds that there are.

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use rdkafka::message::{Header, OwnedHeaders};
use uuid::{Builder, Uuid};

use super::{
    INJECTED,
    send::{Outgoing, Sender},
};
use crate::experiment::Poison;

/// A field of a kind that protobuf does not have.
const NO_PROTOBUF: &[u8] = &[0x0f, 0xff, 0xff, 0xff, 0xff];

/// Publishes so many of them on a topic. `name` is the topic's without a prefix. Blocks.
pub(in crate::faults) fn poison(
    brokers: &str,
    topic: &str,
    name: &str,
    kind: Poison,
    count: u32,
    seed: u64,
) -> Result<(), String> {
    let mut chance = StdRng::seed_from_u64(seed);
    let sender = Sender::new(brokers)?;
    for _ in 0..count {
        let key = id(&mut chance);
        let (value, headers) = match kind {
            Poison::Unreadable => {
                let mut bytes = vec![0; chance.random_range(1..200)];
                chance.fill_bytes(&mut bytes);
                (bytes, OwnedHeaders::new())
            }
            Poison::Garbage => (NO_PROTOBUF.to_vec(), event(name, handled(name), key, id(&mut chance))),
            Poison::Stranger => {
                let (kind, value) = stranger(name, key);
                (value, event(name, kind, key, id(&mut chance)))
            }
        };
        sender.send(Outgoing {
            topic,
            partition: None,
            key: Some(key.to_string().as_bytes()),
            value: Some(&value),
            headers: headers.insert(header(INJECTED, "poison")),
        })?;
    }
    sender.finish().map(drop)
}

/// The headers of an event: CloudEvents 1.0, Kafka's binding in binary mode.
fn event(topic: &str, kind: &str, key: Uuid, id: Uuid) -> OwnedHeaders {
    OwnedHeaders::new()
        .insert(header("content-type", "application/protobuf"))
        .insert(header("ce_specversion", "1.0"))
        .insert(header("ce_id", &id.to_string()))
        .insert(header("ce_source", topic))
        .insert(header("ce_type", kind))
        .insert(header("ce_time", &jiff::Timestamp::now().to_string()))
        .insert(header("ce_subject", &key.to_string()))
        .insert(header("ce_version", "1"))
        .insert(header("ce_position", "1"))
}

fn header<'a>(key: &'a str, value: &'a str) -> Header<'a, &'a str> {
    Header { key, value: Some(value) }
}

/// A kind of event that somebody who listens to this topic handles.
fn handled(topic: &str) -> &'static str {
    match topic.split('.').next() {
        Some("catalog") => "PriceChanged",
        Some("inventory") => "InventoryReserved",
        Some("payments") => "PaymentFailed",
        _ => "OrderCreated",
    }
}

/// A sound event of an order that nobody has ever seen.
fn stranger(topic: &str, order: Uuid) -> (&'static str, Vec<u8>) {
    use viscount_contracts::events::{inventory::v1::InventoryRejected, payments::v1::PaymentFailed};
    match topic.split('.').next() {
        Some("inventory") => {
            let rejected = InventoryRejected {
                reservation_id: order.to_string(),
                order_id: order.to_string(),
                short_lines: Vec::new(),
            };
            ("InventoryRejected", bytes(&rejected))
        }
        _ => {
            let failed = PaymentFailed { order_id: order.to_string(), ..PaymentFailed::default() };
            ("PaymentFailed", bytes(&failed))
        }
    }
}

fn bytes<E: viscount_contracts::Event>(event: &E) -> Vec<u8> {
    event.encode_to_vec()
}

/// A UUIDv7 of now whose other bits the seed decides (RFC 9562, section 5.7).
fn id(chance: &mut StdRng) -> Uuid {
    let millis = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
    Builder::from_unix_timestamp_millis(millis, &chance.random()).into_uuid()
}
