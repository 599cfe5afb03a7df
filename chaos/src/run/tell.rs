//! Tells what came of a run: a table for the terminal, the report for everything else.

use std::{fmt::Write as _, fs, path::Path};

use super::{
    Failure, Verdict,
    course::{Outcomes, Setting},
};
use crate::experiment::Experiment;

/// What was told so far.
pub(super) struct Told {
    seed: u64,
    lines: Vec<Line>,
}

struct Line {
    name: String,
    outcome: Result<Outcomes, Failure>,
}

impl Told {
    /// Nothing yet.
    pub fn new(setting: &Setting) -> Self {
        Self { seed: setting.seed, lines: Vec::new() }
    }

    /// One more experiment.
    pub fn add(&mut self, experiment: &Experiment, outcome: Result<Outcomes, Failure>) {
        let line = Line { name: experiment.name.clone(), outcome };
        eprint!("{}", line.details());
        self.lines.push(line);
    }

    /// The report.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let text: String = self.lines.iter().map(Line::details).collect();
        fs::write(folder.join("report.txt"), text).map_err(|error| Failure::Usage(format!("report: {error}")))
    }

    /// Experiments and verdicts.
    pub fn table(&self) -> String {
        let mut table = format!(
            "{:<24} {:<9} {:>8} {:>8} {:>10}  seed {}\n",
            "experiment", "verdict", "accepted", "faults", "violations", self.seed
        );
        for line in &self.lines {
            let _ = match &line.outcome {
                Ok(outcomes) => writeln!(
                    table,
                    "{:<24} {:<9} {:>8} {:>8} {:>10}",
                    line.name,
                    if outcomes.hold() { "holds" } else { "FAILS" },
                    outcomes.load.accepted,
                    outcomes.faults.len(),
                    outcomes.violations.len()
                ),
                Err(error) => writeln!(table, "{:<24} not run: {error}", line.name),
            };
        }
        table
    }

    /// Of all experiments together. One that could not be run says nothing, so nothing can be said of all.
    pub fn verdict(self) -> Result<Verdict, Failure> {
        let mut verdict = Verdict::Holds;
        for line in self.lines {
            if !line.outcome?.hold() {
                verdict = Verdict::Violated;
            }
        }
        Ok(verdict)
    }
}

impl Line {
    fn details(&self) -> String {
        let mut text = String::new();
        let outcomes = match &self.outcome {
            Ok(outcomes) => outcomes,
            Err(error) => return format!("{}: not run: {error}\n", self.name),
        };
        let Outcomes { load, expectations, violations, troubles, looked_at: (events, lines), .. } = outcomes;
        let verdict = if outcomes.hold() { "holds" } else { "FAILS" };
        let _ = writeln!(
            text,
            "{}: {verdict}; {} accepted, {} unknown, {} faults, {} events and {} lines of history",
            self.name,
            load.accepted,
            load.unknown,
            outcomes.faults.len(),
            events,
            lines
        );
        for expectation in expectations {
            let mark = if expectation.holds { " " } else { "!" };
            let _ = writeln!(
                text,
                "{mark} {}: {} (expected {})",
                expectation.name,
                expectation.measured_words(),
                expectation.expected_words()
            );
        }
        for trouble in troubles {
            let _ = writeln!(text, "! {trouble}");
        }
        for violation in violations.iter().take(20) {
            let _ = writeln!(text, "! {violation}");
        }
        for (trouble, count) in &load.troubles {
            let _ = writeln!(text, "  {count} × {trouble}");
        }
        text
    }
}
