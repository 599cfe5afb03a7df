//! A broker, topics of one's own on it, and replicas of services around it.

use std::sync::Arc;

use viscount_chassis::{
    devkafka::testing::{prefix, test_brokers},
    log::{
        EventLog,
        kafka::{KafkaConfig, KafkaLog},
    },
};

use crate::bed::Bed;

/// One test's share of a broker.
pub struct Hall {
    pub config: KafkaConfig,
}

impl Hall {
    /// On the broker that all tests share.
    pub async fn shared() -> Self {
        Self::on(&test_brokers().await)
    }

    /// On these brokers.
    pub fn on(brokers: &str) -> Self {
        let mut config = KafkaConfig::new(brokers);
        config.prefix = prefix();
        config.session_timeout_ms = 2_000;
        Self { config }
    }

    /// The engine as a process of its own has it.
    pub fn log(&self) -> Arc<dyn EventLog> {
        Arc::new(KafkaLog::new(self.config.clone()).unwrap())
    }

    /// A publishing service.
    pub async fn bed(&self) -> Bed {
        Bed::on(self.log()).await
    }
}
