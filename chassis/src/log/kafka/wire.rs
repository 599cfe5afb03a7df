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
    message::{BorrowedHeaders, BorrowedMessage, Header, Headers, OwnedHeaders},
};
use uuid::Uuid;
use viscount_contracts::{Envelope, EventId, Topic};

use super::registry::{Registry, Schema, frame};
use crate::{
    log::{RawHeader, RawMessage},
    store::AROUND,
};

/// How long a trace context may be: more than twice what it is today.
const LONGEST_TRACE: usize = 128;

/// What a value is: a protobuf message.
const PLAIN: &str = "application/protobuf";
/// What a value is: Confluent's wire format with a protobuf message in it. There is no registered name for it; a reader
/// of CloudEvents must not take it for the message alone.
const FRAMED: &str = "application/vnd.confluent.protobuf";

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
    look(registry, message.payload(), || Attributes::of(message))
}

/// The same for a message that was kept.
pub(super) fn schema_of_kept(registry: Option<&Arc<Registry>>, message: &RawMessage) -> Option<Schema> {
    look(registry, message.value.as_deref(), || Attributes::of_kept(message))
}

fn look<'a>(
    registry: Option<&Arc<Registry>>,
    value: Option<&[u8]>,
    attributes: impl FnOnce() -> Result<Attributes<'a>, String>,
) -> Option<Schema> {
    let Some(registry) = registry else { return Some(Schema::Unchecked) };
    // A plain message never begins with a magic byte: there is no field 0.
    let Some(id) = value.and_then(frame::id) else { return Some(Schema::Unchecked) };
    match attributes() {
        Ok(attributes) if attributes.is_framed() => registry.look(id),
        _ => Some(Schema::Unchecked),
    }
}

/// The event in a message, or why there is none.
pub(super) fn read(topic: Topic, message: &BorrowedMessage<'_>, schema: &Schema) -> Result<Envelope, String> {
    Attributes::of(message)?.envelope(topic, message.payload().unwrap_or_default(), schema)
}

/// The same for a message that was kept.
pub(super) fn read_kept(topic: Topic, message: &RawMessage, schema: &Schema) -> Result<Envelope, String> {
    Attributes::of_kept(message)?.envelope(topic, message.value.as_deref().unwrap_or_default(), schema)
}

/// A message with every byte of it.
pub(super) fn raw(message: &BorrowedMessage<'_>) -> RawMessage {
    let owned = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
    let headers = message.headers().into_iter().flat_map(|headers| {
        (0..headers.count()).map(move |index| match header_at(headers, index) {
            Some(Header { key, value }) => RawHeader { name: Some(key.to_owned()), value: owned(value) },
            None => RawHeader { name: None, value: None },
        })
    });
    RawMessage {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: owned(message.key()),
        value: owned(message.payload()),
        headers: headers.collect(),
    }
}

/// What is wrong with a header whose name is no text.
const NAMELESS: &str = "a header's name is no text";

/// A header; `None` when its name is no text. The library panics then, and a foreign producer must not end this thread.
fn header_at(headers: &BorrowedHeaders, index: usize) -> Option<Header<'_, &[u8]>> {
    catch_unwind(AssertUnwindSafe(|| headers.try_get(index))).ok().flatten()
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
    fn of(message: &'a BorrowedMessage<'_>) -> Result<Self, String> {
        let mut found = Self::default();
        if let Some(headers) = message.headers() {
            for index in 0..headers.count() {
                let Header { key, value } = header_at(headers, index).ok_or(NAMELESS)?;
                found.note(key, value);
            }
        }
        Ok(found)
    }

    fn of_kept(message: &'a RawMessage) -> Result<Self, String> {
        let mut found = Self::default();
        for RawHeader { name, value } in &message.headers {
            found.note(name.as_deref().ok_or(NAMELESS)?, value.as_deref());
        }
        Ok(found)
    }

    fn note(&mut self, name: &str, value: Option<&'a [u8]>) {
        let place = match name {
            "content-type" => &mut self.content_type,
            "ce_specversion" => &mut self.specversion,
            "ce_id" => &mut self.id,
            "ce_type" => &mut self.kind,
            "ce_time" => &mut self.time,
            "ce_subject" => &mut self.subject,
            "ce_version" => &mut self.version,
            "ce_position" => &mut self.position,
            "traceparent" => &mut self.traceparent,
            _ => return,
        };
        *place = value;
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
            occurred_at: time(self.time)?,
            traceparent: self.traceparent.and_then(trace).map(str::to_owned),
            data: Bytes::copy_from_slice(data),
        })
    }
}

/// No event is older than its clock, and the database has no place for times long before that.
fn time(value: Option<&[u8]>) -> Result<Timestamp, String> {
    let time: Timestamp = parsed("ce_time", value)?;
    match time < Timestamp::UNIX_EPOCH {
        true => Err("ce_time is before 1970".to_owned()),
        false => Ok(time),
    }
}

/// A trace context that looks like one. Any other is none, as W3C has it.
fn trace(value: &[u8]) -> Option<&str> {
    let looks_right = value.len() <= LONGEST_TRACE && value.iter().all(u8::is_ascii_graphic);
    str::from_utf8(value).ok().filter(|_| looks_right)
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
