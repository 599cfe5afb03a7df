//! A schema registry, and who looks at the bytes that go over the wire.

use std::time::Duration;

use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer},
    message::{Header, Headers, OwnedHeaders, OwnedMessage},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde_json::{Value, json};
use uuid::Uuid;
use viscount_chassis::{
    devkafka::testing::test_registry,
    log::{
        EventLog,
        kafka::{KafkaLog, RegistryConfig},
    },
    store::{Committer, CommitterSpec, EventStore},
    testing::EventsOnly,
};
use viscount_contracts::Topic;

use super::hall::{Hall, PATIENCE};
use crate::bed::Bed;

impl Hall {
    /// On the broker and the registry that all tests share.
    pub async fn with_registry() -> Self {
        Self::shared().await.and_registry(&test_registry().await)
    }

    /// The same hall with this registry.
    pub fn and_registry(mut self, urls: &str) -> Self {
        self.config.registry = Some(RegistryConfig::new(urls).unwrap());
        self
    }

    pub fn kafka_log(&self) -> KafkaLog {
        KafkaLog::new(self.config.clone()).unwrap()
    }

    /// The subject of the orders topic.
    pub fn subject(&self) -> String {
        format!("{}-value", self.topic())
    }

    /// All that is on the orders topic, which has so many messages.
    pub fn raw(&self, count: usize) -> Vec<OwnedMessage> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.config.brokers)
            .set("group.id", format!("{}raw", self.config.prefix))
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        consumer.subscribe(&[&self.topic()]).unwrap();
        let since = std::time::Instant::now();
        let mut messages = Vec::new();
        while messages.len() < count {
            assert!(since.elapsed() < PATIENCE, "{} of {count} messages came", messages.len());
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                messages.push(message.detach());
            }
        }
        messages
    }

    /// Sends a value with these headers, as a producer that is none of ours.
    pub fn send(&self, headers: OwnedHeaders, value: &[u8]) {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &self.config.brokers).create().unwrap();
        let topic = self.topic();
        let record = BaseRecord::<str, [u8]>::to(&topic).key("any").payload(value).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(Duration::from_secs(10)).unwrap();
    }
}

/// A header's value.
pub fn header<'a>(message: &'a OwnedMessage, name: &str) -> Option<&'a str> {
    let found = message.headers()?.iter().find(|header| header.key == name)?;
    std::str::from_utf8(found.value?).ok()
}

/// A message's headers with another kind, and a position that nobody else has.
pub fn copied(message: &OwnedMessage, kind: &str, position: i64) -> OwnedHeaders {
    let (position, mut copy) = (position.to_string(), OwnedHeaders::new());
    for Header { key, value } in message.headers().unwrap().iter() {
        let value = match key {
            "ce_type" => Some(kind.as_bytes()),
            "ce_position" => Some(position.as_bytes()),
            _ => value,
        };
        copy = copy.insert(Header { key, value });
    }
    copy
}

/// The publishing service of a bed in another process.
pub fn publishing(bed: &Bed, log: &dyn EventLog) -> Committer<()> {
    let store = EventStore::new(Topic::Orders, bed.pool.clone());
    let publisher = log.publisher(store.clone());
    let spec = CommitterSpec::default();
    Committer::start(&bed.tree, store, bed.pool.clone(), publisher, EventsOnly::default(), spec)
}

/// Speaks with the registry past our own client.
pub struct Registrar(pub String);

impl Registrar {
    pub async fn register(&self, subject: &str, schema: &str, import: Option<(&str, &str)>) -> u64 {
        let references: Vec<Value> = import
            .iter()
            .map(|(name, subject)| json!({ "name": name, "subject": subject, "version": 1 }))
            .collect();
        let body = json!({ "schemaType": "PROTOBUF", "schema": schema, "references": references });
        let subject = subject.replace('/', "%2F");
        let answer = self.ask("POST", &format!("subjects/{subject}/versions"), body).await;
        answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }

    pub async fn set_level(&self, subject: &str, level: &str) {
        self.ask("PUT", &format!("config/{subject}"), json!({ "compatibility": level })).await;
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}/{path}", self.0);
        reqwest::Client::new().request(method, url).json(&body).send().await.unwrap().json().await.unwrap()
    }
}

/// A key for one event.
pub fn key() -> Uuid {
    Uuid::now_v7()
}
