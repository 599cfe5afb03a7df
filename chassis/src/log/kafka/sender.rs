//! The producer of one relay, and what it hears back.

use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::{
    client::ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Message as _},
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};
use uuid::Uuid;
use viscount_contracts::{Envelope, Topic};

use super::{
    Inner,
    acks::{Acks, Failure},
    context::Complaints,
    growth::Growth,
    registry::Writer,
    wire,
};

/// Sends in order; arrivals are noted in [`Acks`].
pub(super) struct Sender {
    producer: ThreadedProducer<Context>,
    name: String,
    /// Frames events, when there is a schema registry.
    writer: Option<Arc<Writer>>,
}

struct Context {
    acks: Arc<Acks>,
    complaints: Complaints,
    growth: Mutex<Growth>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.complaints.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.complaints.error(error, reason);
    }
}

impl ProducerContext for Context {
    /// The event's position.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, position: usize) {
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        match result {
            Ok(message) if self.growth.lock().note(message.partition(), message.offset()) => {
                self.acks.arrived(position)
            }
            Ok(_) => self.acks.failed(Failure::MadeAnew),
            Err((error, _)) => self.acks.failed(Failure::Refused(format!("position {position}: {error}"))),
        }
    }
}

impl Sender {
    /// A producer of its own, for messages up to this size.
    pub(super) fn new(
        inner: &Inner,
        topic: Topic,
        limit: usize,
        acks: Arc<Acks>,
        writer: Option<Arc<Writer>>,
    ) -> Result<Self, KafkaError> {
        let context = Context { acks, complaints: inner.complaints.clone(), growth: Mutex::default() };
        let mut config = inner.config.producer();
        config.set("message.max.bytes", limit.to_string());
        let name = inner.config.topic(topic);
        Ok(Self { producer: config.create_with_context(context)?, name, writer })
    }

    /// Puts an event on its way. False when too many bytes are on theirs, or when one before it has failed.
    pub(super) fn send(&self, event: &Envelope) -> Result<bool, KafkaError> {
        let mut key = Uuid::encode_buffer();
        let key: &str = event.key.hyphenated().encode_lower(&mut key);
        let prefix = self.writer.as_ref().and_then(|writer| writer.prefix(&event.kind));
        let framed = prefix.map(|prefix| [prefix, event.data.as_ref()].concat());
        let record =
            BaseRecord::with_opaque_to(&self.name, usize::try_from(event.position).unwrap_or_default())
                .key(key)
                .payload(framed.as_deref().unwrap_or(event.data.as_ref()))
                .headers(wire::headers(event, framed.is_some()));
        if !self.producer.client().context().acks.sent() {
            return Ok(false);
        }
        match self.producer.send(record) {
            Ok(()) => Ok(true),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                self.producer.client().context().acks.unsent();
                Ok(false)
            }
            Err((error, _)) => Err(error),
        }
    }

    /// Takes back what has not left yet. What is under way may still arrive, now or never.
    pub(super) async fn end(self, inner: &Inner) {
        inner.live.end(self.producer).await;
    }
}
