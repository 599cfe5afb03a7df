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

    /// Of all experiments together. What was violated is, whatever else could not be run; without that, one that could
    /// not be run says nothing, so nothing can be said of all.
    pub fn verdict(self) -> Result<Verdict, Failure> {
        let fails = |line: &Line| line.outcome.as_ref().is_ok_and(|outcomes| !outcomes.hold());
        if self.lines.iter().any(fails) {
            return Ok(Verdict::Violated);
        }
        self.lines.into_iter().try_for_each(|line| line.outcome.map(drop)).map(|()| Verdict::Holds)
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
            "{}: {verdict}; {} accepted, {} unknown, {} of {} faults, {} events and {} lines of history",
            self.name,
            load.accepted,
            load.unknown,
            outcomes.faults.len(),
            outcomes.planned,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clients::LoadFigures, platform::program::Program};

    fn told(outcomes: Vec<Result<Outcomes, Failure>>) -> Told {
        let program = Program::default();
        let mut told = Told::new(&Setting { program, seed: 1, keep: false, armed: None });
        told.lines = outcomes.into_iter().map(|outcome| Line { name: "one".to_owned(), outcome }).collect();
        told
    }

    fn ran(troubles: &[&str]) -> Result<Outcomes, Failure> {
        Ok(Outcomes {
            expectations: Vec::new(),
            violations: Vec::new(),
            troubles: troubles.iter().map(|trouble| (*trouble).to_owned()).collect(),
            load: LoadFigures::default(),
            faults: Vec::new(),
            planned: 0,
            samples: Vec::new(),
            figures: Default::default(),
            looked_at: (0, 0),
            load_time: (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH),
        })
    }

    fn not_run() -> Result<Outcomes, Failure> {
        Err(Failure::Usage("clocks cannot jump here".to_owned()))
    }

    #[test]
    fn what_fails_is_told_whatever_could_not_be_run() {
        assert_eq!(told(vec![ran(&[])]).verdict().unwrap(), Verdict::Holds);
        for outcomes in [vec![not_run(), ran(&["it broke"])], vec![ran(&["it broke"]), not_run()]] {
            assert_eq!(told(outcomes).verdict().unwrap(), Verdict::Violated);
        }
        let nothing = told(vec![ran(&[]), not_run()]).verdict().unwrap_err();
        assert!(nothing.to_string().contains("clocks"), "{nothing}");
    }
}
