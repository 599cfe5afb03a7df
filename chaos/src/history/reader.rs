//! Reads a history back, whole or not at all: an auditor must not judge by half of what happened.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use super::Line;

/// A history that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file cannot be opened, read or written.
    #[error("the history {path} cannot be used: {error}", path = path.display())]
    Io {
        /// Where it is.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A line is not one of a history.
    #[error("line {line} of the history {path} cannot be read: {error}", path = path.display())]
    Line {
        /// Where it is.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// The last line has no end: the rig was killed while it wrote.
    #[error("the history {path} breaks off in line {line}", path = path.display())]
    BreaksOff {
        /// Where it is.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// The writer ended before the history was closed.
    #[error("the writer of the history {path} has ended early", path = path.display())]
    WriterEnded {
        /// Where it is.
        path: PathBuf,
    },
}

/// All lines of a history, in the order in which they were written, which is the order of ends.
pub fn read(path: &Path) -> Result<Vec<Line>, HistoryError> {
    let failed = |error| HistoryError::Io { path: path.to_owned(), error };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let (mut lines, mut text) = (Vec::new(), Vec::new());
    loop {
        text.clear();
        if file.read_until(b'\n', &mut text).map_err(failed)? == 0 {
            return Ok(lines);
        }
        let line = lines.len() + 1;
        if text.last() != Some(&b'\n') {
            return Err(HistoryError::BreaksOff { path: path.to_owned(), line });
        }
        let read = serde_json::from_slice(&text);
        lines.push(read.map_err(|error| HistoryError::Line { path: path.to_owned(), line, error })?);
    }
}
