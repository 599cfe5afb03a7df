//! The faults that a configuration may ask for, in the form in which services take them.

use serde::Deserialize;

use super::settings::Wrong;

/// Faults at once.
const MOST: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Panic,
    Slow,
    Stuck,
    ProviderDown,
    ProviderSlow,
    DropDatabaseConnections,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    #[serde(default)]
    id: Option<String>,
    kind: Kind,
    #[serde(default)]
    actor: Option<String>,
    #[serde(default)]
    entity: Option<String>,
    #[serde(default)]
    every: Option<u32>,
    #[serde(default)]
    delay_ms: Option<u32>,
    #[serde(default)]
    times: Option<u32>,
    #[serde(default)]
    expires_in_seconds: Option<u32>,
}

/// What is wrong with the faults.
pub fn check(value: &serde_json::Value, wrong: &mut Vec<Wrong>) {
    let Some(faults) = value.as_array() else {
        wrong.push(Wrong::at("/faults", "must be a list of faults"));
        return;
    };
    if faults.len() > MOST {
        wrong.push(Wrong::at("/faults", format!("at most {MOST} faults")));
    }
    for (index, fault) in faults.iter().take(MOST).enumerate() {
        match Fault::deserialize(fault) {
            Ok(fault) => fault.check(index, wrong),
            Err(error) => wrong.push(Wrong::at(format!("/faults/{index}"), error.to_string())),
        }
    }
}

impl Fault {
    fn check(&self, index: usize, wrong: &mut Vec<Wrong>) {
        let mut say = |name: &str, detail: &str| {
            wrong.push(Wrong::at(format!("/faults/{index}/{name}"), detail));
        };
        for (name, text) in [("id", &self.id), ("actor", &self.actor), ("entity", &self.entity)] {
            if text.as_ref().is_some_and(|text| !(1..=64).contains(&text.chars().count())) {
                say(name, "must have 1 to 64 characters");
            }
        }
        for (name, number) in [("every", self.every), ("times", self.times)] {
            if number == Some(0) {
                say(name, "must be 1 or more");
            }
        }
        if self.delay_ms.is_some_and(|delay| delay > 600_000) {
            say("delay_ms", "must be at most 600000");
        }
        if self.expires_in_seconds.is_some_and(|seconds| !(1..=86_400).contains(&seconds)) {
            say("expires_in_seconds", "must be from 1 to 86400");
        }
        if matches!(self.kind, Kind::Slow | Kind::ProviderSlow) && self.delay_ms.is_none() {
            say("delay_ms", "is needed for this kind");
        }
    }
}
