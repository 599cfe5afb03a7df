//! How many instructions a scenario takes: this very program again, under valgrind's callgrind.
//!
//! Callgrind counts what the program does between entering and leaving [`measured_by_callgrind`], and nothing of
//! starting up, preparing and warming up. What it leaves in its output file can be looked into with
//! `callgrind_annotate`.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Run, Scenario};

/// How often a scenario is done before it counts, so that nothing is counted that happens once.
const WARM_UP: u64 = 200;
/// How often it is done while it counts.
const TIMES: u64 = 1_000;

/// Why nothing was counted.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// valgrind cannot be started.
    #[error("valgrind cannot be started ({0}); on Debian and Ubuntu: apt-get install valgrind")]
    Valgrind(io::Error),
    /// The scenario, or valgrind itself, has failed.
    #[error("{scenario} failed under callgrind:\n{said}")]
    Failed {
        /// Which.
        scenario: &'static str,
        /// What was said on stderr.
        said: String,
    },
    /// A file could not be written or read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// callgrind's file does not say how many.
    #[error("{} has no total above zero", .0.display())]
    NoTotal(PathBuf),
}

/// The part of a run that counts. Its name is the handle that callgrind knows it by.
#[inline(never)]
pub fn measured_by_callgrind(run: &mut Run, times: u64) {
    run(std::hint::black_box(times));
    // Not a tail call: this function must be on the stack until the run is over.
    std::hint::black_box(times);
}

/// What is done under callgrind.
pub fn be_counted(scenario: &Scenario) {
    let mut run = (scenario.prepare)();
    run(WARM_UP);
    measured_by_callgrind(&mut run, TIMES);
}

/// Counts the instructions of one time. `program`, called with `arguments` and the scenario's name, must end up in
/// [`be_counted`]; callgrind's output is kept in `folder`.
pub fn count(
    scenario: &Scenario,
    program: &Path,
    arguments: &[&str],
    folder: &Path,
) -> Result<u64, CountError> {
    let in_file = |path: &Path, error| CountError::File { path: path.to_owned(), error };
    fs::create_dir_all(folder).map_err(|error| in_file(folder, error))?;
    let path = folder.join(format!("{}.out", scenario.name));
    let mut out = OsString::from("--callgrind-out-file=");
    out.push(&path);
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*measured_by_callgrind*"])
        .arg(out)
        .arg(program)
        .args(arguments)
        .arg(scenario.name)
        .stdin(Stdio::null())
        .output()
        .map_err(CountError::Valgrind)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(CountError::Failed { scenario: scenario.name, said });
    }
    let text = fs::read_to_string(&path).map_err(|error| in_file(&path, error))?;
    total(&text).filter(|total| *total > 0).map(|total| total / TIMES).ok_or(CountError::NoTotal(path))
}

/// The figure of the line `totals: 123` (or `summary:`) of callgrind's output.
fn total(text: &str) -> Option<u64> {
    let figure = |line: &str| {
        let figure = line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:"))?;
        figure.split_whitespace().next()?.parse().ok()
    };
    text.lines().rev().find_map(figure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found() {
        assert_eq!(total("events: Ir\nsummary: 12\n\nfn=(1) main\n0 12\n\ntotals: 34\n"), Some(34));
        assert_eq!(total("events: Ir\nsummary: 12\n"), Some(12));
        assert_eq!(total("events: Ir\n"), None);
    }
}
