//! Reads everything that an audit looks at. It only reads: databases as their superuser, topics without a group.
//!
//! Each database is read in one snapshot. The platform has to be at rest: databases are read one after the other, and what
//! moves between them would look like a contradiction.

mod databases;
mod rows;
mod topics;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use jiff::Timestamp;

use super::dataset::Dataset;
use crate::history::{self, HistoryError};

/// Where an audit reads.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Addresses of the databases, by their names: [`Sources::DATABASES`]. One that is not there is not looked at.
    pub databases: BTreeMap<String, String>,
    /// `host:port` of the brokers, where there are some.
    pub brokers: Option<String>,
    /// What stands before the names of topics.
    pub topic_prefix: String,
    /// The clients' history: [`history::Line`]s as JSON, one per line. None is an empty one.
    pub history: Option<PathBuf>,
}

impl Sources {
    /// The names of the databases; the last one is the provider simulator's, whose books are its own.
    pub const DATABASES: [&str; 7] = [
        "product_catalog_db",
        "inventory_db",
        "order_db",
        "payment_db",
        "identity_db",
        "platform_coordination_db",
        "payment_simulator_db",
    ];

    /// All databases, each found by `url`.
    pub fn found_by(url: impl Fn(&str) -> String) -> Self {
        let databases = Self::DATABASES.iter().map(|name| ((*name).to_owned(), url(name))).collect();
        Self { databases, ..Self::default() }
    }
}

/// What cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// A database.
    #[error("the database {database}: {error}")]
    Database {
        /// Which.
        database: String,
        /// What is wrong.
        error: sqlx::Error,
    },
    /// A database did not answer in time.
    #[error("the database {database} has not been read within {} s", within.as_secs())]
    DatabaseLate {
        /// Which.
        database: String,
        /// The time that it had.
        within: Duration,
    },
    /// The brokers.
    #[error("the topic {topic}: {problem}")]
    Topic {
        /// Which.
        topic: String,
        /// What is wrong.
        problem: String,
    },
    /// The clients' history.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Nobody waits for it any more.
    #[error("the reading of the topics broke off")]
    BrokenOff,
}

/// Reads everything.
pub async fn collect(sources: &Sources) -> Result<Dataset, CollectError> {
    let mut data = Dataset::default();
    for (database, url) in &sources.databases {
        databases::read(database, url, &mut data).await?;
    }
    if let Some(brokers) = &sources.brokers {
        let (brokers, prefix) = (brokers.clone(), sources.topic_prefix.clone());
        let read = tokio::task::spawn_blocking(move || topics::read(&brokers, &prefix));
        let topics::Topics { shapes, records } = read.await.map_err(|_| CollectError::BrokenOff)??;
        (data.topics, data.records) = (shapes, records);
        for (database, url) in &sources.databases {
            databases::heads_again(database, url, &mut data).await?;
        }
    }
    if let Some(path) = &sources.history {
        data.history = history::read(path)?;
    }
    data.collected_at = Some(Timestamp::now());
    Ok(data)
}
