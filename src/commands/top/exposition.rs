//! The Prometheus text format 0.0.4, as far as the platform speaks it: names, labels, values.
//!
//! Comments, types and time stamps are passed over. Only the families that somebody asks for are kept: an exposition has
//! thousands of series, and it is read again every few seconds.

use std::collections::HashMap;

/// The series of a process at one moment, by metric name.
#[derive(Debug, Clone, Default)]
pub struct Exposition {
    families: HashMap<String, Vec<Sample>>,
}

/// One series and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Names and values, ordered by name: equal labels are equal here.
    pub labels: Labels,
    /// The value.
    pub value: f64,
}

/// The labels of a series, ordered by name.
pub type Labels = Vec<(String, String)>;

/// A line that is not in the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not a sample of the Prometheus text format")]
pub struct NotASample {
    /// Which, from 1.
    pub line: usize,
}

impl Sample {
    /// The value of this label; empty when it has none, as Prometheus sees it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }
}

impl Exposition {
    /// Reads the families that are wanted.
    pub fn parse(text: &str, wanted: impl Fn(&str) -> bool) -> Result<Self, NotASample> {
        let mut families: HashMap<String, Vec<Sample>> = HashMap::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, sample) = parse(line, &wanted).ok_or(NotASample { line: at + 1 })?;
            let Some(sample) = sample else { continue };
            match families.get_mut(name) {
                Some(family) => family.push(sample),
                None => drop(families.insert(name.to_owned(), vec![sample])),
            }
        }
        Ok(Self { families })
    }

    /// These families alone.
    pub fn only(&self, names: &[&str]) -> Self {
        let family = |name: &&str| Some(((*name).to_owned(), self.families.get(*name)?.clone()));
        Self { families: names.iter().filter_map(family).collect() }
    }

    /// The series of this name.
    pub fn samples(&self, name: &str) -> &[Sample] {
        self.families.get(name).map_or(&[], Vec::as_slice)
    }
}

/// The name, and the sample when it is wanted; `None` when it is no sample.
fn parse(line: &str, wanted: impl Fn(&str) -> bool) -> Option<(&str, Option<Sample>)> {
    let end = line.find(['{', ' ', '\t'])?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|it: char| it.is_ascii_digit()) {
        return None;
    }
    if !wanted(name) {
        return Some((name, None));
    }
    let (mut labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Labels::new(), rest),
    };
    labels.sort_unstable();
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some((name, Some(Sample { labels, value })))
}

/// The labels up to the closing brace, and what comes behind it.
fn labels(text: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, behind) = rest.split_once('=')?;
        let (value, behind) = quoted(behind.trim_start().strip_prefix('"')?)?;
        labels.push((name.trim().to_owned(), value));
        let behind = behind.trim_start();
        rest = behind.strip_prefix(',').unwrap_or(behind).trim_start();
    }
}

/// A label's value up to its closing quote, and what comes behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match signs.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Exposition {
        Exposition::parse(text, |_| true).unwrap()
    }

    #[test]
    fn names_labels_and_values_are_read() {
        let read = all("# HELP up tells\n# TYPE up gauge\nup 1\n\n\
             requests_total{route=\"/v1/orders/{id}\",status=\"5xx\"} 17 1700000000\n\
             wait_seconds_bucket{le=\"+Inf\"} 3\nodd{why=\"a \\\"b\\\" \\\\ c\\nd, e=f\",} +Inf\n");
        assert_eq!(read.samples("up")[0].value, 1.0);
        let requests = &read.samples("requests_total")[0];
        assert_eq!((requests.label("route"), requests.value), ("/v1/orders/{id}", 17.0));
        assert_eq!(requests.label("absent"), "");
        assert_eq!(read.samples("wait_seconds_bucket")[0].label("le"), "+Inf");
        let odd = &read.samples("odd")[0];
        assert_eq!((odd.label("why"), odd.value), ("a \"b\" \\ c\nd, e=f", f64::INFINITY));
        assert!(read.samples("nothing").is_empty());
    }

    #[test]
    fn what_the_platform_renders_can_be_read() {
        viscount_chassis::telemetry::metrics::install();
        let text = viscount_chassis::telemetry::metrics::render();
        assert!(!all(&text).samples("process_cpu_seconds_total").is_empty(), "{text}");
    }

    #[test]
    fn only_what_is_wanted_is_kept() {
        let read = Exposition::parse("a{x=\"1\"} 1\nb 2\n", |name| name == "b").unwrap();
        assert!(read.samples("a").is_empty());
        assert_eq!(read.samples("b").len(), 1);
    }

    #[test]
    fn a_line_that_is_no_sample_is_named() {
        for wrong in ["<html>", "a{x=\"1\" 2", "a{x=1} 2", "a", "a two", "1a 2", "a{x=\"1\\"] {
            let text = format!("fine 1\n{wrong}\n");
            assert_eq!(Exposition::parse(&text, |_| true).unwrap_err(), NotASample { line: 2 }, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "([a-z_{}\"=,\\\\0-9. +\n#]|\\PC){0,200}") {
            drop(Exposition::parse(&text, |_| true));
        }

        #[test]
        fn any_label_comes_back(value in "\\PC{0,20}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            let read = all(&format!("a{{b=\"{escaped}\"}} 1\n"));
            prop_assert_eq!(read.samples("a")[0].label("b"), value);
        }
    }
}
