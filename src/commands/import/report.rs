//! What a person is told: a summary, and a file with everything that was refused.

use std::{
    fmt,
    io::{self, Write},
    path::Path,
};

use super::reading::{Reading, Refused};
use crate::failure::Failure;

/// What came of an import.
#[derive(Debug, Default)]
pub struct Summary {
    /// Products that are new in the shop.
    pub made: usize,
    /// Products whose sku was in the shop already.
    pub already_there: usize,
    /// Products that the shop does not take, and why.
    pub refused: Vec<Refused>,
    /// How long it took.
    pub seconds: f64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} products made, {} already there", self.made, self.already_there)?;
        if !self.refused.is_empty() {
            write!(f, ", {} refused by the shop", self.refused.len())?;
        }
        write!(f, ", in {:.1} s", self.seconds)
    }
}

/// The most refused products that are shown; the report has them all.
const SHOWN: usize = 10;

/// What was read and what came of it.
pub fn tell(
    out: &mut impl Write,
    file: &Path,
    report: Option<&Path>,
    reading: &Reading,
    summary: &Summary,
) -> io::Result<()> {
    let plural = |count: usize, thing: &str| format!("{count} {thing}{}", if count == 1 { "" } else { "s" });
    writeln!(
        out,
        "{}: {} lines, {}",
        file.display(),
        reading.lines,
        plural(reading.products.len(), "usable product")
    )?;
    writeln!(out, "{summary}")?;
    for refused in summary.refused.iter().take(SHOWN) {
        writeln!(out, "  {}: {}", refused.content, refused.detail.as_deref().unwrap_or_default())?;
    }
    if summary.refused.len() > SHOWN {
        writeln!(out, "  … and {} more", summary.refused.len() - SHOWN)?;
    }
    if !reading.refused.is_empty() {
        writeln!(out, "{} not used:", plural(reading.refused.len(), "line"))?;
        for (reason, count) in reading.reasons() {
            writeln!(out, "  {count:>7}  {reason}")?;
        }
    }
    if !reading.unusable.is_empty() {
        writeln!(
            out,
            "{} left out: none of their lines can be used",
            plural(reading.unusable.len(), "stock code")
        )?;
    }
    if let Some(report) = report {
        writeln!(out, "each with its line and reason: {}", report.display())?;
    }
    Ok(())
}

/// Writes everything that was refused, in the order of the file, as `line,reason,content`. False when nothing was:
/// then there is no file, also none of an earlier import.
pub fn write(path: &Path, reading: &Reading, summary: &Summary) -> Result<bool, Failure> {
    let failed = |error: &dyn fmt::Display| Failure::doing(path.display(), error);
    let mut all: Vec<&Refused> =
        [&reading.refused, &reading.unusable, &summary.refused].into_iter().flatten().collect();
    if all.is_empty() {
        return match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(&error)),
            _ => Ok(false),
        };
    }
    all.sort_by_key(|refused| refused.line);
    let mut csv = csv::Writer::from_path(path).map_err(|error| failed(&error))?;
    csv.write_record(["line", "reason", "content"]).map_err(|error| failed(&error))?;
    for refused in all {
        let reason = match &refused.detail {
            Some(detail) => format!("{}: {detail}", refused.reason),
            None => refused.reason.to_string(),
        };
        let record = [&refused.line.to_string(), &reason, &refused.content];
        csv.write_record(record).map_err(|error| failed(&error))?;
    }
    csv.flush().map_err(|error| failed(&error))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_report_tells_everything_in_the_order_of_the_file() {
        let mut reading = Reading::default();
        reading.refuse(9, "no description", None, "a,\"b\"");
        reading.refuse(3, "not a product", Some("missing field".to_owned()), "{}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.csv");
        assert!(write(&path, &reading, &Summary::default()).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        let expected =
            "line,reason,content\n3,not a product: missing field,{}\n9,no description,\"a,\"\"b\"\"\"\n";
        assert_eq!(text, expected);

        assert!(!write(&path, &Reading::default(), &Summary::default()).unwrap());
        assert!(!path.exists());
    }
}
