//! An event as a Kafka message: the CloudEvents 1.0 binding in binary mode.
//!
//! Attributes are headers (`ce_id`, `ce_source`, `ce_type`, `ce_time`, `ce_subject`, and the extensions `ce_version` and
//! `ce_position`), `traceparent` is one by its own name, as W3C and OpenTelemetry have it. The key is the aggregate's
//! id as text, so that other programs place events as we do. The value is the protobuf message and nothing else; or, with
//! a schema registry, the same behind a frame that names its schema. `content-type` says which of the two.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    str,
    sync::Arc,
};

use bytes::Bytes;
use jiff::Timestamp;
use rdkafka::{
    Message,
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
};
use uuid::Uuid;
use viscount_contracts::{Envelope, EventId, Topic};

use super::registry::{Registry, Schema, frame};

/// What a value is: a protobuf message.
const PLAIN: &str = "application/protobuf";
/// What a value is: Confluent's wire format with a protobuf message in it. There is no registered name for it; a reader
/// of CloudEvents must not take it for the message alone.
const FRAMED: &str = "application/vnd.confluent.protobuf";

/// What the headers and the key of an event weigh at most, next to its data: generous.
const AROUND: usize = 1_024;

/// What a message weighs towards the broker's limit.
pub(super) fn weight(event: &Envelope) -> usize {
    AROUND + event.data.len()
}

/// Its headers, for a value that is framed or not.
pub(super) fn headers(event: &Envelope, framed: bool) -> OwnedHeaders {
    let mut text = Uuid::encode_buffer();
    let headers = OwnedHeaders::new_with_capacity(10)
        .insert(header("content-type", if framed { FRAMED } else { PLAIN }))
        .insert(header("ce_specversion", "1.0"))
        .insert(header("ce_id", event.id.uuid().hyphenated().encode_lower(&mut text)))
        .insert(header("ce_source", event.topic.name()))
        .insert(header("ce_type", event.kind.as_ref()))
        .insert(header("ce_time", &event.occurred_at.to_string()));
    let headers = headers
        .insert(header("ce_subject", event.key.hyphenated().encode_lower(&mut text)))
        .insert(header("ce_version", &event.version.to_string()))
        .insert(header("ce_position", &event.position.to_string()));
    match &event.traceparent {
        Some(traceparent) => headers.insert(header("traceparent", traceparent)),
        None => headers,
    }
}

fn header<'a>(key: &'a str, value: &'a str) -> Header<'a, &'a str> {
    Header { key, value: Some(value) }
}

/// What is known of the message's schema. Nothing as long as the registry has not said it.
pub(super) fn schema(registry: Option<&Arc<Registry>>, message: &BorrowedMessage<'_>) -> Option<Schema> {
    let Some(registry) = registry else { return Some(Schema::Unchecked) };
    // A plain message never begins with a magic byte: there is no field 0.
    let Some(id) = message.payload().and_then(frame::id) else { return Some(Schema::Unchecked) };
    let attributes = catch_unwind(AssertUnwindSafe(|| Attributes::of(message).is_framed()));
    match attributes {
        Ok(true) => registry.look(id),
        _ => Some(Schema::Unchecked),
    }
}

/// The event in a message, or why there is none.
pub(super) fn read(topic: Topic, message: &BorrowedMessage<'_>, schema: &Schema) -> Result<Envelope, String> {
    // The library panics on headers whose names are no text; a foreign producer must not end this thread.
    let attributes = catch_unwind(AssertUnwindSafe(|| Attributes::of(message)));
    let attributes = attributes.map_err(|_| "a header's name is no text".to_owned())?;
    attributes.envelope(topic, message.payload().unwrap_or_default(), schema)
}

/// The headers that matter.
#[derive(Default)]
struct Attributes<'a> {
    content_type: Option<&'a [u8]>,
    specversion: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    time: Option<&'a [u8]>,
    subject: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    position: Option<&'a [u8]>,
    traceparent: Option<&'a [u8]>,
}

impl<'a> Attributes<'a> {
    fn of(message: &'a BorrowedMessage<'_>) -> Self {
        let mut found = Self::default();
        let Some(headers) = message.headers() else { return found };
        for header in headers.iter() {
            let place = match header.key {
                "content-type" => &mut found.content_type,
                "ce_specversion" => &mut found.specversion,
                "ce_id" => &mut found.id,
                "ce_type" => &mut found.kind,
                "ce_time" => &mut found.time,
                "ce_subject" => &mut found.subject,
                "ce_version" => &mut found.version,
                "ce_position" => &mut found.position,
                "traceparent" => &mut found.traceparent,
                _ => continue,
            };
            *place = header.value;
        }
        found
    }

    fn is_framed(&self) -> bool {
        self.content_type == Some(FRAMED.as_bytes())
    }

    fn envelope(self, topic: Topic, value: &[u8], schema: &Schema) -> Result<Envelope, String> {
        if self.specversion != Some(b"1.0") {
            return Err("it is no CloudEvent 1.0 in binary mode".to_owned());
        }
        let kind = text("ce_type", self.kind)?;
        let data = if self.is_framed() { unframed(topic, kind, value, schema)? } else { value };
        Ok(Envelope {
            id: EventId::from(parsed::<Uuid>("ce_id", self.id)?),
            topic,
            position: parsed("ce_position", self.position)?,
            key: parsed("ce_subject", self.subject)?,
            version: parsed("ce_version", self.version)?,
            kind: topic.kind_named(kind),
            occurred_at: parsed::<Timestamp>("ce_time", self.time)?,
            traceparent: self.traceparent.and_then(|value| str::from_utf8(value).ok()).map(str::to_owned),
            data: Bytes::copy_from_slice(data),
        })
    }
}

/// The message in a framed value, if it is what its schema says.
fn unframed<'a>(topic: Topic, kind: &str, value: &'a [u8], schema: &Schema) -> Result<&'a [u8], String> {
    let frame = frame::read(value)?;
    match schema {
        Schema::Known(described) => described.allows(topic, &frame.path, kind)?,
        Schema::Unknown(id) => return Err(format!("the registry has no schema {id}")),
        Schema::Unchecked => {}
    }
    Ok(frame.data)
}

fn text<'a>(name: &str, value: Option<&'a [u8]>) -> Result<&'a str, String> {
    let value = value.ok_or_else(|| format!("{name} is missing"))?;
    str::from_utf8(value).map_err(|_| format!("{name} is no text"))
}

fn parsed<T: str::FromStr>(name: &str, value: Option<&[u8]>) -> Result<T, String> {
    text(name, value)?.parse().map_err(|_| format!("{name} cannot be read"))
}
