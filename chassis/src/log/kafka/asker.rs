//! Questions to the brokers, and why they are not answered.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    admin::AdminClient,
    client::Client,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{Producer as _, ThreadedProducer},
};
use tokio::runtime::Handle;
use viscount_contracts::Topic;

use super::{KafkaConfig, context::Complaints, unavailable};
use crate::log::LogError;

/// How long the brokers may take to show that they are there: less than a check of readiness may.
const PROBE: Duration = Duration::from_millis(600);

/// Asks the brokers. It is a producer that produces nothing: of all clients of the library the one that hears of its
/// connections on a thread of its own, and joins no group.
pub(super) struct Asker {
    config: KafkaConfig,
    client: ThreadedProducer<Complaints>,
    complaints: Complaints,
}

impl Asker {
    /// Asks nothing yet. An error means that the settings fit no client.
    pub(super) fn new(config: &KafkaConfig, complaints: &Complaints) -> Result<Arc<Self>, KafkaError> {
        let client = config.asker().create_with_context(complaints.clone())?;
        Ok(Arc::new(Self { config: config.clone(), client, complaints: complaints.clone() }))
    }

    /// Asks aside: the library's questions block.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Client<Complaints>) -> T + Send + 'static,
    ) -> Result<T, LogError> {
        let asker = self.clone();
        let asked = tokio::task::spawn_blocking(move || question(asker.client.client())).await;
        asked.map_err(|error| LogError::Unavailable(error.to_string()))
    }

    /// Makes or describes topics, aside, with a client for this one request: nobody listens to what such a client
    /// hears of its connections, so none is kept. The request brings its own limit in time.
    pub(super) async fn administer<T: Send + 'static>(
        self: &Arc<Self>,
        request: impl FnOnce(&AdminClient<Complaints>, &Handle) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (asker, runtime) = (self.clone(), Handle::current());
        let asked = tokio::task::spawn_blocking(move || {
            let admin = asker.config.asker().create_with_context(asker.complaints.clone());
            request(&admin.map_err(unavailable)?, &runtime)
        });
        asked.await.map_err(|error| LogError::Unavailable(error.to_string()))?
    }

    /// Whether the brokers answer; if not, why, in one line without secrets.
    pub(super) async fn reachable(self: &Arc<Self>) -> Result<(), String> {
        let topic = self.config.topic(Topic::Orders);
        let asked = self.ask(move |client| client.fetch_metadata(Some(&topic), PROBE).map(drop)).await;
        match asked {
            Ok(Ok(())) => {
                self.complaints.settle();
                Ok(())
            }
            Ok(Err(error)) => Err(self.why(&error).await),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn why(&self, error: &KafkaError) -> String {
        let Some((kind, reason)) = self.complaints.latest() else { return error.to_string() };
        match kind {
            Some(RDKafkaErrorCode::SSL) => self.fault(&reason).await.unwrap_or(reason),
            _ => reason,
        }
    }

    #[cfg(feature = "kafka-tls")]
    async fn fault(&self, reason: &str) -> Option<String> {
        super::certificate::fault(reason, self.config.authorities()?).await
    }

    #[cfg(not(feature = "kafka-tls"))]
    async fn fault(&self, _: &str) -> Option<String> {
        None
    }
}
