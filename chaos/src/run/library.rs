//! The experiments that come with the program.

use std::{collections::BTreeSet, fs, path::Path};

use super::Failure;
use crate::experiment::Experiment;

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../experiments/", $name, ".toml")))),*]
    };
}

/// Name and text, in the order in which `all` runs them.
const SHIPPED: &[(&str, &str)] = shipped![
    "same-key",
    "last-pieces",
    "every-event-ten-times",
    "poison",
    "refused-rows",
    "provider",
    "panics",
    "failpoints",
    "kill-services",
    "kill-in-hand",
    "rolling-restarts",
    "postgres-restart",
    "broker-down",
    "broker-kill",
    "brokers-in-turn",
    "partitions",
    "clock",
    "disk-full",
    "overload",
    "streams",
];

/// All of them.
pub(super) fn all() -> Result<Vec<Experiment>, Failure> {
    SHIPPED.iter().map(|(name, text)| Ok(Experiment::load(name, text)?)).collect()
}

/// Those that are meant: `all`, `quick` (scaled down), names, files.
pub(super) fn meant(names: &[String]) -> Result<Vec<Experiment>, Failure> {
    let mut found = Vec::new();
    for name in names {
        match name.as_str() {
            "all" => found.extend(all()?),
            "quick" => {
                for experiment in all()? {
                    found.extend(experiment.scaled_down().transpose()?);
                }
            }
            name => found.push(one(name)?),
        }
    }
    Ok(found)
}

/// Numbers those of one name: each has a folder of its own, and a place in the report.
pub(super) fn tell_apart(experiments: &mut [Experiment]) {
    let mut names = BTreeSet::new();
    for experiment in experiments {
        let name = experiment.name.clone();
        let mut number = 1;
        while !names.insert(experiment.name.clone()) {
            number += 1;
            experiment.name = format!("{name}-{number}");
        }
    }
}

/// The one of this name, or the one in this file.
pub(super) fn one(name: &str) -> Result<Experiment, Failure> {
    if let Some((name, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        return Ok(Experiment::load(name, text)?);
    }
    let is_file = Path::new(name).extension().is_some_and(|extension| extension == "toml");
    if !is_file {
        let known: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        return Err(Failure::Usage(format!(
            "there is no experiment {name}; there are: quick, all, {}, and files that end in .toml",
            known.join(", ")
        )));
    }
    let text = fs::read_to_string(name).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    Ok(Experiment::load(name, &text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_experiment_can_be_meant_and_has_the_name_of_its_file() {
        let all = all().unwrap();
        let names: Vec<&str> = all.iter().map(|experiment| experiment.name.as_str()).collect();
        let files: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, files);
        for experiment in &all {
            experiment.load.check().unwrap();
        }
    }

    #[test]
    fn the_quick_set_takes_less_than_ten_minutes() {
        let quick = meant(&["quick".to_owned()]).unwrap();
        assert!(quick.len() >= 8, "{}", quick.len());
        // Starting and auditing are about twenty seconds each.
        let seconds: u64 = quick.iter().map(|experiment| experiment.length.as_secs() + 20).sum();
        assert!(seconds <= 600, "{seconds}");
    }

    #[test]
    fn those_of_one_name_are_told_apart() {
        let mut thrice =
            meant(&["quick", "kill-services", "panics", "kill-services"].map(str::to_owned)).unwrap();
        let whole = thrice.len();
        tell_apart(&mut thrice);
        let names: Vec<&str> = thrice.iter().map(|experiment| experiment.name.as_str()).collect();
        assert_eq!(names[whole - 3..], ["kill-services-2", "panics-2", "kill-services-3"]);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), whole);
    }

    #[test]
    fn a_name_that_nobody_knows_is_answered_with_those_that_are_known() {
        let refused = one("kill-everything").unwrap_err().to_string();
        assert!(refused.contains("kill-everything") && refused.contains("kill-services"), "{refused}");
    }
}
