//! A producer that loses nothing and keeps its order, or says so.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext},
};

/// How long the brokers may take to acknowledge what is under way.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait for room in the queue.
const ROOM: Duration = Duration::from_millis(20);

/// What became of what was sent.
#[derive(Default)]
struct Told {
    acknowledged: AtomicU64,
    failed: Mutex<Option<String>>,
}

#[derive(Clone, Default)]
struct Ears(Arc<Told>);

impl ClientContext for Ears {
    // Complaints of the library are told by what fails because of them.
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Ears {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.0.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, message)) => {
                let mut failed = self.0.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert_with(|| format!("{}: {error}", message.topic()));
            }
        }
    }
}

/// A message to send. `partition` is where its like are; the key decides when absent.
pub(super) struct Outgoing<'a> {
    pub topic: &'a str,
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: OwnedHeaders,
}

/// Sends messages in their order.
pub(super) struct Sender {
    producer: BaseProducer<Ears>,
    ears: Ears,
}

impl Sender {
    pub fn new(brokers: &str) -> Result<Self, String> {
        let ears = Ears::default();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("client.id", "viscount-chaos")
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", PATIENCE.as_millis().to_string())
            .set("queue.buffering.max.messages", "20000")
            .create_with_context(ears.clone())
            .map_err(|error| error.to_string())?;
        Ok(Self { producer, ears })
    }

    /// Sends one; waits while too many are under way.
    pub fn send(&self, message: Outgoing<'_>) -> Result<(), String> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(message.topic).headers(message.headers);
        record.partition = message.partition;
        record.key = message.key;
        record.payload = message.value;
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(ROOM);
                }
                Err((error, _)) => return Err(error.to_string()),
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Waits until all are acknowledged; gives how many.
    pub fn finish(self) -> Result<u64, String> {
        self.producer.flush(PATIENCE).map_err(|error| error.to_string())?;
        let told = &self.ears.0;
        match told.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(why) => Err(why),
            None => Ok(told.acknowledged.load(Ordering::Relaxed)),
        }
    }
}
