//! Faults over throughput, latency and restarts, as SVG.

use std::fmt::Write as _;

use super::text::{anchor, clock, escape};
use crate::{
    faults::{Happened, Outcome},
    report::{Course, Row},
};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 118.0;
const RIGHT: f64 = 14.0;
/// From one lane of faults to the next.
const LANE: f64 = 15.0;
/// More lanes than this tell nothing: then there is one for each kind of fault.
const LANES: usize = 16;
const PANEL: f64 = 110.0;
const GAP: f64 = 30.0;
/// More points than this say no more on a screen: several seconds become one.
const POINTS: usize = 480;
/// Kinds of faults, each with a colour of its own by its place.
const KINDS: [&str; 14] = [
    "kill",
    "pause",
    "restart",
    "weather",
    "cut",
    "failpoint",
    "provider",
    "faults",
    "restart_postgres",
    "disk_full",
    "clock",
    "repeat_events",
    "poison",
    "refuse_rows",
];
const COLOURS: usize = 8;

/// A curve: its colour, its name, and its values in time.
struct Curve {
    colour: &'static str,
    name: &'static str,
    values: Vec<(f64, Option<f64>)>,
}

/// The whole picture.
pub(super) fn draw(course: &Course) -> String {
    let chart = Chart::of(course);
    let mut svg = String::new();
    let lanes = chart.lanes(&course.faults);
    let top = 22.0;
    let panels = top + lanes.len() as f64 * LANE + GAP;
    let height = panels + 3.0 * (PANEL + GAP) + 4.0;
    let id = anchor(&course.name);
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\n\
         <title id=\"{id}-title\">{}: faults, orders per second, latency and restarts over {}</title>\n\
         <desc id=\"{id}-desc\">Bars at the top are faults, and the shade below each is how long it lasted. The tables of \
         this section have the same in figures.</desc>",
        escape(&course.name),
        clock(chart.end)
    );
    let bottom = height - GAP;
    for fault in &course.faults {
        let (x, width) = chart.span(fault);
        let _ = writeln!(
            svg,
            "<rect class=\"shade\" x=\"{x:.1}\" y=\"{panels:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
            bottom - panels
        );
    }
    if !lanes.is_empty() {
        let _ = writeln!(svg, "<text class=\"title\" x=\"4\" y=\"13\">faults</text>");
    }
    for (number, (label, faults)) in lanes.iter().enumerate() {
        chart.lane(&mut svg, top + number as f64 * LANE, label, faults);
    }
    let throughput = [
        chart.curve("var(--accepted)", "orders accepted", |rows| {
            mean(rows, |row| f64::from(row.clients.accepted))
        }),
        chart.curve("var(--refused)", "refused", |rows| mean(rows, |row| f64::from(row.clients.refused))),
        chart.curve("var(--unknown)", "unknown", |rows| mean(rows, |row| f64::from(row.clients.unknown))),
    ];
    chart.panel(&mut svg, panels, "per second", Scale::linear(&throughput), &throughput);
    let latency = [
        chart.curve("var(--p50)", "p50", |rows| slowest(rows, |row| row.clients.p50_ms)),
        chart.curve("var(--p99)", "p99", |rows| slowest(rows, |row| row.clients.p99_ms)),
    ];
    chart.panel(&mut svg, panels + PANEL + GAP, "latency, ms", Scale::decades(&latency), &latency);
    chart.restarts(&mut svg, panels + 2.0 * (PANEL + GAP));
    chart.time(&mut svg, bottom);
    svg.push_str("</svg>\n");
    svg
}

fn mean(rows: &[Row], of: impl Fn(&Row) -> f64) -> Option<f64> {
    Some(rows.iter().map(of).sum::<f64>() / rows.len().max(1) as f64)
}

/// A second without an accepted order has no latency.
fn slowest(rows: &[Row], of: impl Fn(&Row) -> f64) -> Option<f64> {
    rows.iter().filter(|row| row.clients.accepted > 0).map(of).max_by(f64::total_cmp)
}

/// An axis upwards.
enum Scale {
    Linear(f64),
    /// From a power of ten to another.
    Decades(i32, i32),
}

impl Scale {
    fn linear(curves: &[Curve]) -> Self {
        Self::Linear(round_up(values(curves).fold(1.0, f64::max)))
    }

    fn decades(curves: &[Curve]) -> Self {
        let positive = || values(curves).filter(|value| *value > 0.0);
        let low = positive().fold(f64::INFINITY, f64::min).min(10.0).log10().floor() as i32;
        let high = positive().fold(0.0, f64::max).max(10.0).log10().ceil() as i32;
        Self::Decades(low.clamp(-3, 6), high.max(low + 1).clamp(-2, 7))
    }

    /// From 0 at the bottom to 1 at the top.
    fn share(&self, value: f64) -> f64 {
        let share = match self {
            Self::Linear(most) => value / most,
            Self::Decades(low, high) => (value.max(1e-9).log10() - f64::from(*low)) / f64::from(high - low),
        };
        share.clamp(0.0, 1.0)
    }

    fn marks(&self) -> Vec<(f64, String)> {
        let number = |value: f64| if value < 1.0 { format!("{value}") } else { format!("{value:.0}") };
        match self {
            Self::Linear(most) => [0.0, most / 2.0, *most].map(|value| (value, number(value))).into(),
            Self::Decades(low, high) => {
                (*low..=*high).map(|power| (10f64.powi(power), number(10f64.powi(power)))).collect()
            }
        }
    }
}

fn values(curves: &[Curve]) -> impl Iterator<Item = f64> {
    curves.iter().flat_map(|curve| curve.values.iter().filter_map(|(_, value)| *value))
}

/// The next of 1, 2, 5, 10, 20, …
fn round_up(value: f64) -> f64 {
    let decade = 10f64.powf(value.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * decade).find(|step| *step >= value).unwrap_or(value)
}

/// The picture's time, and what happened in it.
struct Chart<'a> {
    end: f64,
    every: usize,
    rows: Vec<&'a [Row]>,
}

impl<'a> Chart<'a> {
    fn of(course: &'a Course) -> Self {
        let every = course.timeline.len().div_ceil(POINTS).max(1);
        let last = course.faults.iter().map(|fault| fault.until).fold(course.timeline.len() as f64, f64::max);
        Self { end: last.max(1.0), every, rows: course.timeline.chunks(every).collect() }
    }

    fn x(&self, second: f64) -> f64 {
        LEFT + (second / self.end).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// Where a fault is; never so short that it cannot be seen.
    fn span(&self, fault: &Happened) -> (f64, f64) {
        let (begun, ended) = (self.x(fault.at), self.x(fault.until));
        (begun.min(WIDTH - RIGHT - 2.0), (ended - begun).max(2.0))
    }

    fn curve(&self, colour: &'static str, name: &'static str, of: impl Fn(&[Row]) -> Option<f64>) -> Curve {
        let middle = self.every as f64 / 2.0;
        let at = |number: usize| (number * self.every) as f64 + middle;
        let values = self.rows.iter().enumerate().map(|(number, rows)| (at(number), of(rows)));
        Curve { colour, name, values: values.collect() }
    }

    /// One for each part that was met, or for each kind of fault where parts are too many.
    fn lanes<'f>(&self, faults: &'f [Happened]) -> Vec<(String, Vec<&'f Happened>)> {
        let by = |name: fn(&Happened) -> &str| {
            let mut lanes: Vec<(String, Vec<&Happened>)> = Vec::new();
            for fault in faults {
                match lanes.iter_mut().find(|(label, _)| label == name(fault)) {
                    Some((_, lane)) => lane.push(fault),
                    None => lanes.push((name(fault).to_owned(), vec![fault])),
                }
            }
            lanes.sort_by(|one, other| one.0.cmp(&other.0));
            lanes
        };
        let lanes = by(|fault| &fault.target);
        if lanes.len() > LANES { by(|fault| &fault.done) } else { lanes }
    }

    fn lane(&self, svg: &mut String, y: f64, label: &str, faults: &[&Happened]) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect class=\"lane\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.0}\"/>",
            LEFT - 6.0,
            y + 10.0,
            escape(label),
            y + 1.0,
            WIDTH - LEFT - RIGHT,
            LANE - 2.0
        );
        for fault in faults {
            let (x, width) = self.span(fault);
            let kind = KINDS.iter().position(|kind| *kind == fault.done).unwrap_or_default() % COLOURS;
            let class = if fault.result == Outcome::Done { "" } else { " class=\"bad\"" };
            let _ = writeln!(
                svg,
                "<rect{class} x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.0}\" fill=\"var(--k{kind})\">\
                 <title>{} – {}: {} {}</title></rect>",
                y + 1.0,
                LANE - 2.0,
                clock(fault.at),
                clock(fault.until),
                escape(&fault.what),
                escape(&fault.note)
            );
        }
    }

    /// The frame of a panel: title, legend, marks.
    fn frame(&self, svg: &mut String, y: f64, title: &str, scale: &Scale, legend: &[(&str, &str)]) {
        let _ = writeln!(svg, "<text class=\"title\" x=\"4\" y=\"{:.1}\">{title}</text>", y - 8.0);
        let mut x = LEFT;
        for (colour, name) in legend {
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.0}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
                 <text x=\"{:.0}\" y=\"{:.1}\">{name}</text>",
                y - 17.0,
                x + 14.0,
                y - 8.0
            );
            x += 30.0 + 6.5 * name.len() as f64;
        }
        for (value, text) in scale.marks() {
            let at = y + PANEL * (1.0 - scale.share(value));
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0
            );
        }
    }

    fn panel(&self, svg: &mut String, y: f64, title: &str, scale: Scale, curves: &[Curve]) {
        let legend: Vec<(&str, &str)> = curves.iter().map(|curve| (curve.colour, curve.name)).collect();
        self.frame(svg, y, title, &scale, &legend);
        for curve in curves {
            let (mut path, mut is_open) = (String::new(), false);
            for (at, value) in &curve.values {
                match value {
                    Some(value) => {
                        let letter = if is_open { 'L' } else { 'M' };
                        let height = y + PANEL * (1.0 - scale.share(*value));
                        let _ = write!(path, "{letter}{:.1} {height:.1}", self.x(*at));
                        // A point alone would not be seen.
                        if !is_open {
                            path.push_str("h.1");
                        }
                    }
                    None => {}
                }
                is_open = value.is_some();
            }
            let _ = writeln!(svg, "<path class=\"line\" stroke=\"{}\" d=\"{path}\"/>", curve.colour);
        }
    }

    /// Bars: actors and processes that were back in each second.
    fn restarts(&self, svg: &mut String, y: f64) {
        let series = [
            self.curve("var(--actors)", "actors restarted", |rows| {
                Some(rows.iter().map(|row| row.actor_restarts).sum::<u64>() as f64)
            }),
            self.curve("var(--processes)", "processes started again", |rows| {
                Some(rows.iter().map(|row| row.process_starts).sum::<u64>() as f64)
            }),
        ];
        let scale = Scale::linear(&series);
        let legend: Vec<(&str, &str)> = series.iter().map(|curve| (curve.colour, curve.name)).collect();
        self.frame(svg, y, "restarts", &scale, &legend);
        let width = (self.x(self.every as f64) - self.x(0.0)) / 2.0;
        for (number, curve) in series.iter().enumerate() {
            for (at, value) in &curve.values {
                let Some(value) = value.filter(|value| *value > 0.0) else { continue };
                let height = PANEL * scale.share(value);
                let x = self.x(*at) + (number as f64 - 1.0) * width;
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"{}\">\
                     <title>{}: {value:.0} {}</title></rect>",
                    y + PANEL - height,
                    width.max(1.0),
                    curve.colour,
                    clock(*at),
                    curve.name
                );
            }
        }
    }

    /// The axis of time, below everything.
    fn time(&self, svg: &mut String, y: f64) {
        const STEPS: [f64; 11] = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0];
        let step = STEPS.into_iter().find(|step| self.end / step <= 12.0).unwrap_or(3_600.0);
        let mut at = 0.0;
        while at <= self.end {
            let x = self.x(at);
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                y + 16.0,
                clock(at)
            );
            at += step;
        }
    }
}
