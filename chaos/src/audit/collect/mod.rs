//! Reads everything that an audit looks at. It only reads: databases as their superuser, topics without a group.
//!
//! Each database is read in one snapshot, one database after the other: what moves between them would look like a
//! contradiction. So logs are looked at before and after; while they move everything is read again, a few times.

mod databases;
mod rows;
mod topics;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use jiff::Timestamp;
use viscount_contracts::Topic;

use super::{
    dataset::{BUSINESS, Dataset},
    verdict::Terms,
};
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
    /// What is to be written down with it: what it will be held to.
    pub terms: Option<Terms>,
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

/// How often everything is read while the platform goes on.
const TRIES: u32 = 5;
/// Between two of these.
const PAUSE: Duration = Duration::from_secs(2);

/// Reads everything. A log that never stood still says so: [`Log::moved`](super::Log::moved).
pub async fn collect(sources: &Sources) -> Result<Dataset, CollectError> {
    let mut tries = 1;
    let mut data = loop {
        let data = read(sources).await?;
        if tries == TRIES || !data.logs.iter().any(|log| BUSINESS.contains(&log.service) && log.moved()) {
            break data;
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    };
    if let Some(path) = &sources.history {
        data.history = history::read(path)?;
    }
    (data.collected_at, data.terms) = (Some(Timestamp::now()), sources.terms);
    Ok(data)
}

/// What is not done yet, as databases and brokers have it, in words.
pub async fn undone(sources: &Sources) -> Result<Vec<String>, CollectError> {
    let mut undone = Vec::new();
    for (database, url) in &sources.databases {
        undone.extend(databases::undone(database, url, sources.brokers.is_some()).await?);
    }
    if let Some(brokers) = &sources.brokers {
        let (brokers, prefix) = (brokers.clone(), sources.topic_prefix.clone());
        let asked = tokio::task::spawn_blocking(move || topics::unfinished(&brokers, &prefix));
        undone.extend(asked.await.map_err(|_| CollectError::BrokenOff)??);
    }
    Ok(undone)
}

async fn read(sources: &Sources) -> Result<Dataset, CollectError> {
    let before = heads(sources).await?;
    let mut data = Dataset::default();
    for (database, url) in &sources.databases {
        databases::read(database, url, &mut data).await?;
    }
    if let Some(brokers) = &sources.brokers {
        let (brokers, prefix) = (brokers.clone(), sources.topic_prefix.clone());
        let read = tokio::task::spawn_blocking(move || topics::read(&brokers, &prefix));
        let topics::Topics { shapes, records } = read.await.map_err(|_| CollectError::BrokenOff)??;
        (data.topics, data.records) = (shapes, records);
    }
    let after = heads(sources).await?;
    for log in &mut data.logs {
        log.head_before = before.get(&log.service).copied();
        log.head_after = after.get(&log.service).copied().unwrap_or(log.head);
    }
    Ok(data)
}

async fn heads(sources: &Sources) -> Result<BTreeMap<Topic, i64>, CollectError> {
    let mut heads = BTreeMap::new();
    for (database, url) in &sources.databases {
        heads.extend(databases::head(database, url).await?);
    }
    Ok(heads)
}
