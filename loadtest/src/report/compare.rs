//! Two reports side by side, with what differs beyond the noise that each run shows within itself.
//!
//! The noise of a rate, and of CPU per order, is taken from the run's own seconds: the mean of up to ten stretches of time
//! and its 95 % interval (batch means: neighbouring seconds depend on each other). That of a percentile is the interval between the
//! neighbouring ranks of the histogram (order statistics). Both say how steady a run was, not what another run on another day
//! would have given.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, process::ExitCode};

use hdrhistogram::Histogram;

use super::{
    model::{Component, Phase, Report, Second},
    text::{figure, row, table},
    write::read,
};
use crate::{
    Failure,
    measure::histogram::{decode, millis},
};

/// Stretches of time that a run is cut into at most.
const BATCHES: usize = 10;
/// With fewer stretches nothing is said.
const FEWEST: usize = 5;
/// Student's t for 95 %, with the degrees of freedom of five to ten stretches.
const STUDENT: [f64; 6] = [2.776, 2.571, 2.447, 2.365, 2.306, 2.262];
/// Normal quantile for 95 %.
const NORMAL: f64 = 1.96;

/// A figure, and how far it may be from what another stretch of the same run would have given.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Figure {
    value: f64,
    /// Nothing when the run does not tell.
    noise: Option<f64>,
}

/// A row: what it is, whether more is better, both figures.
struct Pair {
    name: String,
    more_is_better: bool,
    a: Figure,
    b: Figure,
}

/// Compares two files, or the reports in two folders.
pub fn files(a: &Path, b: &Path) -> Result<ExitCode, Failure> {
    let (a, b) = (read(a).map_err(Failure::Other)?, read(b).map_err(Failure::Other)?);
    print!("{}", compare(&a, &b));
    Ok(ExitCode::SUCCESS)
}

/// The comparison as text.
pub fn compare(a: &Report, b: &Report) -> String {
    let mut out = String::new();
    for (name, report) in [("A", a), ("B", b)] {
        let meta = &report.meta;
        let partial = if meta.partial { ", PARTIAL" } else { "" };
        let bound = if report.generator_bound { ", the generator was in the way" } else { "" };
        let _ = writeln!(
            out,
            "{name}: {} of {}, seed {}{partial}{bound}",
            meta.profile, meta.started_at, meta.seed
        );
    }
    if a.meta.machine.cpu != b.meta.machine.cpu || a.meta.machine.cores != b.meta.machine.cores {
        out.push_str("these are two machines: only what depends on neither of them can be compared\n");
    }
    let mut compared = 0;
    for phase in &a.phases {
        let Some(other) = b.phase(&phase.name) else {
            let _ = writeln!(out, "\n{}: only in A", phase.name);
            continue;
        };
        compared += 1;
        let load = if phase.load == other.load {
            phase.load.clone()
        } else {
            format!("{} in A, {} in B", phase.load, other.load)
        };
        let _ = writeln!(out, "\n{}: {load}", phase.name);
        let mut rows = vec![row!["", "A", "B", "difference", ""]];
        rows.extend(pairs(phase, other).iter().map(Pair::row));
        out.push_str(&table(&rows));
    }
    for phase in b.phases.iter().filter(|phase| a.phase(&phase.name).is_none()) {
        let _ = writeln!(out, "\n{}: only in B", phase.name);
    }
    let ratios = ratios(a, b);
    if ratios.len() > 1 {
        let _ = write!(out, "\nratios to the baseline of the same run\n{}", table(&ratios));
    }
    if compared > 0 {
        out.push_str("\n  better, worse: the difference is larger than the noise within both runs (95 %); ~: it is not\n");
    }
    out
}

fn ratios(a: &Report, b: &Report) -> Vec<Vec<String>> {
    let mut rows = vec![row!["", "A", "B", "difference"]];
    for ours in &a.ratios {
        if let Some(theirs) = b.ratios.iter().find(|ratio| ratio.name == ours.name) {
            rows.push(row![
                ours.name,
                format!("{:.2} ×", ours.ratio),
                format!("{:.2} ×", theirs.ratio),
                signed_percent(ours.ratio, theirs.ratio)
            ]);
        }
    }
    rows
}

fn pairs(a: &Phase, b: &Phase) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut add = |name: String, more_is_better: bool, a: Option<Figure>, b: Option<Figure>| {
        pairs.extend(a.zip(b).map(|(a, b)| Pair { name, more_is_better, a, b }));
    };
    if a.orders.completed_measured + b.orders.completed_measured > 0 {
        let completed =
            |phase| Some(rate(phase, |second| second.completed, phase.orders.per_second_completed));
        add("orders completed/s".to_owned(), true, completed(a), completed(b));
    }
    let good = |phase: &Phase| Some(rate(phase, |second| second.good, phase.requests.per_second));
    add("good requests/s".to_owned(), true, good(a), good(b));
    let share = |phase: &Phase| Some(Figure { value: phase.requests.unexpected_share * 100.0, noise: None });
    add("failed, %".to_owned(), false, share(a), share(b));
    let mut times: Vec<(&str, &str, &str)> = Vec::new();
    for (name, ours) in &a.operations {
        times.extend(
            b.operations
                .get(name)
                .map(|theirs| (name.as_str(), ours.histogram.as_str(), theirs.histogram.as_str())),
        );
    }
    times.push(("created to completed", &a.orders.histogram, &b.orders.histogram));
    if let (Some(ours), Some(theirs)) = (&a.streams, &b.streams) {
        times.push(("event to client", &ours.histogram, &theirs.histogram));
    }
    for (name, ours, theirs) in times {
        let (ours, theirs) = (decode(ours), decode(theirs));
        for (quantile, shown) in [(0.5, "p50"), (0.99, "p99")] {
            let at = |histogram: &Option<Histogram<u64>>| percentile(histogram.as_ref()?, quantile);
            add(format!("{name} {shown}, ms"), false, at(&ours), at(&theirs));
        }
    }
    let components = |phase: &Phase| -> BTreeMap<String, Component> {
        let all = ("all but the generator".to_owned(), phase.platform.clone());
        phase.components.clone().into_iter().chain([all]).collect()
    };
    let theirs = components(b);
    for (name, ours) in components(a) {
        let Some(theirs) = theirs.get(&name) else { continue };
        let per_order = |phase: &Phase, component: &Component| cpu(phase, &name, component);
        add(format!("CPU {name}, µs/order"), false, per_order(a, &ours), per_order(b, theirs));
        let memory =
            |component: &Component| component.memory_mib_max.map(|value| Figure { value, noise: None });
        add(format!("memory {name}, MiB"), false, memory(&ours), memory(theirs));
    }
    for (name, value) in &a.figures {
        let figure = |value: f64| Figure { value, noise: None };
        add(name.clone(), false, Some(figure(*value)), b.figures.get(name).copied().map(figure));
    }
    pairs
}

/// The seconds that were measured as a whole.
fn measured(phase: &Phase) -> impl Iterator<Item = &Second> {
    let (from, to) = (phase.warm_up_seconds.ceil() as u64, phase.seconds.floor() as u64);
    phase.series.iter().filter(move |second| (from..to).contains(&second.second))
}

fn rate(phase: &Phase, count: fn(&Second) -> u64, value: f64) -> Figure {
    let seconds: Vec<f64> = measured(phase).map(|second| count(second) as f64).collect();
    Figure { value, noise: noise(&batches(&seconds, |batch| batch.iter().sum::<f64>() / batch.len() as f64)) }
}

/// CPU per order: what was used in a stretch of time over what was completed in it.
fn cpu(phase: &Phase, name: &str, component: &Component) -> Option<Figure> {
    let used = |second: &Second| match second.cpu.get(name) {
        Some(cores) => *cores,
        None => second.cpu.iter().filter(|(other, _)| *other != "generator").map(|(_, cores)| cores).sum(),
    };
    let seconds: Vec<(f64, f64)> =
        measured(phase).map(|second| (used(second), second.completed as f64)).collect();
    let per_order = batches(&seconds, |batch| {
        let (used, completed) =
            batch.iter().fold((0.0, 0.0), |sum, second| (sum.0 + second.0, sum.1 + second.1));
        used * 1e6 / f64::max(completed, 1.0)
    });
    component.cpu_us_per_order.map(|value| Figure { value, noise: noise(&per_order) })
}

fn batches<T>(seconds: &[T], of: impl Fn(&[T]) -> f64) -> Vec<f64> {
    // As long as it takes for the whole run to be in them: of 19 seconds ten stretches of one would leave out nine.
    let length = seconds.len().div_ceil(BATCHES).max(1);
    seconds.chunks_exact(length).map(of).collect()
}

/// Half of the mean's 95 % interval.
fn noise(batches: &[f64]) -> Option<f64> {
    let student = STUDENT.get(batches.len().checked_sub(FEWEST)?)?;
    let count = batches.len() as f64;
    let mean = batches.iter().sum::<f64>() / count;
    let variance = batches.iter().map(|batch| (batch - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Some(student * (variance / count).sqrt())
}

/// A percentile in milliseconds, with the ranks that it may as well have been.
fn percentile(histogram: &Histogram<u64>, quantile: f64) -> Option<Figure> {
    let count = histogram.len() as f64;
    if histogram.is_empty() {
        return None;
    }
    let at = |quantile: f64| millis(histogram.value_at_quantile(quantile.clamp(0.0, 1.0)));
    let spread = NORMAL * (quantile * (1.0 - quantile) / count).sqrt();
    // Above the highest rank nothing is known.
    let known = quantile + spread < 1.0;
    let half = (at(quantile + spread) - at(quantile - spread)) / 2.0;
    Some(Figure { value: at(quantile), noise: known.then_some(half) })
}

impl Pair {
    fn row(&self) -> Vec<String> {
        let Self { name, a, b, .. } = self;
        row![name, figure(a.value), figure(b.value), signed_percent(a.value, b.value), self.verdict()]
    }

    fn verdict(&self) -> &'static str {
        let difference = self.b.value - self.a.value;
        match self.a.noise.zip(self.b.noise) {
            None => "",
            Some((one, other)) if difference.abs() <= one.hypot(other) => "~",
            Some(_) if (difference > 0.0) == self.more_is_better => "better",
            Some(_) => "worse",
        }
    }
}

fn signed_percent(a: f64, b: f64) -> String {
    if a == 0.0 {
        return if b == 0.0 { "0.0 %".to_owned() } else { "new".to_owned() };
    }
    format!("{:+.1} %", (b - a) / a * 100.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::{
        measure::histogram::{encode, histogram, record},
        report::model::{Operation, Orders},
    };

    fn report(per_second: u64, wobble: u64, slow: u64) -> Report {
        let mut latencies = histogram();
        for number in 0..10_000u64 {
            record(&mut latencies, Duration::from_micros((1_000 + number) * slow));
        }
        let second = |second: u64| Second {
            second,
            good: per_second + (second % 7) * wobble,
            completed: per_second + (second % 7) * wobble,
            ..Second::default()
        };
        let order =
            Operation { count: 10_000, good: 10_000, histogram: encode(&latencies), ..Operation::default() };
        let phase = Phase {
            name: "peak".to_owned(),
            load: "64 clients".to_owned(),
            seconds: 60.0,
            operations: BTreeMap::from([("order".to_owned(), order)]),
            orders: Orders {
                per_second_completed: per_second as f64,
                completed_measured: per_second * 60,
                ..Orders::default()
            },
            series: (0..60).map(second).collect(),
            ..Phase::default()
        };
        Report { phases: vec![phase], ..Report::default() }
    }

    fn verdict(a: &Report, b: &Report, name: &str) -> &'static str {
        let pairs = pairs(&a.phases[0], &b.phases[0]);
        pairs.iter().find(|pair| pair.name == name).unwrap().verdict()
    }

    #[test]
    fn a_difference_within_the_noise_is_none() {
        let (a, b) = (report(1_000, 100, 1), report(1_005, 100, 1));
        assert_eq!(verdict(&a, &b, "orders completed/s"), "~");
        assert_eq!(verdict(&a, &b, "order p99, ms"), "~");
    }

    #[test]
    fn a_difference_beyond_the_noise_is_told_with_its_direction() {
        let (a, b) = (report(1_000, 20, 1), report(2_000, 20, 2));
        assert_eq!(verdict(&a, &b, "orders completed/s"), "better");
        assert_eq!(verdict(&b, &a, "orders completed/s"), "worse");
        assert_eq!(verdict(&a, &b, "order p50, ms"), "worse");
        assert_eq!(verdict(&b, &a, "order p99, ms"), "better");
        let text = compare(&a, &b);
        assert!(text.contains("+100.0 %") && text.contains("orders completed/s"), "{text}");
    }

    #[test]
    fn the_noise_is_that_of_the_whole_run() {
        for length in 5..=200usize {
            let seconds: Vec<usize> = (0..length).collect();
            let seen = batches(&seconds, |batch| batch.len() as f64);
            let left_out = length - seen.iter().sum::<f64>() as usize;
            assert!(seen.len() <= BATCHES && seen.len() >= FEWEST, "{length}: {}", seen.len());
            assert!(left_out * 6 <= length, "{left_out} of {length} seconds are left out");
        }
    }

    #[test]
    fn a_short_run_has_unknown_noise() {
        let (mut a, b) = (report(1_000, 0, 1), report(2_000, 0, 1));
        a.phases[0].series.truncate(4);
        assert_eq!(verdict(&a, &b, "orders completed/s"), "");
    }

    #[test]
    fn phases_of_one_report_only_are_told() {
        let (a, mut b) = (report(1, 0, 1), report(1, 0, 1));
        b.phases[0].name = "other".to_owned();
        let text = compare(&a, &b);
        assert!(text.contains("peak: only in A") && text.contains("other: only in B"), "{text}");
    }
}
