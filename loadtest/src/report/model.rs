//! The report of a run, as it stands in `report.json`. Its shape is stable: `schema` changes when it does.
//!
//! Times are milliseconds, memory is MiB, rates are per second of what was measured (the warm-up left out).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::measure::histogram::Quantiles;

/// The shape described here.
pub const SCHEMA: u32 = 1;

/// Everything that a run has found out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// The shape of this document.
    pub schema: u32,
    /// What was run, and where.
    pub meta: Meta,
    /// Each part of the run.
    pub phases: Vec<Phase>,
    /// How the highest rate was found, when it was searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<Peak>,
    /// What plain transactions reach on the same PostgreSQL server, when that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// Our figures over the baseline's.
    #[serde(default)]
    pub ratios: Vec<Ratio>,
    /// What a reader should know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The generator itself was the bottleneck of some phase: the platform can do more than this says.
    pub generator_bound: bool,
}

/// What was run, and where.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Meta {
    /// The profile's name.
    pub profile: String,
    /// What everything random began from.
    pub seed: u64,
    /// UTC, RFC 3339.
    pub started_at: String,
    /// The target.
    pub target: String,
    /// All phases with their warm-ups.
    pub seconds: f64,
    /// The run ended early: this is what was measured until then.
    pub partial: bool,
    /// It ended because something failed, and not because somebody interrupted it.
    #[serde(default)]
    pub failed: bool,
    /// The harness's version.
    pub version: String,
    /// Where it ran.
    pub machine: Machine,
}

/// The machine of the generator, and of the platform when the target is on loopback.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Processors that this process may use.
    pub cores: usize,
    /// Their model.
    pub cpu: String,
    /// Memory.
    pub memory_mib: u64,
    /// The kernel's release.
    pub kernel: String,
}

/// One part of a run: a load, and what it met.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Phase {
    /// Its name in the profile.
    pub name: String,
    /// The load in words, such as "64 clients" or "Poisson, 800/s".
    pub load: String,
    /// How long the load was, warm-up included.
    pub seconds: f64,
    /// The beginning that is left out.
    pub warm_up_seconds: f64,
    /// Every kind of request.
    pub operations: BTreeMap<String, Operation>,
    /// All kinds of requests together.
    pub requests: Requests,
    /// The orders.
    pub orders: Orders,
    /// The streams, when there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<Streams>,
    /// The most users at once, where a load counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
    /// Who used what.
    pub components: BTreeMap<String, Component>,
    /// All components but the generator together.
    pub platform: Component,
    /// Cores that other processes of this machine used meanwhile: what they use the platform cannot.
    #[serde(default)]
    pub other_cores: f64,
    /// Cores that the hypervisor gave to other machines while this one wanted them.
    #[serde(default)]
    pub stolen_cores: f64,
    /// How the generator itself did.
    pub generator: Generator,
    /// Each second, warm-up included.
    pub series: Vec<Second>,
    /// Whatever else this phase has to show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Table>,
    /// Further figures of this phase by name, for objectives and comparisons.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
    /// What was wanted, and whether it was reached.
    pub objectives: Vec<Verdict>,
    /// What a reader should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One kind of request.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Operation {
    /// Requests that have ended.
    pub count: u64,
    /// Those that ended as they were meant to.
    pub good: u64,
    /// Those that were told to come later: 429 and 503.
    pub refused: u64,
    /// Refusals that did not say when to come again.
    #[serde(default)]
    pub refused_without_time: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Problems by type, refusals among them.
    pub problems: BTreeMap<String, u64>,
    /// Requests without an answer, by reason.
    pub broken: BTreeMap<String, u64>,
    /// Good ones per second of what was measured, by their end.
    pub per_second: f64,
    /// From the intended start to the answer, refusals and failures apart.
    pub latency_ms: Quantiles,
    /// From sending to the answer, refusals and failures apart.
    pub service_ms: Quantiles,
    /// From the intended start to a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal_ms: Option<Quantiles>,
    /// From the intended start to a failure: no answer, a wrong one, or a 5xx that is no refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_ms: Option<Quantiles>,
    /// The latencies in microseconds: HdrHistogram V2, compressed, base64.
    pub histogram: String,
}

/// All requests together.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Requests {
    /// Requests that have ended.
    pub count: u64,
    /// Those that ended as they were meant to.
    pub good: u64,
    /// Those that were told to come later.
    pub refused: u64,
    /// Refusals that did not say when to come again.
    pub refused_without_time: u64,
    /// Those that ended in another problem, or without an answer.
    pub failed: u64,
    /// Failed ones whose problem type the profile does not expect.
    pub unexpected: u64,
    /// Unexpected ones over all.
    pub unexpected_share: f64,
    /// Good ones that ended between the end of the warm-up and the end of the load, whenever they began.
    #[serde(default)]
    pub good_measured: u64,
    /// The same per second.
    pub per_second: f64,
    /// Of all kinds of requests together, refusals and failures apart.
    pub latency_ms: Quantiles,
    /// From the intended start to a refusal.
    pub refusal_ms: Quantiles,
    /// The latencies in microseconds, as with each operation.
    pub histogram: String,
}

/// What became of the orders.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Orders {
    /// Accepted orders, those of the warm-up among them: no order may be lost.
    pub accepted: u64,
    /// Accepted orders by the status they ended in.
    pub statuses: BTreeMap<String, u64>,
    /// Completed ones, also when money went back later.
    pub completed: u64,
    /// Rejected ones.
    pub rejected: u64,
    /// Cancelled ones.
    pub cancelled: u64,
    /// Accepted, and not in the history.
    pub lost: u64,
    /// Final, but later than the profile allows.
    pub late: u64,
    /// Not final when the waiting ended.
    pub not_final: u64,
    /// Accepted, and not looked for, since the run was interrupted: whether they are lost is not known.
    #[serde(default)]
    pub unseen: u64,
    /// Answers that named an order which another request had made.
    pub repeated: u64,
    /// Orders in the history whose acceptance no client saw.
    pub unknown: u64,
    /// Some lost or unfinished ones, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<String>,
    /// Accepted per second.
    pub per_second_accepted: f64,
    /// Completed per second while it was measured, by the platform's clock.
    pub per_second_completed: f64,
    /// How many orders were completed while it was measured.
    pub completed_measured: u64,
    /// Completed per second over the run's peak, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_peak: Option<f64>,
    /// Completed orders of the measured time whose times are known: those of the next figures.
    #[serde(default)]
    pub timed: u64,
    /// From creation to completion, by the platform's clock. Orders that ended otherwise are not in it: a quick no is no merit.
    pub created_to_final_ms: Quantiles,
    /// The same in microseconds.
    pub histogram: String,
}

/// What followers of streams saw.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Streams {
    /// The most that were open at once.
    pub most: u64,
    /// Open at the end.
    pub at_end: u64,
    /// Messages that arrived.
    pub messages: u64,
    /// From when an event happened to its arrival.
    pub delivery_ms: Quantiles,
    /// The same in microseconds.
    pub histogram: String,
}

/// What one component used while it was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// CPU time.
    pub cpu_seconds: f64,
    /// CPU time over wall time.
    pub cores: f64,
    /// Microseconds of CPU time for each completed order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_order: Option<f64>,
    /// Microseconds of CPU time for each good request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_request: Option<f64>,
    /// At the begin. Threads of one process have their memory together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib_begin: Option<f64>,
    /// The most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib_max: Option<f64>,
    /// At the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib_end: Option<f64>,
}

/// How the generator did.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Generator {
    /// How busy its one thread was, 1 being all the time.
    pub busy: f64,
    /// How late it started arrivals.
    pub late_ms: Quantiles,
    /// Whether it was the bottleneck.
    pub bound: bool,
}

/// One second of a phase.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Second {
    /// Counted from the begin of the load.
    pub second: u64,
    /// Requests sent.
    pub started: u64,
    /// Requests that ended well.
    pub good: u64,
    /// Requests told to come later.
    pub refused: u64,
    /// Requests that ended otherwise.
    pub failed: u64,
    /// Median latency of those that ended in it.
    pub p50_ms: f64,
    /// Their 99th percentile.
    pub p99_ms: f64,
    /// Orders that were completed, by the platform's clock.
    pub completed: u64,
    /// Cores used by each component.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cpu: BTreeMap<String, f64>,
    /// MiB held by each component.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub memory: BTreeMap<String, f64>,
    /// Open streams.
    pub open_streams: u64,
    /// Users.
    pub users: u64,
}

/// Rows for people.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Names of the columns. The first one is text, the others are figures.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
    /// What to know about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Whether an objective was kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// The objective as the profile has it.
    pub objective: String,
    /// What it asks for.
    pub wanted: f64,
    /// What was measured; nothing when this run has no such figure.
    pub measured: Option<f64>,
    /// Whether it was kept. What was not measured was not kept.
    pub kept: bool,
}

/// How the highest rate was found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Peak {
    /// The highest rate that kept the objectives.
    pub per_second: f64,
    /// Each rate that was tried, in order.
    pub tries: Vec<Try>,
}

/// One rate that was tried.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Try {
    /// Arrivals per second.
    pub per_second: f64,
    /// Whether the objectives were kept.
    pub kept: bool,
    /// Why not, or what stood nearest to the limit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What plain transactions reach on the same server, in the same run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Baseline {
    /// Why it could not be measured, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// The server's version.
    pub server: String,
    /// Settings that matter for what a commit costs.
    pub settings: BTreeMap<String, String>,
    /// The pgbench that was used.
    pub pgbench: String,
    /// Seconds of each measurement, both halves together.
    pub seconds: u64,
    /// Concurrent clients.
    pub clients: u32,
    /// Orders per second as four one-row transactions each: the mean of the halves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_flow: Option<Bench>,
    /// Updates per second of a single row: the mean of the halves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_row: Option<Bench>,
    /// One half before the load and one after it, so that a machine that gets quicker or slower meanwhile does not get into
    /// the ratios.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub halves: Vec<Half>,
}

/// A part of the baseline that was measured in one go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Half {
    /// Such as "before the load".
    pub when: String,
    /// Orders per second as four one-row transactions each.
    pub order_flow: Bench,
    /// Updates per second of a single row.
    pub hot_row: Bench,
}

impl Half {
    /// In words.
    pub fn told(&self) -> String {
        let Self { when, order_flow, hot_row } = self;
        format!("{when}: order flow {:.0} /s, single row {:.0} /s", order_flow.per_second, hot_row.per_second)
    }
}

/// One measurement of pgbench.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Bench {
    /// Runs of the script per second.
    pub per_second: f64,
    /// Mean latency of a run of the script.
    pub latency_ms: f64,
    /// Runs of the script that ended well.
    pub done: u64,
    /// Runs that failed.
    pub failed: u64,
}

/// One of our figures over the baseline's.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ratio {
    /// What is compared.
    pub name: String,
    /// Our figure.
    pub ours: f64,
    /// The baseline's.
    pub baseline: f64,
    /// Ours over the baseline's.
    pub ratio: f64,
    /// At least this is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<f64>,
}

impl Report {
    /// Whether every objective of every phase was kept.
    pub fn kept(&self) -> bool {
        let ratios = self.ratios.iter().all(|ratio| ratio.wanted.is_none_or(|wanted| ratio.ratio >= wanted));
        ratios && self.phases.iter().flat_map(|phase| &phase.objectives).all(|verdict| verdict.kept)
    }

    /// The phase of this name.
    pub fn phase(&self, name: &str) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.name == name)
    }
}
