//! `report.json` and `report.html`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{html, model::Report};

/// Where a report went.
pub struct Written {
    /// For machines.
    pub json: PathBuf,
    /// For people.
    pub html: PathBuf,
}

/// Makes the folder, and sees whether it can be written to: it would be a pity to learn that after the load.
pub fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let probe = folder.join(".probe");
    fs::write(&probe, b"")?;
    fs::remove_file(&probe)
}

/// Writes both files into this folder, which is made when it is missing.
pub fn write(report: &Report, folder: &Path) -> io::Result<Written> {
    fs::create_dir_all(folder)?;
    let written = Written { json: folder.join("report.json"), html: folder.join("report.html") };
    fs::write(&written.json, serde_json::to_vec_pretty(report)?)?;
    fs::write(&written.html, html::page(report))?;
    Ok(written)
}

/// Reads a `report.json`.
pub fn read(path: &Path) -> Result<Report, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let path = if path.is_dir() { path.join("report.json") } else { path.to_owned() };
    let bytes = fs::read(&path).map_err(|error| told(&error))?;
    let report: Report = serde_json::from_slice(&bytes).map_err(|error| told(&error))?;
    if report.schema != super::model::SCHEMA {
        return Err(told(&format!(
            "its shape is {}, and this program reads {}",
            report.schema,
            super::model::SCHEMA
        )));
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::draft::Draft;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let report = Draft::new("smoke", 7, "http://127.0.0.1:1").finish(true);
        let written = write(&report, &dir.path().join("a/b")).unwrap();
        let again = read(&written.json).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), serde_json::to_value(&report).unwrap());
        assert!(again.meta.partial && written.html.exists());
        read(&dir.path().join("a/b")).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_told_before() {
        let dir = tempfile::tempdir().unwrap();
        prepare(&dir.path().join("a/b")).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("a/b")).unwrap().count(), 0, "nothing is left behind");
        fs::write(dir.path().join("file"), "").unwrap();
        prepare(&dir.path().join("file/b")).unwrap_err();
        prepare(&dir.path().join("file")).unwrap_err();
    }

    #[test]
    fn what_is_not_a_report_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        assert!(read(&path).unwrap_err().contains("x.json"));
        fs::write(&path, "{}").unwrap();
        read(&path).unwrap_err();
        let report = Report { schema: 9, ..Report::default() };
        fs::write(&path, serde_json::to_vec(&report).unwrap()).unwrap();
        assert!(read(&path).unwrap_err().contains("its shape is 9"));
    }
}
