//! The parts of a platform and the links between them, by name.

use super::{Engine, ExperimentError, PlatformTable};

/// Services, and how many replicas each has unless an experiment says otherwise.
const SERVICES: [(&str, u8); 7] = [
    ("identity", 1),
    ("catalog", 1),
    ("inventory", 2),
    ("orders", 2),
    ("payments", 1),
    ("coordination", 1),
    ("gateway", 1),
];
/// Services of which there may be several.
pub const REPLICATED: [&str; 5] = ["identity", "catalog", "inventory", "orders", "payments"];
/// The payment provider. It is nobody's part to keep promises, and no service of ours.
const PROVIDER: &str = "simulator-1";
/// All services in one process.
const ALL_IN_ONE: &str = "platform-1";
const POSTGRES: &str = "postgres";

/// The names of a platform's parts, in the order in which they start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts(Vec<String>);

impl Parts {
    /// Those that this table asks for.
    pub fn of(platform: &PlatformTable) -> Self {
        let mut parts = vec![POSTGRES.to_owned()];
        match platform.engine {
            Engine::Embedded => parts.push(ALL_IN_ONE.to_owned()),
            Engine::Kafka => {
                parts.extend((1..=platform.brokers).map(|number| format!("broker-{number}")));
                parts.push(PROVIDER.to_owned());
                for (service, usual) in SERVICES {
                    let replicas = platform.replicas.get(service).copied().unwrap_or(usual);
                    parts.extend((1..=replicas).map(|number| format!("{service}-{number}")));
                }
            }
        }
        Self(parts)
    }

    /// All of them.
    pub fn all(&self) -> &[String] {
        &self.0
    }

    /// The parts that a name means: one of them, `services` (all but the database, the brokers and the provider),
    /// `brokers`, or a service with all its replicas.
    pub fn resolve(&self, name: &str) -> Result<Vec<String>, String> {
        let is_service = |part: &str| part != POSTGRES && part != PROVIDER && !part.starts_with("broker-");
        let found: Vec<String> = match name {
            "services" => self.0.iter().filter(|part| is_service(part)).cloned().collect(),
            "brokers" => self.0.iter().filter(|part| part.starts_with("broker-")).cloned().collect(),
            _ => {
                let of_service = |part: &str| {
                    part.rsplit_once('-').is_some_and(|(service, number)| {
                        service == name && number.bytes().all(|b| b.is_ascii_digit())
                    })
                };
                self.0.iter().filter(|part| *part == name || of_service(part)).cloned().collect()
            }
        };
        if found.is_empty() { Err(self.none(name)) } else { Ok(found) }
    }

    /// The links with a proxy: one before each part that others connect to.
    pub fn links(&self) -> Vec<String> {
        self.0.clone()
    }

    /// The links that a name means.
    pub fn resolve_links(&self, name: &str) -> Result<Vec<String>, String> {
        self.resolve(name)
    }

    /// Whether there is such a service, in a process of its own or in the one of all.
    pub fn has_service(&self, service: &str) -> bool {
        let known = SERVICES.iter().any(|(name, _)| *name == service);
        known && (self.0.iter().any(|part| part == ALL_IN_ONE) || self.resolve(service).is_ok())
    }

    fn none(&self, name: &str) -> String {
        format!("`{name}` is none of: services, brokers, {}", self.0.join(", "))
    }
}

/// Replicas that there can be.
pub(super) fn check_replicas(experiment: &super::Experiment) -> Result<(), ExperimentError> {
    for (service, replicas) in &experiment.platform.replicas {
        if !SERVICES.iter().any(|(name, _)| name == service) {
            let names: Vec<&str> = SERVICES.iter().map(|(name, _)| *name).collect();
            return Err(experiment
                .error("[platform] replicas", format!("`{service}` is none of: {}", names.join(", "))));
        }
        if !(1..=4).contains(replicas) || (*replicas > 1 && !REPLICATED.contains(&service.as_str())) {
            let most = if REPLICATED.contains(&service.as_str()) { 4 } else { 1 };
            return Err(experiment.error("[platform] replicas", format!("{service}: there are 1 to {most}")));
        }
    }
    Ok(())
}
