//! What ends a run before there is anything to report.

use crate::client::wire::WireError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// An answer that a run cannot go on with.
    #[error("{what} answered {status}: {body}")]
    Answer {
        /// What was asked.
        what: String,
        /// The status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}
