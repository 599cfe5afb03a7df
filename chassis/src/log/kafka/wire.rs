//! An event as a Kafka message: the CloudEvents 1.0 binding in binary mode.
//!
//! Attributes are headers (`ce_id`, `ce_source`, `ce_type`, `ce_time`, `ce_subject`, and the extensions `ce_version` and
//! `ce_position`), `traceparent` is one by its own name, as W3C and OpenTelemetry have it. The key is the aggregate's
//! id as text, so that other programs place events as we do. The value is the protobuf message and nothing else.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    str,
};

use bytes::Bytes;
use jiff::Timestamp;
use rdkafka::{
    Message,
    message::{BorrowedHeaders, BorrowedMessage, Header, Headers, OwnedHeaders},
};
use uuid::Uuid;
use viscount_contracts::{Envelope, EventId, Topic};

use crate::{
    log::{RawHeader, RawMessage},
    store::AROUND,
};

/// How long a trace context may be: more than twice what it is today.
const LONGEST_TRACE: usize = 128;

/// What a message weighs towards the broker's limit.
pub(super) fn weight(event: &Envelope) -> usize {
    AROUND + event.data.len()
}

/// Its headers.
pub(super) fn headers(event: &Envelope) -> OwnedHeaders {
    let mut text = Uuid::encode_buffer();
    let headers = OwnedHeaders::new_with_capacity(10)
        .insert(header("content-type", "application/protobuf"))
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

/// The event in a message, or why there is none.
pub(super) fn read(topic: Topic, message: &BorrowedMessage<'_>) -> Result<Envelope, String> {
    Attributes::of(message)?.envelope(topic, message.payload().unwrap_or_default())
}

/// The same for a message that was kept.
pub(super) fn read_kept(topic: Topic, message: &RawMessage) -> Result<Envelope, String> {
    Attributes::of_kept(message)?.envelope(topic, message.value.as_deref().unwrap_or_default())
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

    fn envelope(self, topic: Topic, data: &[u8]) -> Result<Envelope, String> {
        if self.specversion != Some(b"1.0") {
            return Err("it is no CloudEvent 1.0 in binary mode".to_owned());
        }
        let kind = text("ce_type", self.kind)?;
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
