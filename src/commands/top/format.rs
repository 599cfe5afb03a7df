//! Numbers and times for people, in few signs.

use jiff::Timestamp;

/// `1,234`, `56.7`, `0.25`: three figures that count.
pub fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        size if !(0.005..100.0).contains(&size) => grouped(value),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A whole number with separators.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let sign = if value < 0.0 && digits != "0" { "-" } else { "" };
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}")
}

/// A duration that is measured: `0.8 ms`, `12 ms`, `1.25 s`.
pub fn seconds(value: f64) -> String {
    match value * 1_000.0 {
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        _ if value < 99.5 => format!("{value:.2} s"),
        _ => age(value),
    }
}

/// A duration that somebody waits: `5s`, `3m 20s`, `2h 5m`, `4d 1h`.
pub fn age(seconds: f64) -> String {
    let whole = seconds.clamp(0.0, 1e12) as u64;
    let (minutes, hours, days) = (whole / 60, whole / 3_600, whole / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole}s"),
        (0, 0, _) => format!("{minutes}m {}s", whole % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// How long ago that was, in seconds; `None` when it is no time.
pub fn seconds_since(time: &str, now: Timestamp) -> Option<f64> {
    let time: Timestamp = time.parse().ok()?;
    Some(now.duration_since(time).as_secs_f64())
}

/// `0.0 %`
pub fn share(value: f64) -> String {
    // A sum of no floats is minus zero; adding zero takes the sign away.
    format!("{:.1} %", value * 100.0 + 0.0)
}

/// `412 MB`
pub fn megabytes(bytes: f64) -> String {
    format!("{} MB", grouped(bytes / 1e6))
}

/// Text from elsewhere, on one line and without signs that terminals obey.
pub fn clean(text: &str) -> String {
    text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_share_of_nothing_has_no_sign() {
        assert_eq!(share(std::iter::empty::<f64>().sum()), "0.0 %");
        assert_eq!(share(0.025), "2.5 %");
    }

    #[test]
    fn three_figures_count() {
        let shown: Vec<_> = [0.0, 0.25, 9.876, 12.34, 812.4, 1_234_567.0, -1_500.0].map(number).into();
        assert_eq!(shown, ["0", "0.25", "9.88", "12.3", "812", "1,234,567", "-1,500"]);
        assert_eq!(number(f64::NAN), "–");
    }

    #[test]
    fn times_are_short() {
        let shown: Vec<_> = [0.0008, 0.0123, 0.43, 1.25, 200.0].map(seconds).into();
        assert_eq!(shown, ["0.8 ms", "12 ms", "430 ms", "1.25 s", "3m 20s"]);
        let shown: Vec<_> = [-1.0, 59.9, 61.0, 7_500.0, 349_200.0, f64::INFINITY].map(age).into();
        assert_eq!(shown[..5], ["0s", "59s", "1m 1s", "2h 5m", "4d 1h"]);
        let now: Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
        assert_eq!(seconds_since("2026-01-01T00:00:00Z", now), Some(10.0));
        assert_eq!(seconds_since("yesterday", now), None);
    }

    #[test]
    fn what_terminals_obey_is_left_out() {
        assert_eq!(clean("a\x1b[2Jb\nc"), "a [2Jb c");
    }
}
