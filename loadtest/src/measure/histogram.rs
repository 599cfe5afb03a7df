//! Histograms of microseconds to three digits (HdrHistogram), and what is said of them.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, Serializer, V2DeflateSerializer},
};
use serde::{Deserialize, Serialize};

/// What is longer counts as this: ten minutes.
const LONGEST_MICROS: u64 = 600_000_000;

/// Microseconds up to ten minutes, to three digits.
pub fn histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, LONGEST_MICROS, 3) {
        Ok(histogram) => histogram,
        // Three digits and these bounds are within what the library takes.
        Err(error) => unreachable!("{error}"),
    }
}

/// Records a duration; what is longer than the longest counts as the longest.
pub fn record(histogram: &mut Histogram<u64>, took: Duration) {
    histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
}

/// Milliseconds at some quantiles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// 90 % are not longer.
    pub p90: f64,
    /// 95 % are not longer.
    pub p95: f64,
    /// 99 % are not longer.
    pub p99: f64,
    /// 99.9 % are not longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
    /// The arithmetic mean.
    pub mean: f64,
}

impl Quantiles {
    /// Of a histogram of microseconds; all 0 when it is empty.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| round(millis(histogram.value_at_quantile(quantile)));
        Self {
            p50: at(0.50),
            p90: at(0.90),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: round(millis(histogram.max())),
            mean: round(histogram.mean() / 1e3),
        }
    }
}

/// Milliseconds.
pub fn millis(micros: u64) -> f64 {
    micros as f64 / 1e3
}

/// To the microsecond: more digits of a millisecond would be noise.
fn round(millis: f64) -> f64 {
    (millis * 1e3).round() / 1e3
}

/// HdrHistogram's interchange format (V2, compressed) in base64, as its other tools read it.
pub fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    // It can only fail where the writer does, and a vector does not.
    match V2DeflateSerializer::new().serialize(histogram, &mut bytes) {
        Ok(_) => STANDARD.encode(bytes),
        Err(_) => String::new(),
    }
}

/// The histogram in such a text.
pub fn decode(text: &str) -> Option<Histogram<u64>> {
    let bytes = STANDARD.decode(text).ok()?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_histogram_survives_being_written() {
        let mut before = histogram();
        for micros in [3, 700, 700, 42_000, 31_000_000] {
            record(&mut before, Duration::from_micros(micros));
        }
        let after = decode(&encode(&before)).unwrap();
        assert_eq!(after, before);
        assert_eq!(decode("not one"), None);
    }

    #[test]
    fn quantiles_are_milliseconds() {
        let mut histogram = histogram();
        assert_eq!(Quantiles::of(&histogram), Quantiles::default());
        for millis in 1..=1_000 {
            record(&mut histogram, Duration::from_millis(millis));
        }
        let quantiles = Quantiles::of(&histogram);
        assert!((quantiles.p50 - 500.0).abs() < 1.0, "{quantiles:?}");
        assert!((quantiles.p99 - 990.0).abs() < 1.0, "{quantiles:?}");
        assert!((quantiles.max - 1_000.0).abs() < 1.0, "{quantiles:?}");
    }
}
