//! The plots of a phase.

use std::collections::BTreeMap;

use super::plot::{Plot, Scale, Series};
use crate::{
    measure::{
        components::{GENERATOR, PLATFORM, POSTGRES},
        histogram::{decode, millis},
    },
    report::{
        model::{Phase, Second},
        text::{clock, count, figure},
    },
};

/// More points than this say no more on a screen: several seconds become one.
const POINTS: usize = 240;
/// The most curves in one plot.
const CURVES: usize = 8;
/// Components with a colour of their own, whatever else there is.
const COLOURS: [(&str, usize); 10] = [
    (POSTGRES, 0),
    ("orders", 1),
    ("inventory", 3),
    ("payments", 4),
    ("gateway", 2),
    ("catalog", 5),
    ("identity", 6),
    ("simulator", 8),
    (PLATFORM, 7),
    (GENERATOR, 9),
];

/// Everything that this phase has something for.
pub fn all(phase: &Phase) -> Vec<Plot> {
    let time = Time::of(phase);
    let plots = [
        percentiles(phase),
        latency(&time),
        throughput(&time),
        cpu(&time),
        memory(&time),
        gauge(&time, "Open streams", |second| second.open_streams, 4),
        gauge(&time, "Users", |second| second.users, 3),
    ];
    plots.into_iter().flatten().collect()
}

/// HdrHistogram's curve: the rarer, the further to the right.
fn percentiles(phase: &Phase) -> Option<Plot> {
    let operations = phase.operations.iter();
    let mut curves: Vec<(String, u64, &str)> = operations
        .map(|(name, operation)| (name.clone(), operation.count, operation.histogram.as_str()))
        .collect();
    curves.sort_by_key(|(_, requests, _)| std::cmp::Reverse(*requests));
    curves.truncate(CURVES - 2);
    curves.push(("created to completed".to_owned(), 0, &phase.orders.histogram));
    curves.extend(
        phase.streams.as_ref().map(|streams| ("event to client".to_owned(), 0, streams.histogram.as_str())),
    );
    let mut series: Vec<Series> = Vec::new();
    let mut furthest = 1.0f64;
    for (name, _, text) in curves {
        let Some(histogram) = decode(text).filter(|histogram| !histogram.is_empty()) else { continue };
        // Beyond this there is less than one request.
        let end = (histogram.len() as f64).log10().max(0.3);
        furthest = furthest.max(end);
        let steps = (end * 20.0).ceil() as u32;
        let points = (0..=steps).map(|step| {
            let x = (f64::from(step) / 20.0).min(end);
            (x, Some(millis(histogram.value_at_quantile(1.0 - 10f64.powf(-x)))))
        });
        let dashed = name == "created to completed";
        series.push(Series { name, colour: series.len() % 9, points: points.collect(), dashed });
    }
    if series.is_empty() {
        return None;
    }
    let values = series.iter().flat_map(|series| series.points.iter().filter_map(|(_, y)| *y));
    let names = ["0", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
    let marks = names.iter().enumerate().map(|(nines, name)| (nines as f64, (*name).to_owned()));
    let median = (2f64.log10(), "50 %".to_owned());
    Some(Plot {
        title: "Latency percentiles".to_owned(),
        unit: "ms",
        x_unit: "this share was not slower",
        x: Scale::Linear(furthest),
        x_marks: marks.filter(|(x, _)| *x <= furthest).chain([median]).collect(),
        y: Scale::decades(values),
        series,
        stacked: false,
        left_out: None,
        hints: Vec::new(),
    })
}

/// The seconds of a phase, several as one when there are many.
struct Time {
    warm_up: f64,
    end: f64,
    every: usize,
    seconds: Vec<(f64, Second)>,
}

impl Time {
    fn of(phase: &Phase) -> Self {
        let every = phase.series.len().div_ceil(POINTS).max(1);
        let seconds = phase.series.chunks(every).filter_map(together).collect();
        Self { warm_up: phase.warm_up_seconds, end: phase.series.len() as f64, every, seconds }
    }

    /// A curve. Each point stands in the middle of its time.
    fn curve(&self, name: &str, colour: usize, figure: impl Fn(&Second) -> Option<f64>) -> Series {
        let middle = self.every as f64 / 2.0;
        let points = self.seconds.iter().map(|(at, second)| (at + middle, figure(second))).collect();
        Series { name: name.to_owned(), colour, points, dashed: false }
    }

    fn plot(&self, title: &str, unit: &'static str, y: Scale, series: Vec<Series>) -> Plot {
        let marks = time_marks(self.end);
        let hints = self.seconds.iter().enumerate().map(|(number, (at, _))| {
            let values = series.iter().filter_map(|series| {
                let (_, value) = series.points.get(number)?;
                Some(format!("{} {}", series.name, figure((*value)?)))
            });
            let text = format!("{}: {}", clock(*at), values.collect::<Vec<_>>().join(", "));
            (*at, at + self.every as f64, text)
        });
        Plot {
            title: title.to_owned(),
            unit,
            x_unit: "",
            x: Scale::Linear(self.end.max(1.0)),
            x_marks: marks.map(|mark| (mark, clock(mark))).collect(),
            y,
            hints: hints.collect(),
            series,
            stacked: false,
            left_out: Some((0.0, self.warm_up.min(self.end))),
        }
    }
}

/// A handful of round times.
fn time_marks(end: f64) -> impl Iterator<Item = f64> {
    const STEPS: [f64; 14] =
        [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 14_400.0, 86_400.0];
    let step = STEPS.into_iter().find(|step| end / step <= 6.5).unwrap_or(end / 5.0).max(1.0);
    (0..=(end / step) as u32).map(move |mark| f64::from(mark) * step)
}

/// Rates become their mean, times the worst, and what is held the most.
fn together(chunk: &[Second]) -> Option<(f64, Second)> {
    let first = chunk.first()?;
    let length = chunk.len() as u64;
    let mean = |figure: fn(&Second) -> u64| {
        (chunk.iter().map(figure).sum::<u64>() as f64 / length as f64).round() as u64
    };
    let most = |figure: fn(&Second) -> f64| chunk.iter().map(figure).fold(0.0, f64::max);
    let means = |figures: fn(&Second) -> &BTreeMap<String, f64>| {
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        for second in chunk {
            for (name, figure) in figures(second) {
                *sums.entry(name.clone()).or_default() += figure / length as f64;
            }
        }
        sums
    };
    let second = Second {
        second: first.second,
        started: mean(|second| second.started),
        good: mean(|second| second.good),
        refused: mean(|second| second.refused),
        failed: mean(|second| second.failed),
        p50_ms: most(|second| second.p50_ms),
        p99_ms: most(|second| second.p99_ms),
        completed: mean(|second| second.completed),
        cpu: means(|second| &second.cpu),
        memory: means(|second| &second.memory),
        open_streams: mean(|second| second.open_streams),
        users: mean(|second| second.users),
    };
    Some((first.second as f64, second))
}

fn latency(time: &Time) -> Option<Plot> {
    let there = |figure: f64| (figure > 0.0).then_some(figure);
    let series = vec![
        time.curve("p99", 2, |second| there(second.p99_ms)),
        time.curve("p50", 0, |second| there(second.p50_ms)),
    ];
    let values: Vec<f64> =
        series.iter().flat_map(|series| series.points.iter().filter_map(|(_, y)| *y)).collect();
    let (low, high) =
        values.iter().fold((f64::INFINITY, 0.0f64), |(low, high), y| (low.min(*y), high.max(*y)));
    if values.is_empty() {
        return None;
    }
    // One stall must not flatten everything else.
    let y = if high > 30.0 * low { Scale::decades(values.into_iter()) } else { Scale::above(high) };
    Some(time.plot("Latency over time", "ms, all requests", y, series))
}

fn throughput(time: &Time) -> Option<Plot> {
    type Of = fn(&Second) -> u64;
    let all: [(&str, usize, Of); 5] = [
        ("good", 5, |second| second.good),
        ("orders completed", 0, |second| second.completed),
        ("refused", 1, |second| second.refused),
        ("failed", 2, |second| second.failed),
        ("started", 9, |second| second.started),
    ];
    let seen = all.into_iter().filter(|(_, _, of)| time.seconds.iter().any(|(_, second)| of(second) > 0));
    let series: Vec<Series> =
        seen.map(|(name, colour, of)| time.curve(name, colour, |second| Some(of(second) as f64))).collect();
    let y = Scale::above(highest(&series));
    (!series.is_empty()).then(|| time.plot("Throughput", "per second", y, series))
}

fn cpu(time: &Time) -> Option<Plot> {
    let series = components(time, |second| &second.cpu);
    let sums = time.seconds.iter().map(|(_, second)| second.cpu.values().sum::<f64>());
    let y = Scale::above(sums.fold(0.0, f64::max));
    (!series.is_empty())
        .then(|| Plot { stacked: true, ..time.plot("CPU", "cores, one on the other", y, series) })
}

fn memory(time: &Time) -> Option<Plot> {
    let series = components(time, |second| &second.memory);
    let y = Scale::above(highest(&series));
    (!series.is_empty()).then(|| time.plot("Memory", "MiB", y, series))
}

fn gauge(time: &Time, title: &str, of: fn(&Second) -> u64, colour: usize) -> Option<Plot> {
    let most = time.seconds.iter().map(|(_, second)| of(second)).max().filter(|most| *most > 0)?;
    let name = format!("{} at most", count(most));
    let series = vec![time.curve(&name, colour, |second| Some(of(second) as f64))];
    Some(time.plot(title, "at once", Scale::above(most as f64), series))
}

/// A curve for each component, those that use most first.
fn components(time: &Time, figures: fn(&Second) -> &BTreeMap<String, f64>) -> Vec<Series> {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (_, second) in &time.seconds {
        for (name, figure) in figures(second) {
            *sums.entry(name).or_default() += figure;
        }
    }
    let mut names: Vec<(&str, f64)> = sums.into_iter().collect();
    // The generator is no part of what is measured: it lies on top.
    names.sort_by(|(name, sum), (other, than)| {
        (*name == GENERATOR).cmp(&(*other == GENERATOR)).then(than.total_cmp(sum))
    });
    let colour =
        |name: &str| COLOURS.iter().find(|(known, _)| *known == name).map_or(8, |(_, colour)| *colour);
    let of = |name: &str| {
        let label = if name == POSTGRES { "PostgreSQL" } else { name };
        time.curve(label, colour(name), |second| figures(second).get(name).copied())
    };
    names.iter().filter(|(_, sum)| *sum > 0.0).map(|(name, _)| of(name)).collect()
}

fn highest(series: &[Series]) -> f64 {
    series.iter().flat_map(|series| series.points.iter().filter_map(|(_, y)| *y)).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn many_seconds_become_few_points_without_hiding_a_stall() {
        let second = |number: u64| Second {
            second: number,
            good: 100,
            p99_ms: if number == 777 { 5_000.0 } else { 10.0 },
            ..Second::default()
        };
        let phase = Phase { series: (0..2_000).map(second).collect(), ..Phase::default() };
        let time = Time::of(&phase);
        assert!(time.seconds.len() <= POINTS && time.every == 9);
        assert!(time.seconds.iter().all(|(_, second)| second.good == 100));
        assert!(time.seconds.iter().any(|(_, second)| second.p99_ms == 5_000.0));
    }

    #[test]
    fn the_generator_lies_on_top() {
        let cpu = [("generator", 0.9), ("orders", 0.2), ("postgres", 0.5)];
        let cpu: BTreeMap<String, f64> =
            cpu.into_iter().map(|(name, cores)| (name.to_owned(), cores)).collect();
        let phase = Phase { series: vec![Second { cpu, ..Second::default() }], ..Phase::default() };
        let names: Vec<String> = components(&Time::of(&phase), |second| &second.cpu)
            .into_iter()
            .map(|series| series.name)
            .collect();
        assert_eq!(names, ["PostgreSQL", "orders", "generator"]);
    }
}
