//! Why keys cannot be used: each error is one line that names the file and says what to do.

use std::{io, path::PathBuf};

/// Something is wrong with the keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file or the directory cannot be read or written.
    #[error("{}: {problem}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        problem: io::Error,
    },
    /// A file is there, but not with what it should hold.
    #[error(
        "{}: {problem}; restore it from a backup, or remove the directory to make new keys (every token becomes invalid)",
        path.display()
    )]
    Corrupt {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The random numbers or the arithmetic failed.
    #[error("the crypto library failed")]
    Crypto,
    /// A token whose expiry is no point in time.
    #[error("the token's expiry is out of range")]
    Expiry,
    /// A token could not be signed.
    #[error(transparent)]
    Sign(#[from] viscount_chassis::auth::SignError),
}

impl KeyError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |problem| Self::Io { path, problem }
    }
}
