//! The producer of letters.

use std::time::Duration;

use rdkafka::{
    client::ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseRecord, ProducerContext, ThreadedProducer},
};
use tokio::sync::oneshot;
use viscount_contracts::DeadLetterTopic;

use super::wire::Outgoing;
use crate::log::kafka::{Inner, context::Complaints};

/// How long a letter may be on its way. Then its row waits, and nothing behind it is held up.
const PATIENCE: Duration = Duration::from_secs(10);

type Answer = Result<(), KafkaError>;

/// Sends letters, and hears of each whether it has arrived.
pub(super) struct Post {
    producer: ThreadedProducer<Context>,
    name: String,
}

/// Hears of one letter.
pub(super) struct Receipt(oneshot::Receiver<Answer>);

struct Context(Complaints);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<oneshot::Sender<Answer>>;

    fn delivery(&self, result: &DeliveryResult<'_>, sender: Box<oneshot::Sender<Answer>>) {
        let answer = result.as_ref().map(drop).map_err(|(error, _)| error.clone());
        // Who does not wait any more asks the table again.
        let _ = sender.send(answer);
    }
}

impl Post {
    /// A producer for this topic.
    pub(super) fn open(inner: &Inner, topic: DeadLetterTopic) -> Result<Self, KafkaError> {
        let mut config = inner.config.producer();
        config.set("message.max.bytes", DeadLetterTopic::SPEC.max_message_bytes.to_string());
        config.set("message.timeout.ms", PATIENCE.as_millis().to_string());
        let producer = config.create_with_context(Context(inner.complaints.clone()))?;
        Ok(Self { producer, name: inner.config.prefixed(topic.name()) })
    }

    /// Puts a letter on its way.
    pub(super) fn send(&self, Outgoing { key, value, headers }: Outgoing) -> Result<Receipt, KafkaError> {
        let (sender, receiver) = oneshot::channel();
        // Its time is now: the topic keeps letters for so many days from here on.
        let record = BaseRecord {
            topic: &self.name,
            partition: None,
            key: key.as_deref(),
            payload: value.as_deref(),
            timestamp: None,
            headers: Some(headers),
            delivery_opaque: Box::new(sender),
        };
        self.producer.send(record).map_err(|(error, _)| error)?;
        Ok(Receipt(receiver))
    }

    /// Takes back what has not left yet.
    pub(super) async fn close(self, inner: &Inner) {
        inner.live.end(self.producer).await;
    }
}

impl Receipt {
    /// Waits until the brokers have it, or will not have it.
    pub(super) async fn arrived(self) -> Answer {
        let gone = Err(KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue));
        self.0.await.unwrap_or(gone)
    }
}
