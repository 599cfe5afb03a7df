//! Tells what came of a run: a table for the terminal, the report for everything else.

use std::{fmt::Write as _, fs, path::Path};

use jiff::Timestamp;

use super::{
    Failure, Verdict,
    course::{Outcomes, Setting},
    paper,
};
use crate::{
    experiment::Experiment,
    report::{self, Machine, Report, Run},
};

/// What was told so far.
pub(super) struct Told {
    report: Report,
    lines: Vec<Line>,
}

struct Line {
    name: String,
    outcome: Result<Outcomes, Failure>,
}

impl Told {
    /// Nothing yet.
    pub fn new(setting: &Setting) -> Self {
        let run = Run {
            seed: setting.seed,
            began: Timestamp::now(),
            version: setting.program.version.clone(),
            armed: setting.armed.clone(),
            machine: Machine::here(),
        };
        Self { report: Report { run, experiments: Vec::new() }, lines: Vec::new() }
    }

    /// One more experiment.
    pub fn add(&mut self, experiment: &Experiment, outcome: Result<Outcomes, Failure>) {
        self.report.experiments.push(paper::course(experiment, &outcome));
        let line = Line { name: experiment.name.clone(), outcome };
        eprint!("{}", line.details());
        self.lines.push(line);
    }

    /// The report.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let text: String = self.lines.iter().map(Line::details).collect();
        fs::write(folder.join("report.txt"), text)
            .and_then(|()| report::write(&self.report, folder))
            .map_err(|error| Failure::Usage(format!("report: {error}")))
    }

    /// Experiments and verdicts.
    pub fn table(&self) -> String {
        report::table(&self.report)
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
        text
    }
}
