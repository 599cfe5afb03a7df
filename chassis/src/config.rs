//! Configuration from the environment, typed and checked before anything starts.
//!
//! Every service reads its settings from one [`Env`], a snapshot, so that a test can hand in its own and two services
//! in one process never race on the real one. A wrong value is one line that names the variable ([`ConfigError`]);
//! the value itself is never repeated, because it may be a secret.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// What a setting for the deadline of an actor's handler may be.
pub const HANDLER_DEADLINES: RangeInclusive<Duration> =
    RangeInclusive::new(Duration::from_secs(1), Duration::from_secs(3_600));

/// A snapshot of environment variables. An empty value counts as not set, as in a compose file's `NAME=`.
#[derive(Clone, Default)]
pub struct Env {
    values: BTreeMap<String, String>,
}

/// One setting that cannot be used.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[error("{variable}: {problem}")]
pub struct ConfigError {
    /// The environment variable.
    pub variable: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl ConfigError {
    /// A setting that cannot be used, and why.
    pub fn new(variable: impl Into<String>, problem: impl Into<String>) -> Self {
        ConfigError { variable: variable.into(), problem: problem.into() }
    }
}

impl Env {
    /// The environment of this process as it is now.
    pub fn from_process() -> Self {
        let values = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect();
        Env { values }
    }

    /// An environment of one's own, for tests and for the launcher.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Env { values: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }

    /// The same environment with one more variable, or another value for it.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.values.insert(name.into(), value.into());
        self
    }

    /// The value, without surrounding white space; `None` when absent or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The value as a `T`, or the default when absent.
    pub fn parse_or<T>(&self, name: &'static str, default: T) -> Result<T, ConfigError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.get(name).map_or(Ok(default), |text| parse(name, text))
    }

    /// The value as a `T`; absent is an error.
    pub fn required<T>(&self, name: &'static str) -> Result<T, ConfigError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let text = self.get(name).ok_or_else(|| ConfigError::new(name, "must be set"))?;
        parse(name, text)
    }

    /// A duration such as `250ms`, `5s`, `2m` or `1h`, or the default when absent.
    pub fn duration_or(&self, name: &'static str, default: Duration) -> Result<Duration, ConfigError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        parse_duration(text)
            .ok_or_else(|| ConfigError::new(name, "is not a duration; write it as 250ms, 5s, 2m or 1h"))
    }

    /// A duration that has to lie between two others, themselves included, or the default when absent.
    pub fn duration_within(
        &self,
        name: &'static str,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Result<Duration, ConfigError> {
        let value = self.duration_or(name, default)?;
        if !bounds.contains(&value) {
            let problem = format!("must lie between {:?} and {:?}", bounds.start(), bounds.end());
            return Err(ConfigError::new(name, problem));
        }
        Ok(value)
    }

    /// A switch: `true`, `1`, `yes`, `on` or `false`, `0`, `no`, `off`, or the default when absent.
    pub fn bool_or(&self, name: &'static str, default: bool) -> Result<bool, ConfigError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(ConfigError::new(name, "is not a switch; write true or false")),
        }
    }
}

impl fmt::Debug for Env {
    /// Names alone: the values hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

fn parse<T>(name: &'static str, text: &str) -> Result<T, ConfigError>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    text.parse().map_err(|error| {
        let kind = std::any::type_name::<T>();
        let kind = kind.rsplit("::").next().unwrap_or(kind);
        ConfigError::new(name, format!("cannot be read as {kind}: {error}"))
    })
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn absent_and_empty_take_the_default() {
        let env = Env::from_pairs([("EMPTY", " ")]);
        assert_eq!(env.parse_or("EMPTY", 7u16), Ok(7));
        assert_eq!(env.parse_or("ABSENT", 7u16), Ok(7));
        assert_eq!(env.duration_or("EMPTY", Duration::from_secs(3)), Ok(Duration::from_secs(3)));
        assert_eq!(env.bool_or("ABSENT", true), Ok(true));
    }

    #[test]
    fn an_error_is_one_line_that_names_the_variable_and_hides_the_value() {
        let env = Env::from_pairs([("VISCOUNT_PORT", "hunter2"), ("WAIT", "5 parsecs"), ("ON", "perhaps")]);
        let errors = [
            env.parse_or("VISCOUNT_PORT", 0u16).unwrap_err(),
            env.duration_or("WAIT", Duration::ZERO).unwrap_err(),
            env.bool_or("ON", false).unwrap_err(),
            env.required::<String>("MISSING").unwrap_err(),
        ];
        for (error, name) in errors.iter().zip(["VISCOUNT_PORT", "WAIT", "ON", "MISSING"]) {
            let line = error.to_string();
            assert!(line.starts_with(name), "{line}");
            assert!(!line.contains('\n') && !line.contains("hunter2"), "{line}");
        }
        assert!(!format!("{env:?}").contains("hunter2"));
    }

    #[test]
    fn durations_have_units() {
        let cases =
            [("250ms", Some(250)), ("5s", Some(5_000)), ("2m", Some(120_000)), ("1h", Some(3_600_000))];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text).map(|d| d.as_millis()), millis, "{text}");
        }
        for text in ["5", "", "s", "-1s", "1.5s", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
