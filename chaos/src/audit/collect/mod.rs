//! Reads everything that an audit looks at. It only reads: databases as their superuser, topics without a group.
//!
//! Each database is read in one snapshot. The platform has to be at rest: databases are read one after the other, and what
//! moves between them would look like a contradiction.

mod databases;
mod rows;
mod topics;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader},
    path::PathBuf,
    time::Duration,
};

use jiff::Timestamp;

use super::dataset::Dataset;
use crate::history::Line;

/// Where an audit reads.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Addresses of the databases, by their names: [`Sources::DATABASES`]. One that is not there is not looked at.
    pub databases: BTreeMap<String, String>,
    /// `host:port` of the brokers, where there are some.
    pub brokers: Option<String>,
    /// What stands before the names of topics.
    pub topic_prefix: String,
    /// The clients' history: [`Line`]s as JSON, one per line. None is an empty one.
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
    /// The history's file.
    #[error("the history {path:?}: {error}")]
    History {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        error: io::Error,
    },
    /// A line of the history.
    #[error("line {line} of the history {path:?}: {error}")]
    HistoryLine {
        /// Where.
        path: PathBuf,
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        error: serde_json::Error,
    },
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
    data.history = history(sources)?;
    data.collected_at = Some(Timestamp::now());
    Ok(data)
}

/// The clients' history. A last line without an end was being written when the rig was killed: it is left out.
fn history(sources: &Sources) -> Result<Vec<Line>, CollectError> {
    let Some(path) = &sources.history else { return Ok(Vec::new()) };
    let broken = |error| CollectError::History { path: path.clone(), error };
    let mut source = BufReader::new(File::open(path).map_err(broken)?);
    let (mut lines, mut text) = (Vec::new(), String::new());
    for number in 1.. {
        text.clear();
        if source.read_line(&mut text).map_err(broken)? == 0 {
            break;
        }
        match serde_json::from_str(&text) {
            Ok(line) => lines.push(line),
            Err(_) if !text.ends_with('\n') => break,
            Err(_) if text.trim().is_empty() => {}
            Err(error) => {
                return Err(CollectError::HistoryLine { path: path.clone(), line: number, error });
            }
        }
    }
    Ok(lines)
}
