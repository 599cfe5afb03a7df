//! Experiments as data: load, faults with their schedule, what must hold.
//!
//! An experiment is a TOML file. Everything in it is checked before anything starts: a field that nobody knows, a fault
//! that cannot happen on the platform that the experiment asks for, or a schedule that does not fit into the run is
//! refused with its place. From a seed comes the schedule: the same seed, the same steps.

mod check;
mod fault;
mod file;
mod holds;
mod schedule;
pub mod span;
mod step;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use thiserror::Error;

pub use fault::{Fault, Pick, Poison, Provider, Rows, What};
pub use file::{PlatformTable, Quick};
pub use holds::{Bound, EXPECTATIONS, Expectation, Holds, Known, Unit};
pub(crate) use schedule::APART;
pub use step::{Action, Step};

use crate::{
    clients::Load,
    platform::{Engine, Plan},
};

/// Something about an experiment that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {problem}")]
pub struct ExperimentError {
    /// Where: the experiment, and the table in it.
    pub place: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// What is to happen to a platform, and what it must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Lower case letters, digits and dashes.
    pub name: String,
    /// One sentence for whoever lists experiments.
    pub about: String,
    /// How long the load goes on. Every fault begins and ends within it.
    pub length: Duration,
    /// So long after the load has ended every accepted order must be final.
    pub settle: Duration,
    /// How it is scaled down for the quick set; not part of that set without it.
    pub quick: Option<Quick>,
    /// What it runs on.
    pub platform: PlatformTable,
    /// What its clients do.
    pub load: Load,
    /// The same as it is written, for scaling it down.
    written_load: toml::Table,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What must hold beyond what always must.
    pub holds: Holds,
}

impl Experiment {
    /// Reads and checks an experiment. `source` names it in errors, such as its file.
    pub fn load(source: &str, text: &str) -> Result<Self, ExperimentError> {
        let experiment = file::read(source, text)?;
        check::check(&experiment)?;
        Ok(experiment)
    }

    /// The scaled down experiment, if there is one: shorter, its faults' times at most `repeat`, begins and lengths of
    /// faults in proportion.
    pub fn scaled_down(&self) -> Option<Result<Self, ExperimentError>> {
        let scaled = self.quick.as_ref()?.scale(self);
        Some(scaled.and_then(|scaled| check::check(&scaled).map(|()| scaled)))
    }

    /// The same for another length, in proportion.
    pub fn with_length(&self, length: Duration) -> Result<Self, ExperimentError> {
        let quick = Quick {
            length,
            settle: None,
            repeat: None,
            load: toml::Table::new(),
            holds: Holds::default(),
            without: Vec::new(),
        };
        let scaled = quick.scale(self)?;
        check::check(&scaled).map(|()| scaled)
    }

    /// The same on another engine, if its faults can happen there.
    pub fn on(&self, engine: Engine) -> Result<Self, ExperimentError> {
        let mut moved = self.clone();
        moved.platform.engine = engine;
        check::check(&moved).map(|()| moved)
    }

    /// The platform that it runs on, with this program.
    pub fn plan(&self, viscount: impl Into<PathBuf>) -> Plan {
        self.platform.plan(viscount)
    }

    /// The names of the parts that a name means.
    fn resolve(&self, name: &str) -> Result<Vec<String>, String> {
        match self.plan("").resolve(name) {
            Ok(parts) if parts.is_empty() => Err(format!("there is nobody who is meant by {name}")),
            Ok(parts) => Ok(parts.into_iter().map(|part| part.name().to_owned()).collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What happens when, by begin. The same seed gives the same steps.
    pub fn schedule(&self, seed: u64) -> Result<Vec<Step>, ExperimentError> {
        schedule::schedule(self, seed)
    }

    /// An error at a place of this experiment.
    pub(crate) fn error(&self, place: &str, problem: impl Into<String>) -> ExperimentError {
        ExperimentError { place: format!("{}: {place}", self.name), problem: problem.into() }
    }

    /// An error in a fault.
    pub(crate) fn fault_error(&self, number: usize, problem: impl Into<String>) -> ExperimentError {
        let name = self.faults.get(number).map_or("?", |fault| fault.what.name());
        self.error(&format!("fault {} ({name})", number + 1), problem)
    }
}
