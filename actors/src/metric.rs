//! What a metric is, as data: its name, its kind, its labels and what it means.
//!
//! Every crate lists its metrics once, with [`list_metrics!`](crate::list_metrics!). The list is where the name is read by the code
//! that measures, where the help of the exposition comes from, and what the reference in `docs/metrics.md` is made of; so
//! that none of them can say something else than the others.

use metrics::{SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram};

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// As Prometheus shows it: with its unit, and `_total` when it is a counter.
    pub name: &'static str,
    /// How its values are to be read.
    pub kind: Kind,
    /// What tells its series from each other.
    pub labels: &'static [Label],
    /// What it measures, in a few words.
    pub help: &'static str,
}

/// How the values of a metric are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; begins at 0 with the process.
    Counter,
    /// A level, as it is now.
    Gauge,
    /// How many observations were at most so large, for each of some bounds.
    Histogram,
}

/// A label: its name, and which values it takes. They are few, and known to the code or to the configuration; never an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label(
    /// The name.
    pub &'static str,
    /// Its values, in words.
    pub &'static str,
);

/// A counter with one label, and every value that it takes: known to the code, so that all its series exist from the start,
/// at 0. Who watches its rate would miss the first increment of a series that begins with it.
#[derive(Debug, Clone, Copy)]
pub struct Closed(
    /// The counter.
    pub Metric,
    /// The label's name.
    pub &'static str,
    /// Its values.
    pub &'static [&'static str],
);

impl Closed {
    /// Has the series exist; once the recorder is installed.
    pub fn exist(&self) {
        let Closed(counter, label, values) = *self;
        values.iter().for_each(|value| drop(counter!(counter, label => *value)));
    }
}

/// The service that measures.
pub const SERVICE: Label = Label("service", "the name of a service: `orders`, `inventory`, …");

impl Metric {
    /// One that only grows.
    pub const fn counter(name: &'static str, labels: &'static [Label], help: &'static str) -> Self {
        Metric { name, kind: Kind::Counter, labels, help }
    }

    /// A level.
    pub const fn gauge(name: &'static str, labels: &'static [Label], help: &'static str) -> Self {
        Metric { name, kind: Kind::Gauge, labels, help }
    }

    /// A distribution.
    pub const fn histogram(name: &'static str, labels: &'static [Label], help: &'static str) -> Self {
        Metric { name, kind: Kind::Histogram, labels, help }
    }

    /// What its values count, from its name.
    pub fn unit(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        ["seconds", "bytes", "minor_units"].into_iter().find(|unit| name.ends_with(unit)).unwrap_or("")
    }

    /// Tells the recorder what it means; once it is installed.
    pub fn describe(&self) {
        let unit = match self.unit() {
            "seconds" => Unit::Seconds,
            "bytes" => Unit::Bytes,
            _ => Unit::Count,
        };
        match self.kind {
            Kind::Counter => describe_counter!(self.name, unit, self.help),
            Kind::Gauge => describe_gauge!(self.name, unit, self.help),
            Kind::Histogram => describe_histogram!(self.name, unit, self.help),
        }
    }
}

impl Kind {
    /// As the exposition calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// So that `counter!(REQUESTS_TOTAL)` is all that has to be written.
impl From<Metric> for SharedString {
    fn from(metric: Metric) -> Self {
        SharedString::const_str(metric.name)
    }
}

/// Lists the metrics of a crate: a constant for each of them, and `ALL`.
///
/// ```
/// use viscount_actors::metric::{Label, SERVICE};
///
/// viscount_actors::list_metrics! {
///     CAKES_TOTAL = counter("shop_cakes_total", [SERVICE, Label("kind", "`lemon` or `plum`")], "Cakes that were baked.");
///     OVEN_SECONDS = histogram("shop_oven_seconds", [], "How long a cake was in the oven.");
/// }
/// assert_eq!(ALL.len(), 2);
/// assert_eq!(CAKES_TOTAL.labels[1].0, "kind");
/// assert_eq!(OVEN_SECONDS.unit(), "seconds");
/// ```
#[macro_export]
macro_rules! list_metrics {
    ($($name:ident = $kind:ident($text:literal, [$($label:expr),* $(,)?], $help:literal $(,)?);)*) => {
        $(
            #[doc = $help]
            pub const $name: $crate::metric::Metric =
                $crate::metric::Metric::$kind($text, &[$($label),*], $help);
        )*

        /// Every metric of this list.
        pub const ALL: &[$crate::metric::Metric] = &[$($name),*];
    };
}
