//! What can go wrong with a private server; each message is one line that says what to do where something can
//! be done.

use std::path::{Path, PathBuf};

/// Why the private PostgreSQL could not be started, stopped or set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevPgError {
    /// A file or folder could not be used.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No binaries were found and none could be fetched.
    #[error(
        "no PostgreSQL {wanted} to run: {reason}; install it (Debian, Ubuntu: apt install postgresql), \
         point VISCOUNT_PG_BIN at its bin folder, or set DATABASE_URL to a server"
    )]
    NoBinaries {
        /// Which versions would do.
        wanted: String,
        /// What was tried.
        reason: String,
    },
    /// Another living process owns this folder.
    #[error("{data_dir} is in use by process {owner}; stop it first or choose another data folder")]
    InUse {
        /// The folder asked for.
        data_dir: PathBuf,
        /// Process id of its owner.
        owner: String,
    },
    /// Started as root, and no way out of it.
    #[error("{0}")]
    Account(String),
    /// The cluster could not be made.
    #[error("initdb failed: {0}")]
    InitDb(String),
    /// The password file of an existing cluster is gone.
    #[error("{0} is missing, so nobody can log in; remove the data folder to begin anew")]
    NoPassword(PathBuf),
    /// The server did not come up.
    #[error("postgres did not start: {0}")]
    Start(String),
    /// The server did not stop.
    #[error("postgres did not stop: {0}")]
    Stop(String),
    /// A statement on the server failed.
    #[error("{doing}: {source}")]
    Sql {
        /// What was being done.
        doing: String,
        /// What the driver or server said.
        source: sqlx::Error,
    },
    /// A database URL that cannot be understood.
    #[error("not a PostgreSQL url: {0}")]
    Url(String),
}

impl DevPgError {
    /// For `map_err` on file operations.
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// For `map_err` on statements.
    pub(super) fn sql(doing: impl Into<String>) -> impl FnOnce(sqlx::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Sql { doing, source }
    }
}
