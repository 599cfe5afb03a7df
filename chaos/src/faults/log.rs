//! What became of each step, one JSON object per line.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Happened {
    /// When it began, in seconds after the load did.
    pub at: f64,
    /// When it was undone and over.
    pub until: f64,
    /// The same by the clock.
    pub begun: Timestamp,
    /// The same by the clock.
    pub ended: Timestamp,
    /// Which `[[fault]]` of the experiment, from 0.
    pub fault: usize,
    /// What was done.
    #[serde(rename = "do")]
    pub done: String,
    /// The part or link that it was about.
    pub target: String,
    /// In words.
    pub what: String,
    /// What came of it.
    pub result: Outcome,
    /// Why, or what else there is to say.
    #[serde(default)]
    pub note: String,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It happened, and is undone.
    Done,
    /// A failpoint that no process passed in time.
    NotHit,
    /// It did not happen, or could not be undone.
    Failed,
}

/// `faults.jsonl`.
#[derive(Debug)]
pub struct Log {
    file: Mutex<File>,
}

impl Log {
    /// A new one.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: Mutex::new(File::create(path)?) })
    }

    /// Writes a line. There are a few in a second at the most, so that it is written at once.
    pub(super) fn write(&self, happened: &Happened) -> io::Result<()> {
        let mut line = serde_json::to_vec(happened)?;
        line.push(b'\n');
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
    }
}

/// Reads what was written.
pub fn read(path: &Path) -> io::Result<Vec<Happened>> {
    let lines = BufReader::new(File::open(path)?).lines();
    lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}
