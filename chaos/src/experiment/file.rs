//! The TOML file.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Experiment, ExperimentError, Fault, Holds,
    fault::FaultTable,
    span::{self, Span},
};
use crate::{
    clients::Load,
    platform::{Engine, Plan},
};

/// The `[platform]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlatformTable {
    /// What events travel over.
    pub engine: Engine,
    /// How many brokers: 1 or 3.
    pub brokers: u8,
    /// Whether a broker has a message on its disk before it says so: for experiments that kill it.
    pub durable: bool,
    /// MiB of a volume of its own for the database, which can be filled.
    pub volume: Option<u32>,
    /// Whether the parts have named points where they can be killed.
    pub failpoints: bool,
    /// How many replicas of a service; 2 of orders and inventory, 1 of the others.
    pub replicas: BTreeMap<String, u8>,
    /// Settings of all parts.
    pub variables: BTreeMap<String, String>,
    /// Settings of one part, by its name.
    pub own: BTreeMap<String, BTreeMap<String, String>>,
}

impl Default for PlatformTable {
    fn default() -> Self {
        Self {
            engine: Engine::Kafka,
            brokers: 1,
            durable: false,
            volume: None,
            failpoints: false,
            replicas: BTreeMap::new(),
            variables: BTreeMap::new(),
            own: BTreeMap::new(),
        }
    }
}

impl PlatformTable {
    /// The platform, with this program.
    pub(super) fn plan(&self, viscount: impl Into<PathBuf>) -> Plan {
        let own = self.own.iter().map(|(part, own)| (part.clone(), own.clone().into_iter().collect()));
        Plan {
            engine: self.engine,
            brokers: self.brokers,
            replicas: self.replicas.clone(),
            variables: self.variables.clone().into_iter().collect(),
            own: own.collect(),
            durable: self.durable,
            volume: self.volume,
            ..Plan::new(viscount)
        }
    }
}

/// How an experiment is scaled down.
#[derive(Debug, Clone, PartialEq)]
pub struct Quick {
    /// How long the load goes on.
    pub length: Duration,
    /// How long settling may take; as in the full one when absent.
    pub settle: Option<Duration>,
    /// How often each fault happens at most.
    pub repeat: Option<u32>,
    /// Fields of `[load]` that differ.
    pub load: toml::Table,
    /// Bounds that differ. Those of figures that grow with the length are in proportion where this says nothing.
    pub holds: Holds,
    /// Expectations of the whole that say nothing in so short a time, or on a machine that is busy with other things.
    pub without: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    about: String,
    seconds: u64,
    settle: u64,
    quick: Option<QuickTable>,
    #[serde(default)]
    platform: PlatformTable,
    load: toml::Table,
    #[serde(default)]
    fault: Vec<FaultTable>,
    #[serde(default)]
    holds: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuickTable {
    seconds: u64,
    settle: Option<u64>,
    repeat: Option<u32>,
    #[serde(default)]
    load: toml::Table,
    #[serde(default)]
    holds: toml::Table,
    #[serde(default)]
    without: Vec<String>,
}

/// Reads the file; what it says may still be impossible.
pub(super) fn read(source: &str, text: &str) -> Result<Experiment, ExperimentError> {
    let file: File = toml::from_str(text).map_err(|error| {
        let place = match error.span() {
            Some(span) => {
                let line = text.get(..span.start).map_or(0, |before| before.matches('\n').count()) + 1;
                format!("{source}, line {line}")
            }
            None => source.to_owned(),
        };
        ExperimentError { place, problem: error.message().to_owned() }
    })?;
    let name = file.name;
    let fault = |(number, table): (usize, FaultTable)| {
        let done = table.done.clone();
        Fault::try_from(table).map_err(|problem| ExperimentError {
            place: format!("{name}: fault {} ({done})", number + 1),
            problem,
        })
    };
    let faults = file.fault.into_iter().enumerate().map(fault).collect::<Result<Vec<Fault>, _>>()?;
    let bounds = |place: &str, table: &toml::Table| {
        Holds::read(table).map_err(|problem| ExperimentError { place: format!("{name}: {place}"), problem })
    };
    let holds = bounds("[holds]", &file.holds)?;
    let quick = file.quick.map(|quick| {
        Ok(Quick {
            length: Duration::from_secs(quick.seconds),
            settle: quick.settle.map(Duration::from_secs),
            repeat: quick.repeat,
            load: quick.load,
            holds: bounds("quick, `holds`", &quick.holds)?,
            without: quick.without,
        })
    });
    let quick = quick.transpose()?;
    let load = clients(&name, &file.load)?;
    Ok(Experiment {
        name,
        about: file.about,
        length: Duration::from_secs(file.seconds),
        settle: Duration::from_secs(file.settle),
        quick,
        platform: file.platform,
        load,
        written_load: file.load,
        faults,
        holds,
    })
}

/// The `[load]` table as the clients know it.
fn clients(name: &str, table: &toml::Table) -> Result<Load, ExperimentError> {
    let bad = |problem: String| ExperimentError { place: format!("{name}: [load]"), problem };
    let load: Load =
        table.clone().try_into().map_err(|error: toml::de::Error| bad(error.message().to_owned()))?;
    load.check().map_err(|error| bad(error.to_string()))?;
    Ok(load)
}

impl Quick {
    /// The experiment in so much less time. Intervals stay; what does not fit any more happens less often.
    pub(super) fn scale(&self, experiment: &Experiment) -> Result<Experiment, ExperimentError> {
        let mut scaled = experiment.clone();
        let share = self.length.as_secs_f64() / experiment.length.as_secs_f64().max(1.0);
        let shorter = |span: Duration| Duration::from_millis((span.as_secs_f64() * share * 1_000.0) as u64);
        scaled.length = self.length;
        scaled.settle = self.settle.unwrap_or(experiment.settle);
        scaled.quick = None;
        let holds = &mut scaled.holds;
        holds.scale(share);
        holds.replace(&self.holds);
        if let Some(unknown) = self.without.iter().find(|name| !holds.without(name)) {
            return Err(experiment.error("quick", format!("`without`: `{unknown}` is not expected anyhow")));
        }
        scaled.written_load.extend(self.load.clone());
        scaled.load = clients(&experiment.name, &scaled.written_load)?;
        for fault in &mut scaled.faults {
            fault.at = shorter(fault.at);
            if share < 1.0 && fault.what.shrinks() {
                fault.lasts = shorter(fault.lasts);
            }
            if let (Some(times), Some(most)) = (fault.times, self.repeat) {
                fault.times = Some(times.min(most));
            }
            if let Some(fits) = fault.fits(self.length) {
                fault.times = fault.times.map(|times| times.min(fits.max(1)));
            }
        }
        Ok(scaled)
    }
}

impl FaultTable {
    pub(super) fn span(field: Option<Span>) -> Option<Duration> {
        field.map(|Span(span)| span)
    }

    pub(super) fn shift(field: Option<&str>) -> Result<Option<i64>, String> {
        field.map(span::parse_shift).transpose()
    }
}
