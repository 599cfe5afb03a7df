//! An event on its way: CloudEvents 1.0 attributes around protobuf bytes.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{Event, EventId, Topic, events};

/// One event as it travels between services. In CloudEvents terms: `id`, `source` (the topic's service), `type`
/// (`kind`), `time`, `subject` (`key`), and the `traceparent` extension; `data` is protobuf.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The same however often it is delivered.
    pub id: EventId,
    /// Where it was published.
    pub topic: Topic,
    /// Its place in the topic: 1, 2, 3, … without a gap.
    pub position: i64,
    /// The aggregate's id. Events of one key are delivered in order.
    pub key: Uuid,
    /// The aggregate's version after this event: 1, 2, 3, … without a gap.
    pub version: i32,
    /// The event's short name, such as `OrderCreated`.
    pub kind: Cow<'static, str>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// W3C trace context of what caused it.
    pub traceparent: Option<String>,
    /// The protobuf message.
    pub data: Bytes,
}

/// An event whose bytes are not what its kind promises.
#[derive(Debug, Clone, thiserror::Error)]
#[error("event {id} is no readable {kind}: {problem}")]
pub struct DecodeError {
    /// The event.
    pub id: EventId,
    /// What it should have been.
    pub kind: &'static str,
    /// What is wrong.
    pub problem: String,
}

impl Envelope {
    /// True when this is an `E`.
    pub fn is<E: Event>(&self) -> bool {
        self.topic == E::TOPIC && self.kind == E::KIND
    }

    /// False for a kind that this program does not know: a newer one has published it.
    pub fn kind_is_known(&self) -> bool {
        matches!(self.kind, Cow::Borrowed(_))
            || events::KINDS.iter().any(|(topic, kind)| *topic == self.topic && *kind == self.kind)
    }

    /// The message inside.
    pub fn decode<E: Event>(&self) -> Result<E, DecodeError> {
        E::decode(self.data.as_ref()).map_err(|problem| self.unreadable::<E>(problem))
    }

    /// For ids, amounts and the like inside a message that do not parse.
    pub fn unreadable<E: Event>(&self, problem: impl ToString) -> DecodeError {
        DecodeError { id: self.id, kind: E::KIND, problem: problem.to_string() }
    }

    /// The message as JSON, for people.
    pub fn to_json(&self) -> Option<serde_json::Value> {
        events::to_json(self.topic, &self.kind, &self.data)
    }
}

/// Gives the static name of a known kind, else keeps the text.
pub(crate) fn intern(topic: Topic, kind: String) -> Cow<'static, str> {
    match events::KINDS.iter().find(|(t, name)| *t == topic && *name == kind) {
        Some((_, name)) => Cow::Borrowed(name),
        None => Cow::Owned(kind),
    }
}

impl Topic {
    /// The static name of a known kind of event on this topic, else the text as it came.
    pub fn kind(self, kind: String) -> Cow<'static, str> {
        intern(self, kind)
    }

    /// The same for text that is borrowed: a known kind costs nothing.
    pub fn kind_named(self, kind: &str) -> Cow<'static, str> {
        match events::KINDS.iter().find(|(topic, name)| *topic == self && *name == kind) {
            Some((_, name)) => Cow::Borrowed(name),
            None => Cow::Owned(kind.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use prost::Message;

    use super::*;
    use crate::events::orders::v1::{OrderCancelled, OrderCompleted};

    fn envelope(kind: &'static str, data: Vec<u8>) -> Envelope {
        Envelope {
            id: EventId::new(),
            topic: Topic::Orders,
            position: 1,
            key: Uuid::now_v7(),
            version: 1,
            kind: Cow::Borrowed(kind),
            occurred_at: Timestamp::UNIX_EPOCH,
            traceparent: None,
            data: data.into(),
        }
    }

    #[test]
    fn an_envelope_knows_what_it_carries() {
        let cancelled = OrderCancelled { reason: "changed my mind".into(), ..Default::default() };
        let envelope = envelope("OrderCancelled", cancelled.encode_to_vec());
        assert!(envelope.is::<OrderCancelled>() && !envelope.is::<OrderCompleted>());
        assert_eq!(envelope.decode::<OrderCancelled>().unwrap(), cancelled);
        assert_eq!(envelope.to_json().unwrap()["reason"], "changed my mind");
    }

    #[test]
    fn broken_bytes_are_an_error_that_names_the_event() {
        let envelope = envelope("OrderCancelled", vec![0xff; 9]);
        assert!(envelope.decode::<OrderCancelled>().unwrap_err().to_string().contains("OrderCancelled"));
        assert_eq!(envelope.to_json(), None);
    }

    #[test]
    fn every_kind_has_a_descriptor() {
        for (topic, kind) in events::KINDS {
            assert!(events::to_json(*topic, kind, &[]).is_some(), "{topic} {kind}");
        }
    }
}
