//! Times as experiments write them: `250ms`, `5s`, `2m`, `1h`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// Reads a time. The error says how one is written.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let number: Option<u64> = number.parse().ok();
    match number.and_then(|number| number.checked_mul(millis)).filter(|_| millis > 0) {
        Some(millis) => Ok(Duration::from_millis(millis)),
        None => Err(format!("`{text}` is no time; times are written 250ms, 5s, 2m, 1h")),
    }
}

/// Reads a time with a sign: `-10m`, `+10m`, `10m`; as seconds.
pub fn parse_shift(text: &str) -> Result<i64, String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let shift = parse(rest).map_err(|_| format!("`{text}` is no shift; shifts are written -10m, +30s"))?;
    match shift.subsec_millis() {
        0 => Ok(sign * i64::try_from(shift.as_secs()).unwrap_or(i64::MAX)),
        _ => Err(format!("`{text}` is no whole number of seconds")),
    }
}

/// As it is written.
pub fn text(span: Duration) -> String {
    let millis = span.as_millis();
    match millis {
        0 => "0s".to_owned(),
        _ if !millis.is_multiple_of(1_000) => format!("{millis}ms"),
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ => format!("{}s", millis / 1_000),
    }
}

/// For serde: a field that is a time.
pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*span))
}

/// For serde: a field that is a time.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// A time that may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for (text_of_it, millis) in
            [("250ms", 250), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0)]
        {
            assert_eq!(parse(text_of_it), Ok(Duration::from_millis(millis)));
            assert_eq!(text(Duration::from_millis(millis)), text_of_it);
        }
        for wrong in
            ["", "5", "s", "5 s", "-5s", "1.5s", "5d", "99999999999999999999s", "18446744073709551615h"]
        {
            assert!(parse(wrong).is_err_and(|error| error.contains(wrong)), "{wrong}");
        }
    }

    #[test]
    fn a_shift_has_a_sign() {
        assert_eq!(
            (parse_shift("-10m"), parse_shift("+30s"), parse_shift("1h")),
            (Ok(-600), Ok(30), Ok(3_600))
        );
        assert!(parse_shift("--1s").is_err() && parse_shift("5ms").is_err());
    }
}
