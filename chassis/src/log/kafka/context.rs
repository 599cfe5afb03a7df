//! What the library tells about its connections: to the log, at a decent rate.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{client::ClientContext, config::RDKafkaLogLevel, error::KafkaError};

/// How often at most an outage is told.
const PACE: Duration = Duration::from_secs(30);

/// Tells of outages, not too often: every client of a process notices the same one, again and again.
#[derive(Clone, Default)]
pub(super) struct Complaints(Arc<Mutex<Option<Instant>>>);

impl ClientContext for Complaints {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "kafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut last = self.0.lock();
        if last.is_none_or(|last| last.elapsed() >= PACE) {
            *last = Some(Instant::now());
            tracing::warn!(%error, reason, "the brokers cannot be reached as wished; trying on");
        }
    }
}
