//! Exemplars: for each bucket of a histogram the trace of the latest observation in it, so that one who sees a slow bucket
//! finds a request that was slow.
//!
//! Only while traces are exported, and only of traces that are sampled: a link to a trace that nobody has kept leads
//! nowhere. Until the first one is noted, a series costs nothing but its entry in the table.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use super::metrics::SECONDS;
use crate::metrics::Metric;

/// The most series that have exemplars. Their labels are bounded by the code; this is for the day when they are not.
const MOST: usize = 4_096;

/// By what stands before the bound in a line of a bucket.
static TABLE: LazyLock<RwLock<HashMap<String, Exemplars>>> = LazyLock::new(RwLock::default);

/// The exemplars of one series of a histogram of seconds. Cheap to clone.
#[derive(Clone, Default)]
pub struct Exemplars(Arc<OnceLock<Buckets>>);

/// One place for each bound, and one for what is beyond.
type Buckets = [Mutex<Option<Exemplar>>; SECONDS.len() + 1];

struct Exemplar {
    trace: u128,
    value: f64,
    at: SystemTime,
}

impl Exemplars {
    /// Of this series; `labels` in the order in which the histogram has them.
    pub fn of(metric: Metric, labels: &[(&str, &str)]) -> Self {
        let mut key = format!("{}_bucket{{", metric.name);
        for (name, value) in labels {
            // Writing to a String cannot fail.
            let _ = write!(key, "{name}=\"{value}\",");
        }
        let mut table = TABLE.write();
        if let Some(known) = table.get(&key) {
            return known.clone();
        }
        let new = Exemplars::default();
        if table.len() < MOST {
            table.insert(key, new.clone());
        }
        new
    }

    /// Notes an observation that belongs to this trace (see [`TraceContext::exemplar`](super::TraceContext::exemplar)).
    /// When somebody else is noting one in the same bucket, theirs will do.
    pub fn note(&self, value: f64, trace: Option<u128>) {
        let Some(trace) = trace else { return };
        let buckets = self.0.get_or_init(|| std::array::from_fn(|_| Mutex::default()));
        let bucket = SECONDS.partition_point(|bound| *bound < value);
        if let Some(mut exemplar) = buckets[bucket].try_lock() {
            *exemplar = Some(Exemplar { trace, value, at: SystemTime::now() });
        }
    }
}

/// All that there are, for one rendering.
pub(super) fn all() -> All {
    All(TABLE.read())
}

pub(super) struct All(RwLockReadGuard<'static, HashMap<String, Exemplars>>);

impl All {
    /// Appends the exemplar of the bucket with this bound, if there is one, to its line. `series` ends before the bound.
    pub fn append(&self, series: &str, bound: &str, out: &mut String) {
        let Some(buckets) = self.0.get(series).and_then(|exemplars| exemplars.0.get()) else { return };
        let bound = bound.parse().unwrap_or(f64::INFINITY);
        let bucket = SECONDS.partition_point(|known| *known < bound);
        if let Some(Exemplar { trace, value, at }) = &*buckets[bucket].lock() {
            let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            let _ = write!(out, " # {{trace_id=\"{trace:032x}\"}} {value} {at:.3}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::exposition::{Format, write};

    const SOME: Metric = Metric::histogram("noted_seconds", &[], "");

    #[test]
    fn each_bucket_shows_the_latest_trace_in_it_and_only_openmetrics_does() {
        let exemplars = Exemplars::of(SOME, &[("service", "a"), ("route", "/v1/{id}")]);
        exemplars.note(0.004, Some(1));
        exemplars.note(0.005, Some(2));
        exemplars.note(0.0051, None);
        Exemplars::of(SOME, &[("service", "a"), ("route", "/v1/{id}")]).note(99.0, Some(u128::MAX));
        let series = |bound: &str| {
            format!("noted_seconds_bucket{{service=\"a\",route=\"/v1/{{id}}\",le=\"{bound}\"}} 7")
        };
        let exported = ["0.0025", "0.005", "0.01", "+Inf"].map(series).join("\n");
        let shown = write(&exported, Format::OpenMetrics);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[0], series("0.0025"));
        let noted = format!("{} # {{trace_id=\"{:032x}\"}} 0.005 ", series("0.005"), 2);
        assert!(lines[1].starts_with(&noted), "{shown}");
        assert_eq!(lines[2], series("0.01"));
        assert!(lines[3].contains(&format!("# {{trace_id=\"{}\"}} 99 ", "f".repeat(32))), "{shown}");
        assert_eq!(write(&exported, Format::Text).trim_end(), exported);
    }

    #[test]
    fn a_series_without_labels_has_them_too() {
        Exemplars::of(Metric::histogram("bare_seconds", &[], ""), &[]).note(0.3, Some(3));
        let shown = write("bare_seconds_bucket{le=\"0.5\"} 1", Format::OpenMetrics);
        assert!(shown.starts_with(
            "bare_seconds_bucket{le=\"0.5\"} 1 # {trace_id=\"00000000000000000000000000000003\"} 0.3 "
        ));
    }
}
