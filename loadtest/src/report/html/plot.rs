//! Plots as inline SVG: lines and stacked areas over linear or logarithmic axes. Drawn for a width of 480 units, so that
//! letters stay readable when a phone shrinks it.

use std::fmt::Write as _;

use super::escape;

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 466.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 218.0;

/// From a figure to a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Evenly from 0 to here.
    Linear(f64),
    /// By decades.
    Log(f64, f64),
}

/// One curve or area.
pub struct Series {
    /// Its name.
    pub name: String,
    /// Number of its colour.
    pub colour: usize,
    /// Points by x. What is missing is a gap.
    pub points: Vec<(f64, Option<f64>)>,
    /// Drawn dashed.
    pub dashed: bool,
}

/// A plot.
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// What the figures count.
    pub unit: &'static str,
    /// What x counts.
    pub x_unit: &'static str,
    /// The x axis.
    pub x: Scale,
    /// Where x has marks, and what they say.
    pub x_marks: Vec<(f64, String)>,
    /// The y axis.
    pub y: Scale,
    /// What is drawn.
    pub series: Vec<Series>,
    /// One on the other.
    pub stacked: bool,
    /// From here to there nothing is measured.
    pub left_out: Option<(f64, f64)>,
    /// What is told where a pointer rests, from x to x.
    pub hints: Vec<(f64, f64, String)>,
}

impl Scale {
    /// From 0 to a little above the highest figure.
    pub fn above(highest: f64) -> Self {
        let highest = if highest.is_finite() && highest > 0.0 { highest } else { 1.0 };
        let step = step(highest);
        Self::Linear((highest * 1.02 / step).ceil() * step)
    }

    /// By decades, from the lowest to the highest figure.
    pub fn decades(figures: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0.0f64);
        for figure in figures.filter(|figure| *figure > 0.0 && figure.is_finite()) {
            low = low.min(figure);
            high = high.max(figure);
        }
        if high == 0.0 {
            return Self::Log(1.0, 10.0);
        }
        // To the next 1, 2 or 5, so that half of the plot is not empty.
        let round = |figure: f64, up: bool| {
            let decade = 10f64.powf(figure.log10().floor());
            let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
            let found = if up {
                steps.iter().find(|step| **step >= figure * 0.999)
            } else {
                steps.iter().rfind(|step| **step <= figure * 1.001)
            };
            found.copied().unwrap_or(figure)
        };
        let (low, high) = (round(low, false), round(high, true));
        Self::Log(low, if high > low { high } else { low * 10.0 })
    }

    fn at(self, figure: f64) -> f64 {
        let part = match self {
            Self::Linear(most) => figure / most,
            Self::Log(low, high) => (figure.max(low) / low).ln() / (high / low).ln(),
        };
        part.clamp(0.0, 1.0)
    }

    fn marks(self) -> Vec<f64> {
        match self {
            Self::Linear(most) => {
                let step = step(most);
                (0..=(most / step).round() as u32).map(|number| f64::from(number) * step).collect()
            }
            Self::Log(low, high) => {
                let decades = (high / low).log10();
                let within: &[f64] = if decades <= 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let first = low.log10().floor() as i32;
                let all = (first..=high.log10().ceil() as i32)
                    .flat_map(|power| within.iter().map(move |mark| mark * 10f64.powi(power)));
                all.filter(|mark| (low * 0.999..=high * 1.001).contains(mark)).collect()
            }
        }
    }
}

/// 1, 2 or 5 times a power of ten, so that there are about five marks.
fn step(most: f64) -> f64 {
    let rough = most / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(rough)
}

/// A mark's figure in few letters.
pub fn short(figure: f64) -> String {
    let (figure, unit) = match figure.abs() {
        size if size >= 1e6 => (figure / 1e6, "M"),
        size if size >= 1e4 => (figure / 1e3, "k"),
        _ => (figure, ""),
    };
    let text = format!("{figure:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

impl Plot {
    /// As an HTML figure.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let title = escape(&self.title);
        let _ = write!(
            out,
            "<figure><figcaption><b>{title}</b><span class=\"unit\">{}</span>",
            escape(self.unit)
        );
        out.push_str("<span class=\"legend\">");
        for series in &self.series {
            let dashed = if series.dashed { " dashed" } else { "" };
            let _ =
                write!(out, "<span class=\"key c{}{dashed}\">{}</span>", series.colour, escape(&series.name));
        }
        out.push_str("</span></figcaption>");
        let _ = write!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">");
        if let Some((from, to)) = self.left_out.filter(|(from, to)| to > from) {
            let (from, to) = (self.across(from), self.across(to));
            let _ = write!(
                out,
                "<rect class=\"out\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"><title>warm-up, not measured</title></rect>",
                to - from,
                BOTTOM - TOP
            );
        }
        self.axes(&mut out);
        if self.stacked {
            self.areas(&mut out);
        } else {
            self.lines(&mut out);
        }
        for (from, to, hint) in &self.hints {
            let (from, to) = (self.across(*from), self.across(*to));
            let _ = write!(
                out,
                "<rect class=\"hint\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
                (to - from).max(0.1),
                BOTTOM - TOP,
                escape(hint)
            );
        }
        out.push_str("</svg></figure>");
        out
    }

    fn across(&self, x: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * self.x.at(x)
    }

    fn up(&self, y: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * self.y.at(y)
    }

    fn axes(&self, out: &mut String) {
        for mark in self.y.marks() {
            let y = self.up(mark);
            let _ = write!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                short(mark)
            );
        }
        for (mark, text) in &self.x_marks {
            let x = self.across(*mark);
            let _ = write!(
                out,
                "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{BOTTOM}\" y2=\"{:.1}\"/>\
                 <text class=\"mark\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                BOTTOM + 4.0,
                BOTTOM + 16.0,
                escape(text)
            );
        }
        let _ = write!(
            out,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{BOTTOM}\" y2=\"{BOTTOM}\"/>\
             <text class=\"mark\" x=\"{RIGHT}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            HEIGHT - 3.0,
            escape(self.x_unit)
        );
    }

    fn lines(&self, out: &mut String) {
        // What comes first lies on top.
        for series in self.series.iter().rev() {
            let mut path = String::new();
            let mut begun = false;
            for (x, y) in &series.points {
                if let Some(y) = y {
                    let _ = write!(
                        path,
                        "{}{:.1} {:.1}",
                        if begun { "L" } else { "M" },
                        self.across(*x),
                        self.up(*y)
                    );
                }
                begun = y.is_some();
            }
            let dashed = if series.dashed { " dashed" } else { "" };
            let _ = write!(out, "<path class=\"line s{}{dashed}\" d=\"{path}\"/>", series.colour);
        }
    }

    fn areas(&self, out: &mut String) {
        let points = self.series.first().map_or(0, |series| series.points.len());
        let mut below = vec![0.0; points];
        for series in &self.series {
            let (mut over, mut under) = (String::new(), String::new());
            for ((number, (x, y)), sum) in series.points.iter().enumerate().zip(&mut below) {
                let x = self.across(*x);
                under.insert_str(0, &format!("L{x:.1} {:.1}", self.up(*sum)));
                *sum += y.unwrap_or_default();
                let _ = write!(over, "{}{x:.1} {:.1}", if number == 0 { "M" } else { "L" }, self.up(*sum));
            }
            let _ = write!(out, "<path class=\"area f{}\" d=\"{over}{under}Z\"/>", series.colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_figures() {
        assert_eq!(Scale::above(97.0), Scale::Linear(100.0));
        assert_eq!(Scale::above(4.0), Scale::Linear(5.0));
        assert_eq!(Scale::decades([0.0, 0.7, 42.0].into_iter()), Scale::Log(0.5, 50.0));
        assert_eq!(Scale::decades([0.0].into_iter()), Scale::Log(1.0, 10.0));
        assert_eq!(Scale::decades([10.0, 10.0].into_iter()), Scale::Log(10.0, 100.0));
    }

    #[test]
    fn marks_are_within_and_few() {
        for scale in
            [Scale::above(3.0), Scale::above(2_450.0), Scale::Log(0.5, 50.0), Scale::Log(0.1, 100_000.0)]
        {
            let marks = scale.marks();
            assert!((3..=8).contains(&marks.len()), "{scale:?}: {marks:?}");
            assert!(marks.is_sorted());
        }
        assert_eq!(Scale::Log(0.5, 50.0).marks(), [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
    }

    #[test]
    fn places_are_within_the_plot() {
        assert!((Scale::Log(1.0, 100.0).at(10.0) - 0.5).abs() < 1e-9);
        assert_eq!(Scale::Log(1.0, 100.0).at(0.0), 0.0);
        assert_eq!(Scale::Linear(10.0).at(1e9), 1.0);
        assert_eq!((short(0.5), short(1500.0), short(15_000.0)), ("0.5".into(), "1500".into(), "15k".into()));
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let points = vec![(0.0, Some(1.0)), (1.0, None), (2.0, Some(2.0)), (3.0, Some(2.0))];
        let series = vec![Series { name: "a < b".to_owned(), colour: 0, points, dashed: false }];
        let plot = Plot {
            title: "t".to_owned(),
            unit: "ms",
            x_unit: "s",
            x: Scale::Linear(3.0),
            x_marks: vec![],
            y: Scale::Linear(2.0),
            series,
            stacked: false,
            left_out: None,
            hints: vec![],
        };
        let drawn = plot.render();
        assert_eq!(drawn.matches('M').count(), 2, "{drawn}");
        assert!(drawn.contains("a &lt; b"));
    }
}
