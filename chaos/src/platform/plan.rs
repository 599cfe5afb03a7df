//! What is to run: the parts of a platform, by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::PlatformError;

/// What every platform has, in the order in which starting them spares waiting.
pub const SERVICES: [&str; 8] =
    ["simulator", "identity", "coordination", "catalog", "inventory", "orders", "payments", "gateway"];

/// The provider is somebody else's: it is no service of the platform.
pub(super) const SIMULATOR: &str = "simulator";
/// What all services are in one process.
pub(super) const PLATFORM: &str = "platform";

/// One process of a platform, such as `orders-1`, `broker-2` or `postgres`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Part(String);

impl Part {
    /// The one of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// What it is one of: `orders` of `orders-1`.
    pub fn kind(&self) -> &str {
        self.0.rsplit_once('-').map_or(&self.0, |(kind, _)| kind)
    }

    /// Its number among its kind, from 1.
    pub fn number(&self) -> u16 {
        self.0.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or(1)
    }

    /// True for PostgreSQL and brokers.
    pub fn is_server(&self) -> bool {
        matches!(self.kind(), "postgres" | "broker")
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What carries the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// Brokers; every service is a process of its own.
    #[default]
    Kafka,
    /// The log of the one process in which all services are.
    Embedded,
}

/// A platform to start.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What carries the events.
    pub engine: Engine,
    /// How many brokers: 1 or 3.
    pub brokers: u8,
    /// How many of a service; 2 of orders and inventory and 1 of the others unless named. One gateway, one provider.
    pub replicas: BTreeMap<String, u8>,
    /// Environment of every service.
    pub variables: Vec<(String, String)>,
    /// Environment of one part, by its name.
    pub own: BTreeMap<String, Vec<(String, String)>>,
    /// Brokers write each message to the disk before they acknowledge it.
    pub durable: bool,
    /// MiB of a volume of its own for PostgreSQL's data, which can be filled. Only root can have one.
    pub volume: Option<u32>,
    /// Keeps the data of PostgreSQL and the brokers when all is over. What lies on a volume of its own cannot be kept.
    pub keep: bool,
    /// The program under test.
    pub viscount: PathBuf,
}

impl Plan {
    /// One broker, two replicas of orders and inventory, one of the others.
    pub fn new(viscount: impl Into<PathBuf>) -> Self {
        Self {
            engine: Engine::default(),
            brokers: 1,
            replicas: BTreeMap::new(),
            variables: Vec::new(),
            own: BTreeMap::new(),
            durable: false,
            volume: None,
            keep: false,
            viscount: viscount.into(),
        }
    }

    /// How many of a service.
    pub fn replicas_of(&self, service: &str) -> u8 {
        let usual = if matches!(service, "orders" | "inventory") { 2 } else { 1 };
        self.replicas.get(service).copied().unwrap_or(usual)
    }

    /// All parts, in the order of a start.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = vec![Part::new("postgres")];
        match self.engine {
            Engine::Kafka => {
                parts.extend((1..=self.brokers).map(|n| Part(format!("broker-{n}"))));
                for service in SERVICES {
                    parts.extend((1..=self.replicas_of(service)).map(|n| Part(format!("{service}-{n}"))));
                }
            }
            Engine::Embedded => parts.extend([Part::new("simulator-1"), Part::new("platform-1")]),
        }
        parts
    }

    /// The parts that a name stands for: a part's own; `services` (all but PostgreSQL, the brokers and the provider),
    /// `brokers`, `all`; or a service's, for all its replicas, and for the one process where all services are in one.
    pub fn resolve(&self, name: &str) -> Result<Vec<Part>, PlatformError> {
        let parts = self.parts();
        let is_service = |part: &Part| !part.is_server() && part.kind() != SIMULATOR;
        let in_one = |part: &Part| {
            let kind = Part::new(name);
            part.kind() == PLATFORM && (SERVICES.contains(&name) || SERVICES.contains(&kind.kind()))
        };
        let meant = |part: &&Part| match name {
            "all" => true,
            "services" => is_service(part),
            "brokers" => part.kind() == "broker",
            name => part.name() == name || part.kind() == name,
        };
        let mut found: Vec<Part> = parts.iter().filter(meant).cloned().collect();
        if found.is_empty() {
            found.extend(parts.iter().filter(|part| in_one(part)).cloned());
        }
        // Where there are no brokers, `brokers` is nobody.
        if found.is_empty() && !(name == "brokers" && self.engine == Engine::Embedded) {
            let names: BTreeSet<_> = parts.iter().flat_map(|part| [part.name(), part.kind()]).collect();
            let known =
                names.into_iter().chain(["all", "brokers", "services"]).collect::<Vec<_>>().join(", ");
            return Err(PlatformError::Unknown { name: name.to_owned(), known });
        }
        Ok(found)
    }

    /// Refuses what cannot be started.
    pub(crate) fn check(&self) -> Result<(), PlatformError> {
        let refuse = |why: String| Err(PlatformError::Plan(why));
        if !matches!(self.brokers, 1 | 3) {
            return refuse(format!("there are 1 or 3 brokers, not {}", self.brokers));
        }
        if self.keep && self.volume.is_some() {
            return refuse(
                "a volume of its own goes with the run: the database's data cannot be kept".to_owned(),
            );
        }
        for (service, replicas) in &self.replicas {
            if !SERVICES.contains(&service.as_str()) {
                return refuse(format!("replicas of {service}: there is no such service"));
            }
            let most = if matches!(service.as_str(), "gateway" | SIMULATOR) { 1 } else { 4 };
            if !(1..=most).contains(replicas) {
                return refuse(format!("{service}: 1 to {most} replicas, not {replicas}"));
            }
        }
        for name in self.own.keys() {
            if !self.parts().iter().any(|part| part.name() == name) {
                return refuse(format!("variables of {name}: there is no such part"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parts: &[Part]) -> Vec<&str> {
        parts.iter().map(Part::name).collect()
    }

    #[test]
    fn a_name_is_a_part_a_service_or_a_group() {
        let plan = Plan::new("viscount");
        assert_eq!(names(&plan.resolve("orders").unwrap()), ["orders-1", "orders-2"]);
        assert_eq!(names(&plan.resolve("orders-2").unwrap()), ["orders-2"]);
        assert_eq!(names(&plan.resolve("brokers").unwrap()), ["broker-1"]);
        let services = plan.resolve("services").unwrap();
        assert_eq!(services.len(), 9, "{services:?}");
        assert!(services.iter().all(|part| !part.is_server() && part.kind() != SIMULATOR));
        let refused = plan.resolve("order").unwrap_err().to_string();
        assert!(refused.contains("order;") && refused.contains("orders-2"), "{refused}");
    }

    #[test]
    fn in_one_process_every_service_is_that_process() {
        let plan = Plan { engine: Engine::Embedded, ..Plan::new("viscount") };
        assert_eq!(names(&plan.parts()), ["postgres", "simulator-1", "platform-1"]);
        for name in ["orders", "orders-1", "gateway", "services", "platform-1"] {
            assert_eq!(names(&plan.resolve(name).unwrap()), ["platform-1"], "{name}");
        }
        assert_eq!(names(&plan.resolve("simulator").unwrap()), ["simulator-1"]);
        assert!(plan.resolve("brokers").unwrap().is_empty());
        assert!(plan.resolve("broker-1").is_err());
    }

    #[test]
    fn what_cannot_be_started_is_refused() {
        let usual = || Plan::new("viscount");
        let replicas = |service: &str| BTreeMap::from([(service.to_owned(), 2)]);
        assert!(usual().check().is_ok());
        assert!(Plan { brokers: 2, ..usual() }.check().is_err());
        assert!(Plan { replicas: replicas("orders"), ..usual() }.check().is_ok());
        assert!(Plan { replicas: replicas("order"), ..usual() }.check().is_err());
        assert!(Plan { replicas: replicas("gateway"), ..usual() }.check().is_err());
        assert!(Plan { volume: Some(400), ..usual() }.check().is_ok());
        assert!(Plan { volume: Some(400), keep: true, ..usual() }.check().is_err());
        let own = BTreeMap::from([("orders-3".to_owned(), Vec::new())]);
        assert!(Plan { own, ..usual() }.check().is_err());
    }
}
