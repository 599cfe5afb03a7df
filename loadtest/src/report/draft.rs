//! A report as it is put together: phases one after the other, the baseline at last.

use std::{collections::BTreeMap, fs, path::Path};

use super::{
    model::{Baseline, Machine, Meta, Peak, Phase, Ratio, Report, SCHEMA},
    objectives::{is_ratio, judge, verdict},
};
use crate::Failure;

/// A share of the orders that makes a phase one of a single hot product, or one without any.
const NEARLY_ALL: f64 = 0.9;

/// A report under way.
pub struct Draft {
    report: Report,
    /// Ratios that are wanted, with the phase that wants them.
    ratios: Vec<(usize, String, f64)>,
}

impl Draft {
    /// Nothing in it yet.
    pub fn new(profile: &str, seed: u64, target: &str) -> Self {
        let meta = Meta {
            profile: profile.to_owned(),
            seed,
            started_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            target: target.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: Machine::here(),
            ..Meta::default()
        };
        Self { report: Report { schema: SCHEMA, meta, ..Report::default() }, ratios: Vec::new() }
    }

    /// One more phase, judged by what was wanted of it. Ratios to the baseline are judged at last.
    pub fn phase(&mut self, mut phase: Phase, wanted: &BTreeMap<String, f64>) -> &Phase {
        phase.objectives = judge(&phase, wanted);
        let number = self.report.phases.len();
        let ratios = wanted.iter().filter(|(name, _)| is_ratio(name));
        self.ratios.extend(ratios.map(|(name, value)| (number, name.clone(), *value)));
        self.report.meta.seconds += phase.seconds;
        self.report.generator_bound |= phase.generator.bound;
        self.report.phases.push(phase);
        &self.report.phases[number]
    }

    /// How the highest rate was found.
    pub fn peak(&mut self, peak: Peak) {
        self.report.peak = Some(peak);
    }

    /// What plain transactions reach.
    pub fn baseline(&mut self, baseline: Baseline) {
        self.report.baseline = Some(baseline);
    }

    /// What a reader should know; the same thing is said once.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.report.notes.contains(&note) {
            self.report.notes.push(note);
        }
    }

    /// The run cannot go on, for this reason. What was measured before is reported all the same.
    pub fn failed(&mut self, why: &Failure) {
        self.report.meta.failed = true;
        self.note(format!("the run ended early: {why}"));
    }

    /// The report. It is partial when the run was interrupted.
    pub fn finish(mut self, partial: bool) -> Report {
        self.report.meta.partial = partial;
        if let Some(baseline) = &self.report.baseline {
            let ratios = ratios(&self.report.phases, baseline, &self.ratios);
            for (phase, name, wanted) in &self.ratios {
                let ratio = ratios.iter().find(|ratio| ratio.name == *name);
                if let Some(phase) = self.report.phases.get_mut(*phase) {
                    phase.objectives.push(verdict(name, *wanted, ratio.map(|ratio| ratio.ratio)));
                }
            }
            self.report.ratios = ratios;
        }
        self.report
    }
}

/// The best phase of mixed baskets over the order flow, the best one of a hot product over the hot row.
fn ratios(phases: &[Phase], baseline: &Baseline, wanted: &[(usize, String, f64)]) -> Vec<Ratio> {
    let kinds = [("ratio.order_flow", false, baseline.order_flow), ("ratio.hot_row", true, baseline.hot_row)];
    let ratio = |(name, hot, bench): (&str, bool, Option<super::model::Bench>)| {
        let bench = bench.filter(|bench| bench.per_second > 0.0)?;
        let ours = phases.iter().filter(|phase| is_hot(phase) == Some(hot));
        let ours = ours.map(|phase| phase.orders.per_second_completed).reduce(f64::max)?;
        Some(Ratio {
            name: name.to_owned(),
            ours,
            baseline: bench.per_second,
            ratio: ours / bench.per_second,
            wanted: wanted.iter().find(|(_, other, _)| other == name).map(|(_, _, wanted)| *wanted),
        })
    };
    kinds.into_iter().filter_map(ratio).collect()
}

/// Whether a phase's orders want one product; nothing when it has no orders, or some of both kinds.
fn is_hot(phase: &Phase) -> Option<bool> {
    let good = |name: &str| phase.operations.get(name).map_or(0.0, |operation| operation.good as f64);
    let (hot, mixed) = (good("hot"), good("order"));
    let all = hot + mixed;
    match hot / all {
        share if share >= NEARLY_ALL => Some(true),
        share if share <= 1.0 - NEARLY_ALL => Some(false),
        _ => None,
    }
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
        let after = |text: &str, name: &str| {
            let line =
                text.lines().find_map(|line| line.strip_prefix(name))?.trim_start_matches([':', ' ', '\t']);
            Some(line.trim().to_owned())
        };
        let memory = after(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kib: u64 = memory.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: after(&read("/proc/cpuinfo"), "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            memory_mib: kib / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::model::{Bench, Operation, Orders};

    fn phase(name: &str, order: u64, hot: u64, per_second: f64) -> Phase {
        let operation = |good| Operation { count: good, good, ..Operation::default() };
        Phase {
            name: name.to_owned(),
            operations: BTreeMap::from([
                ("order".to_owned(), operation(order)),
                ("hot".to_owned(), operation(hot)),
            ]),
            orders: Orders { per_second_completed: per_second, ..Orders::default() },
            ..Phase::default()
        }
    }

    fn baseline() -> Baseline {
        let bench = |per_second| Some(Bench { per_second, ..Bench::default() });
        Baseline { order_flow: bench(1_000.0), hot_row: bench(4_000.0), ..Baseline::default() }
    }

    #[test]
    fn each_ratio_takes_the_best_phase_of_its_kind() {
        let mut draft = Draft::new("p", 1, "t");
        let wanted =
            BTreeMap::from([("ratio.order_flow".to_owned(), 1.5), ("ratio.hot_row".to_owned(), 0.8)]);
        draft.phase(phase("slow", 100, 0, 900.0), &wanted);
        draft.phase(phase("fast", 100, 3, 2_000.0), &BTreeMap::new());
        draft.phase(phase("mixed", 50, 50, 9_999.0), &BTreeMap::new());
        draft.phase(phase("hot", 0, 100, 3_000.0), &BTreeMap::new());
        draft.phase(phase("reads", 0, 0, 0.0), &BTreeMap::new());
        draft.baseline(baseline());
        let report = draft.finish(false);
        let ratios: Vec<f64> = report.ratios.iter().map(|ratio| ratio.ratio).collect();
        assert_eq!(ratios, [2.0, 0.75]);
        assert!(!report.kept(), "the second one is below 0.8");
    }

    #[test]
    fn without_a_baseline_no_ratio_is_judged() {
        let mut draft = Draft::new("p", 1, "t");
        draft.phase(phase("fast", 100, 0, 1.0), &BTreeMap::from([("ratio.order_flow".to_owned(), 1.5)]));
        assert!(draft.finish(false).kept());
    }

    #[test]
    fn a_ratio_that_could_not_be_measured_is_missed() {
        let mut draft = Draft::new("p", 1, "t");
        draft.phase(phase("fast", 100, 0, 1.0), &BTreeMap::from([("ratio.order_flow".to_owned(), 1.5)]));
        draft.baseline(Baseline { unavailable: Some("no pgbench".to_owned()), ..Baseline::default() });
        assert!(!draft.finish(false).kept());
    }

    #[test]
    fn the_machine_is_known() {
        let machine = Machine::here();
        assert!(machine.cores > 0 && machine.memory_mib > 0 && !machine.kernel.is_empty());
    }
}
