//! Clocks that go wrong while a process runs: a file for each part says how wrong.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    experiment::{Action, Step},
    platform::{Plan, faketime},
};

/// Where the files are, in the folder of the run.
const FOLDER: &str = "clocks";

/// Has the parts whose clock will be off start with a clock that can be. Nothing happens when no step is about clocks.
///
/// # Errors
/// When the library that this takes is not installed, or the folder cannot be written. Then the experiment cannot be run.
pub fn prepare(steps: &[Step], plan: &mut Plan, folder: &Path) -> io::Result<()> {
    let parts: Vec<&str> = steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Clock { part, .. } => Some(part.as_str()),
            _ => None,
        })
        .collect();
    if parts.is_empty() {
        return Ok(());
    }
    let library = faketime::library()
        .ok_or_else(|| io::Error::other("clocks can jump with libfaketime alone: apt install libfaketime"))?;
    std::fs::create_dir_all(folder.join(FOLDER))?;
    // A file is found by processes that have another working directory.
    let folder = folder.canonicalize()?;
    let waits = faketime::waits(&folder.join(FOLDER))?;
    for part in parts {
        let own = plan.own.entry(part.to_owned()).or_default();
        if own.iter().any(|(name, _)| name == "LD_PRELOAD") {
            continue;
        }
        let file = file(&folder, part);
        set(&folder, part, 0)?;
        own.extend(
            faketime::variables(&waits, &library, &file).map(|(name, value)| (name.to_owned(), value)),
        );
    }
    Ok(())
}

/// A part's clock is so many seconds off, within a second.
pub(super) fn set(folder: &Path, part: &str, shift: i64) -> io::Result<()> {
    let file = file(folder, part);
    // In one go, so that nobody reads half of it.
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{shift:+}\n"))?;
    std::fs::rename(new, file)
}

fn file(folder: &Path, part: &str) -> PathBuf {
    folder.join(FOLDER).join(part)
}
