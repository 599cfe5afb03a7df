//! What a report is made of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    audit::Violation,
    experiment::Expectation,
    faults::{Happened, Outcome},
    history::Second,
};

/// Everything that a run has come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The run.
    pub run: Run,
    /// Its experiments, in their order.
    pub experiments: Vec<Course>,
}

/// What was run, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What everything random began from.
    pub seed: u64,
    /// When it began.
    pub began: Timestamp,
    /// What the program under test says of itself.
    pub version: String,
    /// A defect that it was given on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed: Option<String>,
    /// What it was run on.
    pub machine: Machine,
}

/// A machine, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that may be used.
    pub cores: usize,
    /// Its memory.
    pub memory_mib: u64,
    /// The kernel's release.
    pub kernel: String,
}

/// What can be said of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All that must hold held.
    Holds,
    /// Something did not.
    Fails,
    /// It could not be run; nothing is said.
    NotRun,
}

/// One experiment and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub about: String,
    /// What can be said.
    pub verdict: Verdict,
    /// Why it could not be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_run: Option<String>,
    /// What was expected, and what was measured.
    #[serde(default)]
    pub expectations: Vec<Expectation>,
    /// What the auditor found.
    #[serde(default)]
    pub violations: Vec<Violation>,
    /// What else went wrong.
    #[serde(default)]
    pub troubles: Vec<String>,
    /// When the load began and when it ended, by which the parts' logs can be searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_time: Option<(Timestamp, Timestamp)>,
    /// In figures.
    #[serde(default)]
    pub totals: Totals,
    /// Everything that was measured, by name.
    #[serde(default)]
    pub figures: BTreeMap<String, f64>,
    /// What clients got in each second of the load.
    #[serde(default)]
    pub timeline: Vec<Row>,
    /// What was done to the platform.
    #[serde(default)]
    pub faults: Vec<Happened>,
}

/// An experiment in figures.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Orders that were accepted.
    pub accepted: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Requests whose outcome is unknown.
    pub unknown: u64,
    /// Orders by their last status.
    pub orders: BTreeMap<String, u64>,
    /// Connections to streams.
    pub streams: u64,
    /// Faults that were planned; the end of the load leaves out what has not begun.
    #[serde(default)]
    pub planned: usize,
    /// Events that the auditor looked at.
    pub events: usize,
    /// Lines of the clients' history that it looked at.
    pub lines: usize,
}

/// A second of an experiment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Row {
    /// What the clients saw.
    #[serde(flatten)]
    pub clients: Second,
    /// Actors that were restarted.
    pub actor_restarts: u64,
    /// Processes that were back after they had ended.
    pub process_starts: u64,
}

/// Puts together what clients saw in each second, restarts of actors by when they were noticed (seconds since the load
/// began), and the starts of processes that faults made necessary. What comes after the load has no second.
pub fn timeline(seconds: &[Second], restarts: &[(f64, u64)], faults: &[Happened]) -> Vec<Row> {
    let mut rows: Vec<Row> =
        seconds.iter().map(|second| Row { clients: second.clone(), ..Row::default() }).collect();
    for (at, restarts) in restarts {
        if let Some(row) = row(&mut rows, *at) {
            row.actor_restarts += restarts;
        }
    }
    for fault in faults.iter().filter(|fault| fault.result == Outcome::Done) {
        let starts = match fault.done.as_str() {
            "kill" | "restart" | "restart_postgres" | "failpoint" => 1,
            _ => 0,
        };
        if let Some(row) = row(&mut rows, fault.until) {
            row.process_starts += starts;
        }
    }
    rows
}

fn row(rows: &mut [Row], at: f64) -> Option<&mut Row> {
    rows.iter_mut().find(|row| f64::from(row.clients.second) == at.floor())
}

impl Machine {
    /// This one. What cannot be found out is left empty.
    pub fn here() -> Self {
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kilobytes = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kilobytes = kilobytes.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: kilobytes.unwrap_or_default() / 1_024,
            kernel: kernel.trim().to_owned(),
        }
    }
}

impl Course {
    /// How many faults there were, of how many that were planned where it is not all of them.
    pub fn faults_words(&self) -> String {
        match (self.faults.len(), self.totals.planned) {
            (faults, planned) if faults < planned => format!("{faults}/{planned}"),
            (faults, _) => faults.to_string(),
        }
    }
}

impl Verdict {
    /// In a word or two.
    pub fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "FAILS",
            Self::NotRun => "not run",
        }
    }
}
