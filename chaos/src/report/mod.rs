//! What happened, as JSON, as HTML, and as a table for the terminal.
//!
//! The page has everything in it: no script, no font, no picture from elsewhere. It draws each experiment's faults over
//! what the clients got and how long it took, with the restarts of actors and processes below.

mod html;
mod model;
mod table;
#[cfg(test)]
mod tests;

use std::{fs, io, path::Path};

pub use html::page;
pub use model::{Course, Machine, Report, Row, Run, Totals, Verdict, timeline};
pub use table::table;

/// Writes `report.json` and `report.html` into a folder. A reader sees the report before or this one, never a half.
pub fn write(report: &Report, folder: &Path) -> io::Result<()> {
    let json = serde_json::to_vec_pretty(report)?;
    for (name, bytes) in [("report.json", json), ("report.html", page(report).into_bytes())] {
        let new = folder.join(format!("{name}.new"));
        fs::write(&new, bytes)?;
        fs::rename(new, folder.join(name))?;
    }
    Ok(())
}
