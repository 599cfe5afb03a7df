//! A failing run as a file: what failed, with which defect, and every decision.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::choice::Step;

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What should never be.
    pub violation: String,
    /// The seed that it was found with; the decisions say all by themselves.
    pub seed: u64,
    /// What was broken on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defect: Option<String>,
    /// The decisions of each step.
    pub steps: Vec<Step>,
}

/// A file that is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be read or written.
    #[error("{path}: {problem}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        problem: std::io::Error,
    },
    /// It is something else.
    #[error("{path} is no record of a run: {problem}")]
    Content {
        /// Which file.
        path: String,
        /// Why.
        problem: serde_json::Error,
    },
}

impl Record {
    /// Reads one.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let shown = || path.display().to_string();
        let text = std::fs::read(path).map_err(|problem| RecordError::File { path: shown(), problem })?;
        serde_json::from_slice(&text).map_err(|problem| RecordError::Content { path: shown(), problem })
    }

    /// Writes it.
    pub fn write(&self, path: &Path) -> Result<(), RecordError> {
        let shown = || path.display().to_string();
        let text =
            serde_json::to_vec(self).map_err(|problem| RecordError::Content { path: shown(), problem })?;
        std::fs::write(path, text).map_err(|problem| RecordError::File { path: shown(), problem })
    }
}
