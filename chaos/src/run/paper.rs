//! What an experiment has come to, for the report.

use super::{Failure, course::Outcomes};
use crate::{
    experiment::Experiment,
    report::{Course, Totals, Verdict, timeline},
};

/// The experiment's part of the report.
pub(super) fn course(experiment: &Experiment, outcome: &Result<Outcomes, Failure>) -> Course {
    let empty = Course {
        name: experiment.name.clone(),
        about: experiment.about.clone(),
        verdict: Verdict::NotRun,
        not_run: None,
        expectations: Vec::new(),
        violations: Vec::new(),
        troubles: Vec::new(),
        load_time: None,
        totals: Totals::default(),
        figures: std::collections::BTreeMap::new(),
        timeline: Vec::new(),
        faults: Vec::new(),
    };
    let outcomes = match outcome {
        Ok(outcomes) => outcomes,
        Err(error) => return Course { not_run: Some(error.to_string()), ..empty },
    };
    let load = &outcomes.load;
    let restarts: Vec<(f64, u64)> =
        outcomes.samples.iter().map(|sample| (sample.at, sample.restarts)).collect();
    Course {
        verdict: if outcomes.hold() { Verdict::Holds } else { Verdict::Fails },
        expectations: outcomes.expectations.clone(),
        violations: outcomes.violations.clone(),
        troubles: outcomes.troubles.clone(),
        load_time: Some(outcomes.load_time),
        totals: Totals {
            accepted: load.accepted,
            refused: load.refused,
            unknown: load.unknown,
            orders: load.orders.clone(),
            streams: load.streams,
            planned: outcomes.planned,
            events: outcomes.looked_at.0,
            lines: outcomes.looked_at.1,
        },
        figures: outcomes.figures.clone(),
        timeline: timeline(&load.seconds, &restarts, &outcomes.faults),
        faults: outcomes.faults.clone(),
        ..empty
    }
}
