//! The schema registry: says which schema a message was written with.
//!
//! - A **relay** needs the id of its own schema before it publishes. It registers the schema, or looks it up, whenever it
//!   begins; once the id is in memory, the registry may be away (`writer`).
//! - A **reader** needs to know what an id stands for. What it does not know yet is asked in the background, for as long
//!   as it takes, while the reader's partition waits; an outage here is never the message's fault ([`Registry::look`]).
//!
//! A subject is named after its topic (Confluent's TopicNameStrategy) and has the whole `.proto` file; what that
//! imports has a subject by the import's name. Behind `KAFKA_TOPIC_PREFIX` are both.

mod client;
mod config;
mod described;
mod error;
pub(super) mod frame;
mod placed;
mod writer;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use metrics::counter;
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, sleep},
};
use viscount_contracts::Topic;

pub use config::RegistryConfig;
pub(super) use described::Described;
pub use error::RegistryError;
pub use placed::SchemaReport;
pub(super) use writer::Writer;

use client::Client;

use crate::log::LogError;

/// How many ids are remembered: each release of each service has one.
const REMEMBERED: u64 = 1_000;
/// How long it is remembered that there is no such schema: somebody may register it after all.
const UNKNOWN_FOR: Duration = Duration::from_secs(30);
/// How often "there is no such schema" has to be heard before it is believed, and the pause between: a registry of
/// several processes may be behind for a moment.
const DENIALS: u32 = 2;
const AGAIN: Duration = Duration::from_millis(250);
/// The first and the longest pause after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often the same outage is told.
const TELL: Duration = Duration::from_secs(30);

/// What is known of the schema that a message bears.
pub(super) enum Schema {
    /// Nobody has to check it.
    Unchecked,
    /// This.
    Known(Arc<Described>),
    /// The registry says that there is none.
    Unknown(u32),
}

/// The registry, and what it has said.
pub(super) struct Registry {
    client: Client,
    auto_register: bool,
    /// Stands before the names of topics and subjects.
    prefix: String,
    writers: Mutex<BTreeMap<Topic, Arc<Writer>>>,
    known: Cache<u32, Arc<Described>>,
    unknown: Cache<u32, ()>,
    /// At most one id for each partition that is read here.
    asked: Mutex<BTreeSet<u32>>,
    /// What has to wait for the registry, and why.
    trouble: Mutex<BTreeMap<String, String>>,
    runtime: Handle,
    stop: watch::Receiver<bool>,
}

impl Registry {
    /// A registry that is asked from this runtime until it is to stop. Nobody is asked yet: it may be away.
    pub(super) fn new(
        config: RegistryConfig,
        prefix: String,
        runtime: Handle,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, LogError> {
        Ok(Self {
            auto_register: config.auto_register,
            client: Client::new(config).map_err(LogError::Refused)?,
            prefix,
            writers: Mutex::default(),
            known: Cache::new(REMEMBERED),
            unknown: Cache::builder().max_capacity(REMEMBERED).time_to_live(UNKNOWN_FOR).build(),
            asked: Mutex::default(),
            trouble: Mutex::default(),
            runtime,
            stop,
        })
    }

    /// What an id stands for. Nothing as long as the registry has not said it; then it is being asked.
    pub(super) fn look(self: &Arc<Self>, id: u32) -> Option<Schema> {
        if let Some(described) = self.known.get(&id) {
            return Some(Schema::Known(described));
        }
        if self.unknown.contains_key(&id) {
            return Some(Schema::Unknown(id));
        }
        if self.asked.lock().insert(id) {
            let registry = self.clone();
            self.runtime.spawn(async move {
                let mut stop = registry.stop.clone();
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => {}
                    () = registry.find_out(id) => {}
                }
                registry.asked.lock().remove(&id);
            });
        }
        None
    }

    /// Why something has to wait for the registry, if anything has.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock();
        trouble.iter().next().map(|(what, why)| format!("{what} waits: {why}"))
    }

    /// The name under which a topic's schema is registered.
    fn subject(&self, topic: Topic) -> String {
        format!("{}{}-value", self.prefix, topic.name())
    }

    /// Asks until there is an answer.
    async fn find_out(&self, id: u32) {
        let what = format!("reading schema {id}");
        let (mut denials, mut failures, mut told) = (0, 0, None::<Instant>);
        loop {
            match self.describe(id).await {
                Ok(Some(described)) => {
                    self.known.insert(id, Arc::new(described));
                    break;
                }
                Ok(None) => {
                    denials += 1;
                    if denials == DENIALS {
                        self.unknown.insert(id, ());
                        break;
                    }
                    sleep(AGAIN).await;
                }
                Err(error) => {
                    if told.is_none_or(|told| told.elapsed() > TELL) {
                        tracing::warn!(schema = id, %error, "reading has to wait for the schema registry");
                        told = Some(Instant::now());
                    }
                    counter!(crate::metrics::SCHEMA_REGISTRY_FAILURES_TOTAL).increment(1);
                    self.trouble.lock().insert(what.clone(), error.to_string());
                    failures += 1;
                    sleep(pause(failures)).await;
                }
            }
        }
        self.trouble.lock().remove(&what);
    }

    async fn describe(&self, id: u32) -> Result<Option<Described>, RegistryError> {
        let Some(text) = self.client.text(id).await? else { return Ok(None) };
        let subjects = self.client.subjects(id).await?;
        Ok(Some(Described::of(id, &text, &subjects, |topic| self.subject(topic))))
    }
}

/// Doubles from the first pause to the longest, with up to half taken off by chance.
fn pause(failures: u32) -> Duration {
    let (first, longest) = BACKOFF;
    let full = first.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(longest);
    full.mul_f64(rand::random_range(0.5..1.0))
}
