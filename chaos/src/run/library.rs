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
    use crate::clients::Journey;

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

    /// A run that has hardly happened must not hold.
    #[test]
    fn an_experiment_expects_what_it_plans() {
        for experiment in all().unwrap() {
            let quick = experiment.scaled_down().transpose().unwrap();
            for planned in [Some(&experiment), quick.as_ref()].into_iter().flatten() {
                let name = format!("{}, {} s", planned.name, planned.length.as_secs());
                let bound = |figure| planned.holds.bound(figure).unwrap_or_default();
                let steps = planned.schedule(1).unwrap();
                let ends = ["kill", "restart", "restart_postgres"];
                let starts = steps.iter().filter(|step| ends.contains(&step.action.name())).count() as f64;
                let rebalances = planned.faults.iter().any(|fault| fault.what.name() == "rebalance");
                assert!(
                    rebalances || bound("process_starts_min") >= (0.9 * starts).floor(),
                    "{name}: {starts} ended"
                );
                let (rate, seconds) = (planned.load.rate, planned.length.as_secs_f64());
                match planned.load.journey {
                    Journey::Orders => {
                        // Where too many are asked for, as many have to be.
                        let asked = bound("offered_min") >= 3.0 * bound("accepted_min").max(1.0);
                        let half = (0.5 * rate * seconds).floor();
                        assert!(
                            asked || bound("accepted_min") >= half,
                            "{name}: {half} are half of the orders"
                        );
                    }
                    Journey::SameKey | Journey::LastPieces => {
                        assert_eq!(bound("rounds_min"), f64::from(planned.load.rounds), "{name}");
                    }
                    Journey::Streams => {
                        let open = 0.95 * f64::from(planned.load.watchers);
                        assert!(bound("open_streams_min") >= open, "{name}: {open} streams");
                    }
                }
            }
        }
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
