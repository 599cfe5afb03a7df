//! What can go wrong with a private broker; each message is one line that says what can be done.

use std::path::{Path, PathBuf};

/// Why the private broker could not be fetched or started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevKafkaError {
    /// A file or folder could not be used.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program is missing.
    #[error(
        "tests on a real Kafka need {program}: install a JDK (17 or newer) and Maven (Debian, Ubuntu: apt install \
         openjdk-17-jre-headless maven; macOS: brew install openjdk maven), or leave these tests out with \
         VISCOUNT_WITHOUT_KAFKA=1"
    )]
    Missing {
        /// Which.
        program: &'static str,
    },
    /// The broker's jars, or the registry, could not be fetched.
    #[error("fetching Apache Kafka or the schema registry from Maven Central failed: {0}")]
    Fetch(String),
    /// The broker or the registry did not come up.
    #[error("kafka or the schema registry did not start: {0}")]
    Start(String),
}

impl DevKafkaError {
    /// For `map_err` on file operations.
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
