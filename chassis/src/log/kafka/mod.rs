//! The engine for many processes: Apache Kafka, Redpanda, and whatever else speaks their protocol.
//!
//! - **Out.** The events table stays the truth. A relay for each service (`relay`) publishes it to the service's
//!   topic: one relay at a time over all replicas (`lease`), idempotent, pipelined, in order.
//! - **In.** A member of a group (`member`) or a follower (`follower`) has a thread that polls (`poller`) and
//!   queues that are bounded (`queues`). A group's place is kept by the brokers, after the effect is in the database.
//! - **Letters.** What a service's consumers could not handle is published too (`letters`), for those who watch topics.
//! - **On the wire** an event is a CloudEvent in Kafka's binary mode (`wire`), framed when there is a schema registry
//!   (`registry`).

mod acks;
mod asker;
#[cfg(feature = "kafka-tls")]
mod certificate;
mod config;
mod context;
mod follower;
mod gaps;
mod growth;
mod lease;
mod letters;
mod live;
mod member;
mod murmur2;
mod poller;
mod queues;
mod registry;
mod relay;
mod security;
mod sender;
mod standing;
mod topics;
mod wire;

use std::{sync::Arc, time::Duration};

use rdkafka::error::KafkaError;
use tokio::{runtime::Handle, sync::watch};
use uuid::Uuid;
use viscount_contracts::{DeadLetterTopic, Envelope, Topic};

pub use config::{KafkaConfig, OutOfRange};
pub use registry::{RegistryConfig, RegistryError, SchemaReport};
pub use topics::TopicReport;

use self::{asker::Asker, context::Complaints, live::Live, registry::Registry};
use super::{
    BoxFuture, EmbeddedLog, EventLog, LogError, LogReader, Member, Publisher, RawMessage, Standing, Start,
    Subscription, embedded::Watch,
};
use crate::store::EventStore;

/// How often a relay looks for what other replicas have committed: seldom while they do not, often while they do.
const WATCH: Watch = Watch { idle: Duration::from_millis(100), busy: Duration::from_millis(10) };

/// The engine for many processes.
pub struct KafkaLog {
    inner: Arc<Inner>,
}

struct Inner {
    config: KafkaConfig,
    /// What this process's services commit, from memory, and what others commit, from the tables.
    feed: EmbeddedLog,
    asker: Arc<Asker>,
    complaints: Complaints,
    registry: Option<Arc<Registry>>,
    live: Live,
    stop: watch::Sender<bool>,
    /// Where relays run: they outlive the services whose events they publish.
    runtime: Handle,
}

impl KafkaLog {
    /// An engine on these brokers, whose relays run on the runtime of the caller. It asks the brokers nothing yet: they
    /// may be away.
    pub fn new(config: KafkaConfig) -> Result<Self, LogError> {
        let complaints = Complaints::default();
        let asker = Asker::new(&config, &complaints)
            .map_err(|error| LogError::Refused(security::as_variables(&config::told(&error))))?;
        let runtime = Handle::try_current().map_err(|error| LogError::Refused(error.to_string()))?;
        let stop = watch::Sender::new(false);
        let registry = config.registry.clone().map(|registry| {
            Registry::new(registry, config.prefix.clone(), runtime.clone(), stop.subscribe())
        });
        let inner = Inner {
            registry: registry.transpose()?.map(Arc::new),
            config,
            feed: EmbeddedLog::watching(WATCH),
            asker,
            complaints,
            live: Live::default(),
            stop,
            runtime,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Makes every topic that is missing, and says where the others are not as they should be. Changes nothing.
    pub async fn migrate(&self) -> Result<Vec<TopicReport>, LogError> {
        let mut reports = Vec::with_capacity(Topic::ALL.len() + DeadLetterTopic::ALL.len());
        for topic in Topic::ALL {
            reports.push(topics::report(&self.inner, topic).await?);
        }
        for topic in DeadLetterTopic::ALL {
            reports.push(topics::report(&self.inner, topic).await?);
        }
        Ok(reports)
    }

    /// Registers every schema that is missing, when there is a registry, and says where the others are not as they should
    /// be. Fails with the first that the registry refuses.
    pub async fn register_schemas(&self) -> Result<Vec<SchemaReport>, RegistryError> {
        match &self.inner.registry {
            Some(registry) => registry.migrate().await,
            None => Ok(Vec::new()),
        }
    }
}

impl EventLog for KafkaLog {
    fn publisher(&self, store: EventStore) -> Arc<dyn Publisher> {
        let publisher = self.inner.feed.publisher(store.clone());
        if let Some(topic) = DeadLetterTopic::of(store.topic()) {
            let (inner, pool, living) = (self.inner.clone(), store.pool().clone(), self.inner.live.begin());
            let stop = self.inner.stop.subscribe();
            self.inner.runtime.spawn(async move {
                letters::run(inner, pool, topic, stop).await;
                drop(living);
            });
        }
        let (relay, living) = (self.inner.clone(), self.inner.live.begin());
        let stop = self.inner.stop.subscribe();
        self.inner.runtime.spawn(async move {
            relay::run(relay, store, stop).await;
            drop(living);
        });
        publisher
    }

    fn subscribe(&self, member: Member) -> BoxFuture<'_, Result<Subscription, LogError>> {
        Box::pin(async move { member::join(&self.inner, &member) })
    }

    fn follow(&self, topic: Topic, start: Start) -> BoxFuture<'_, Result<Box<dyn LogReader>, LogError>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            let following = tokio::task::spawn_blocking(move || follower::follow(&inner, topic, start));
            following.await.map_err(|error| LogError::Unavailable(error.to_string()))?
        })
    }

    fn place(
        &self,
        consumer: &'static str,
        topic: Topic,
        published: i64,
    ) -> BoxFuture<'_, Result<Option<i64>, LogError>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            let asked = tokio::task::spawn_blocking(move || {
                standing::place(&inner.config, inner.complaints.clone(), consumer, topic, published)
            });
            asked.await.map_err(|error| LogError::Unavailable(error.to_string()))?.map(Some)
        })
    }

    fn standing(&self, member: Member, key: Uuid) -> BoxFuture<'_, Result<Standing, LogError>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            let asked = tokio::task::spawn_blocking(move || {
                let Member { consumer, topic, .. } = member;
                standing::of_key(&inner.config, inner.complaints.clone(), consumer, topic, key)
            });
            asked.await.map_err(|error| LogError::Unavailable(error.to_string()))?
        })
    }

    fn shares_work(&self) -> bool {
        true
    }

    fn read_again(&self, topic: Topic, message: &RawMessage) -> Result<Envelope, String> {
        let schema = wire::schema_of_kept(self.inner.registry.as_ref(), message);
        let schema = schema.ok_or("the registry has not said yet what its schema is: ask once more")?;
        wire::read_kept(topic, message, &schema)
    }

    fn check(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async {
            self.inner.asker.reachable().await?;
            self.inner.registry.as_ref().and_then(|registry| registry.trouble()).map_or(Ok(()), Err)
        })
    }

    fn close(&self, patience: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.inner.stop.send_replace(true);
            if !self.inner.live.ended(patience).await {
                tracing::warn!("the brokers were left without a word");
            }
        })
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.inner.stop.send_replace(true);
    }
}

fn unavailable(error: KafkaError) -> LogError {
    LogError::Unavailable(config::told(&error))
}
