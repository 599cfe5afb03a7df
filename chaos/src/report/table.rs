//! Experiments and verdicts, for the terminal.

use std::fmt::Write as _;

use super::{Report, Verdict};

/// A line for each experiment; below it what was missed, and the first of what was found.
pub fn table(report: &Report) -> String {
    let mut text = format!(
        "{:<24} {:<8} {:>8} {:>8} {:>8} {:>7} {:>10}  seed {}\n",
        "experiment", "verdict", "accepted", "refused", "unknown", "faults", "violations", report.run.seed
    );
    // Writing to a string cannot fail.
    for course in &report.experiments {
        if course.verdict == Verdict::NotRun {
            let why = course.not_run.as_deref().unwrap_or("nobody knows why");
            let _ = writeln!(text, "{:<24} {:<8} {why}", course.name, course.verdict.words());
            continue;
        }
        let totals = &course.totals;
        let _ = writeln!(
            text,
            "{:<24} {:<8} {:>8} {:>8} {:>8} {:>7} {:>10}",
            course.name,
            course.verdict.words(),
            totals.accepted,
            totals.refused,
            totals.unknown,
            course.faults_words(),
            course.violations.len()
        );
        for missed in course.expectations.iter().filter(|expectation| !expectation.holds) {
            let (name, expected) = (&missed.name, missed.expected_words());
            let _ = writeln!(text, "  {name}: {}, expected {expected}", missed.measured_words());
        }
        for trouble in course.troubles.iter().take(3) {
            let _ = writeln!(text, "  {}", trouble.lines().next().unwrap_or_default());
        }
        if let Some(first) = course.violations.first() {
            let _ = writeln!(text, "  {}: {}", first.promise, first.what);
        }
    }
    text
}
