//! What can go wrong with a platform under test; each message names the part and says why.

use std::{path::PathBuf, process::ExitStatus, time::Duration};

use super::Part;

/// Why the platform is not as it should be. None of these is a verdict on a promise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// The program under test cannot be found, or is not one that can be tested.
    #[error("{0}")]
    Program(String),
    /// The plan asks for what there is not.
    #[error("{0}")]
    Plan(String),
    /// A file or folder could not be used.
    #[error("cannot use {path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A proxy could not be started.
    #[error("the proxy before {link} did not start: {source}")]
    Proxy {
        /// Which.
        link: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A process could not be started at all.
    #[error("{part} cannot be started: {source}")]
    Spawn {
        /// Which.
        part: Part,
        /// What the system said.
        source: std::io::Error,
    },
    /// A process has ended where it should run.
    #[error("{part} has ended ({status}); it said: {said}")]
    Ended {
        /// Which.
        part: Part,
        /// How.
        status: ExitStatus,
        /// The end of its log.
        said: String,
    },
    /// A part did not become ready.
    #[error("{part} was not ready within {within:?}; it said: {said}")]
    NotReady {
        /// Which.
        part: Part,
        /// How long it had.
        within: Duration,
        /// The end of its log.
        said: String,
    },
    /// A process does not end.
    #[error("{0} does not end")]
    DoesNotEnd(Part),
    /// A process could not be signalled.
    #[error("{part} cannot be signalled: {source}")]
    Signal {
        /// Which.
        part: Part,
        /// What the system said.
        source: std::io::Error,
    },
    /// No part and no group has this name.
    #[error("there is no part {name}; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A small volume cannot be had here.
    #[error("no volume of its own for {part}: {why}")]
    NoVolume {
        /// Whose.
        part: Part,
        /// Why not.
        why: String,
    },
    /// A command on the platform failed.
    #[error("viscount {command}: {said}")]
    Command {
        /// Its name.
        command: String,
        /// What it said.
        said: String,
    },
    /// The platform was stopped.
    #[error("the platform is stopped")]
    Stopped,
    /// Something was still there after everything was stopped. It is gone now.
    #[error("left behind, and ended now: {0}")]
    LeftBehind(String),
}

impl PlatformError {
    /// For `map_err` on file operations.
    pub(super) fn folder(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Folder { path, source }
    }
}
