//! Settings: read, replaced, with a version that only one can take.

use jiff::Timestamp;
use metrics::counter;
use sqlx::PgPool;
use viscount_chassis::{
    store::{self as chassis_store, CommitError, Committer, Entry, NewEvent},
    telemetry::current_traceparent,
};
use viscount_contracts::UserId;

use crate::{
    domain::{ServiceName, Settings},
    metrics::CONFIGURATIONS,
    refusal::Refusal,
    store::{self, Configuration, Projection},
};

/// How often a replacement that fits any version is tried again when others were faster.
const TRIES: usize = 8;

/// Which version must be there for a replacement to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// This one; 0 when nothing was ever set.
    Version(i32),
    /// Some version, whichever.
    Any,
}

/// All settings. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Configurations {
    pool: PgPool,
    committer: Committer<Projection>,
}

impl Configurations {
    /// Those in this database.
    pub fn new(pool: PgPool, committer: Committer<Projection>) -> Self {
        Self { pool, committer }
    }

    /// Where they are kept.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The settings of a service; none when nothing was ever set.
    pub async fn of(&self, service: &ServiceName) -> Result<Option<Configuration>, Refusal> {
        Ok(store::configuration(&self.pool, service).await?)
    }

    /// Replaces the settings of a service.
    pub async fn replace(
        &self,
        service: &ServiceName,
        expected: Expected,
        settings: Settings,
        by: UserId,
    ) -> Result<Configuration, Refusal> {
        for _ in 0..TRIES {
            let version = self.of(service).await?.map_or(0, |configuration| configuration.version);
            match expected {
                Expected::Version(expected) if expected != version => return Err(Refusal::Stale),
                Expected::Any if version == 0 => return Err(Refusal::Stale),
                _ => {}
            }
            let configuration = Configuration {
                service: service.to_string(),
                version: version + 1,
                settings: settings.clone(),
                updated_at: chassis_store::now(),
                updated_by: by,
            };
            let event = store::updated(&configuration);
            let event = NewEvent::new(store::stream_of(service), version + 1, &event, Timestamp::now());
            let entry = Entry {
                events: vec![event.traced(current_traceparent())],
                inbox: None,
                projection: Projection::Configured(Box::new(configuration.clone())),
            };
            match self.committer.commit(entry).await {
                Ok(_) => {
                    counter!(CONFIGURATIONS).increment(1);
                    tracing::info!(of = service.as_str(), version = version + 1, "settings replaced");
                    return Ok(configuration);
                }
                // Looked at again: with a version named, it is stale now.
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Overloaded.into())
    }
}
