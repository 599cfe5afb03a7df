//! Reading what `/metrics` answers.

use std::collections::{BTreeMap, BTreeSet};

/// A scrape: its families, and their series.
#[derive(Default)]
pub struct Scrape {
    /// Kind by family.
    pub families: BTreeMap<String, String>,
    /// Each sample: name, labels, value.
    pub samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Scrape {
    pub fn read(text: &str) -> Self {
        let mut scrape = Scrape::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(
                    scrape.families.insert(name.to_owned(), kind.to_owned()).is_none(),
                    "{name} comes twice"
                );
            } else if !line.starts_with('#') {
                let sample = line.split(" # ").next().unwrap();
                let (series, value) = sample.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let labels = labels.strip_suffix('}').unwrap();
                scrape.samples.push((name.to_owned(), read_labels(labels), value.parse().unwrap()));
            }
        }
        scrape
    }

    /// The names of all series, labels and all.
    pub fn series(&self) -> BTreeSet<String> {
        self.samples.iter().map(|(name, labels, _)| format!("{name}{labels:?}")).collect()
    }

    /// The sum over all series of this name.
    pub fn sum(&self, name: &str) -> f64 {
        self.samples.iter().filter(|(known, ..)| known == name).map(|(.., value)| value).sum()
    }

    /// The value of the one series of this name that has these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |has: &BTreeMap<String, String>| {
            labels.iter().all(|(label, value)| has.get(*label).is_some_and(|known| known == value))
        };
        self.samples.iter().find(|(known, has, _)| known == name && fits(has)).map(|(.., value)| *value)
    }
}

/// No value of ours holds a quote or a comma.
fn read_labels(text: &str) -> BTreeMap<String, String> {
    let labels = text.split(',').filter(|label| !label.is_empty());
    labels
        .map(|label| {
            let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{text}"));
            (name.to_owned(), value.strip_suffix('"').unwrap().to_owned())
        })
        .collect()
}
