//! What counters and histograms say about the last seconds: increases between two readings of the same process.
//!
//! A counter that is smaller than before began anew (its process was started again), and all that it shows is new, as
//! Prometheus' `rate` has it. Quantiles are interpolated within a bucket, as its `histogram_quantile` does.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use super::exposition::{Exposition, Labels, Sample};

/// How far back figures look: long enough that a p99 is more than a few requests, short enough to see a change.
pub const WINDOW: Duration = Duration::from_secs(10);
/// How far back falls are told.
pub const MINUTE: Duration = Duration::from_secs(60);
/// What is told of the last minute.
const TOLD_OF_THE_MINUTE: [&str; 3] =
    ["actor_restarts_total", "actor_escalations_total", "actor_stuck_total"];
/// How many readings a window is remembered by. Those that are nearer to each other are left out.
const STEPS: u32 = 5;

/// What was read from a process at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// When.
    pub at: Instant,
    /// What.
    pub exposition: Exposition,
}

/// Readings that reach as far back as a window, and one beyond it.
#[derive(Debug, Clone)]
struct Past {
    window: Duration,
    kept: VecDeque<Reading>,
}

impl Past {
    fn of(window: Duration) -> Self {
        Self { window, kept: VecDeque::new() }
    }

    fn keep(&mut self, last: Reading, now: Instant) {
        let step = self.window / STEPS;
        if self.kept.back().is_none_or(|kept| last.at.saturating_duration_since(kept.at) >= step) {
            self.kept.push_back(last);
        }
        while self.kept.get(1).is_some_and(|next| now.saturating_duration_since(next.at) >= self.window) {
            self.kept.pop_front();
        }
    }
}

/// The readings of one process: the present one, and a few of the past.
#[derive(Debug, Clone)]
pub struct Process {
    now: Reading,
    seconds: Past,
    minute: Past,
}

impl Process {
    /// A process that was read for the first time.
    pub fn new(now: Reading) -> Self {
        Self { now, seconds: Past::of(WINDOW), minute: Past::of(MINUTE) }
    }

    /// It was read once more.
    pub fn read(&mut self, next: Reading) {
        let at = next.at;
        let last = std::mem::replace(&mut self.now, next);
        let little = last.exposition.only(&TOLD_OF_THE_MINUTE);
        self.minute.keep(Reading { at: last.at, exposition: little }, at);
        self.seconds.keep(last, at);
    }

    /// The present reading.
    pub fn now(&self) -> &Reading {
        &self.now
    }

    /// The increase per second of each series of this name; nothing before the second reading.
    pub fn rates(&self, name: &str) -> Vec<(&Sample, f64)> {
        let Some(before) = self.seconds.kept.front() else { return Vec::new() };
        let seconds = self.now.at.saturating_duration_since(before.at).as_secs_f64();
        if seconds <= 0.0 {
            return Vec::new();
        }
        let per_second = |(sample, by)| (sample, by / seconds);
        increases(&before.exposition, &self.now.exposition, name).into_iter().map(per_second).collect()
    }

    /// The increase of each series of this name in the last minute, or since the first reading: of restarts,
    /// escalations and stuck actors.
    pub fn of_the_minute(&self, name: &str) -> Vec<(&Sample, f64)> {
        let Some(before) = self.minute.kept.front() else { return Vec::new() };
        increases(&before.exposition, &self.now.exposition, name)
    }
}

/// By how much each series of this name has grown.
fn increases<'a>(before: &Exposition, now: &'a Exposition, name: &str) -> Vec<(&'a Sample, f64)> {
    let before: HashMap<&Labels, f64> =
        before.samples(name).iter().map(|sample| (&sample.labels, sample.value)).collect();
    let by = |sample: &Sample| match before.get(&sample.labels) {
        Some(before) if sample.value >= *before => sample.value - before,
        _ => sample.value,
    };
    now.samples(name).iter().map(|sample| (sample, by(sample))).collect()
}

/// Observations by upper bound, of as many series as were added.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// Upper bounds and how many observations were at most that.
    cumulative: Vec<(f64, f64)>,
}

impl Histogram {
    /// Adds a series of `<name>_bucket`; one without a bound counts for nothing.
    pub fn add(&mut self, bucket: &Sample, observations: f64) {
        let Ok(bound) = bucket.label("le").parse::<f64>() else { return };
        match self.cumulative.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, count)) => *count += observations,
            None => self.cumulative.push((bound, observations)),
        }
    }

    /// The value below which this share of the observations lies; `None` when there were none. Behind the last finite
    /// bound nothing is known, and that bound is the answer.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let mut buckets = self.cumulative.clone();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all = buckets.last()?.1;
        if all <= 0.0 {
            return None;
        }
        let (mut below, mut bound) = (0.0, 0.0);
        for (upper, count) in buckets {
            if count >= share * all && count > below {
                let within = (share * all - below) / (count - below);
                return Some(if upper.is_finite() { bound + (upper - bound) * within } else { bound });
            }
            (below, bound) = (count, if upper.is_finite() { upper } else { bound });
        }
        Some(bound)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn reading(start: Instant, second: u64, text: &str) -> Reading {
        let exposition = Exposition::parse(text, |_| true).unwrap();
        Reading { at: start + Duration::from_secs(second), exposition }
    }

    fn total(process: &Process, name: &str) -> f64 {
        process.rates(name).iter().map(|(_, rate)| rate).sum()
    }

    #[test]
    fn a_rate_needs_two_readings_and_survives_a_counter_that_begins_anew() {
        let start = Instant::now();
        let mut process = Process::new(reading(start, 0, "a{x=\"1\"} 100\n"));
        assert!(process.rates("a").is_empty());
        process.read(reading(start, 2, "a{x=\"1\"} 120\na{x=\"2\"} 4\n"));
        assert_eq!(total(&process, "a"), 12.0);
        let mut process = Process::new(reading(start, 0, "a 100\n"));
        process.read(reading(start, 4, "a 8\n"));
        assert_eq!(total(&process, "a"), 2.0);
    }

    #[test]
    fn rates_look_back_over_the_window_and_no_further() {
        let start = Instant::now();
        let mut process = Process::new(reading(start, 0, "a 0\n"));
        for second in 1..=60 {
            process.read(reading(start, second, &format!("a {}\n", second * second)));
        }
        // 60² − 50² over ten seconds, however often it was read.
        assert_eq!(total(&process, "a"), 110.0);
        assert!(process.seconds.kept.len() <= 7, "{:?}", process.seconds);
    }

    #[test]
    fn falls_are_told_of_the_last_minute() {
        let start = Instant::now();
        let restarts = |n| format!("actor_restarts_total{{actor=\"a\"}} {n}\nother 1\n");
        let mut process = Process::new(reading(start, 0, &restarts(5)));
        let told = |process: &Process| {
            process.of_the_minute("actor_restarts_total").iter().map(|(_, by)| by).sum::<f64>()
        };
        assert_eq!(told(&process), 0.0, "what was before is not told");
        process.read(reading(start, 2, &restarts(8)));
        assert_eq!(told(&process), 3.0);
        for second in (4..=120).step_by(2) {
            process.read(reading(start, second, &restarts(8)));
        }
        assert_eq!(told(&process), 0.0, "it is over");
        assert!(process.of_the_minute("other").iter().all(|(_, by)| *by == 1.0), "and nothing else is kept");
    }

    #[test]
    fn readings_at_the_same_moment_give_no_rate() {
        let start = Instant::now();
        let mut process = Process::new(reading(start, 0, "a 1\n"));
        process.read(reading(start, 0, "a 2\n"));
        assert!(process.rates("a").is_empty());
    }

    fn histogram(buckets: &[(&str, f64)]) -> Histogram {
        let mut histogram = Histogram::default();
        for (bound, count) in buckets {
            let labels = vec![("le".to_owned(), (*bound).to_owned())];
            histogram.add(&Sample { labels, value: 0.0 }, *count);
        }
        histogram
    }

    #[test]
    fn quantiles_are_those_of_prometheus() {
        let found = histogram(&[("0.1", 50.0), ("0.2", 100.0), ("+Inf", 100.0)]);
        assert_eq!(found.quantile(0.5), Some(0.1));
        assert!((found.quantile(0.99).unwrap() - 0.198).abs() < 1e-9);
        let beyond = histogram(&[("+Inf", 10.0), ("0.1", 0.0), ("5", 1.0)]);
        assert_eq!(beyond.quantile(0.99), Some(5.0), "nothing is known behind the last bound");
        assert_eq!(histogram(&[("0.1", 0.0), ("+Inf", 0.0)]).quantile(0.99), None);
        assert_eq!(Histogram::default().quantile(0.99), None);
    }
}
