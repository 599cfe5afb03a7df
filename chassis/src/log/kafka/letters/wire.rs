//! A letter as a message: what it was, and headers that tell what became of it.

use bytes::Bytes;
use rdkafka::message::{Header, OwnedHeaders};

use crate::{
    dead_letters::{DeadLetter, Letter, UnreadableMessage, json},
    log::kafka::wire,
};

/// The parts of the message.
pub(super) struct Outgoing {
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: OwnedHeaders,
}

/// Key, value and headers as they came, and ours behind them.
pub(super) fn outgoing(letter: &DeadLetter) -> Outgoing {
    match letter {
        DeadLetter::Event(letter) => of_event(letter),
        DeadLetter::Unreadable(kept) => of_message(kept),
    }
}

/// An event is told as its relay has told it.
fn of_event(letter: &Letter) -> Outgoing {
    let headers = letter.event().as_ref().map(|event| wire::headers(event, false)).unwrap_or_default();
    let headers = told(headers, &letter.id.to_string(), &letter.consumer, &letter.topic);
    let headers = text(headers, "dlq_position", &letter.position.to_string());
    let headers = text(headers, "dlq_error", &json(&letter.errors));
    let headers = text(headers, "dlq_attempts", &letter.attempts.to_string());
    Outgoing {
        key: Some(Bytes::from(letter.key.hyphenated().to_string())),
        value: Some(letter.data.clone()),
        headers: text(headers, "dlq_recorded_at", &letter.recorded_at.to_string()),
    }
}

fn of_message(kept: &UnreadableMessage) -> Outgoing {
    let mut headers = OwnedHeaders::new();
    for header in &kept.message.headers {
        // Without a name there is nothing that could be told.
        let Some(name) = &header.name else { continue };
        headers = headers.insert(Header { key: name, value: header.value.as_deref() });
    }
    let headers = told(headers, &kept.id.to_string(), &kept.consumer, &kept.topic);
    let headers = text(headers, "dlq_partition", &kept.partition.to_string());
    let headers = text(headers, "dlq_offset", &kept.offset.to_string());
    let headers = text(headers, "dlq_error", &json(&kept.errors));
    let headers = text(headers, "dlq_attempts", &kept.attempts.to_string());
    Outgoing {
        key: kept.message.key.clone(),
        value: kept.message.value.clone(),
        headers: text(headers, "dlq_recorded_at", &kept.recorded_at.to_string()),
    }
}

fn told(headers: OwnedHeaders, id: &str, consumer: &str, topic: &str) -> OwnedHeaders {
    let headers = text(headers, "dlq_id", id);
    let headers = text(headers, "dlq_consumer", consumer);
    text(headers, "dlq_topic", topic)
}

fn text(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}
