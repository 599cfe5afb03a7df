//! The parts of a platform and the links between them, by name: those that [`Plan`] knows.

use super::PlatformTable;
use crate::platform::{Plan, SERVICES};

/// The names of a platform's parts, in the order in which they start.
#[derive(Debug, Clone)]
pub struct Parts {
    plan: Plan,
    names: Vec<String>,
}

impl Parts {
    /// Those that this table asks for.
    pub fn of(table: &PlatformTable) -> Self {
        let plan = Plan {
            engine: table.engine,
            brokers: table.brokers,
            replicas: table.replicas.clone(),
            ..Plan::new("")
        };
        let names = plan.parts().iter().map(|part| part.name().to_owned()).collect();
        Self { plan, names }
    }

    /// All of them.
    pub fn all(&self) -> &[String] {
        &self.names
    }

    /// The parts, or the links, that a name means: see [`Plan::resolve`]. A link has the name of the part that it leads to.
    pub fn resolve(&self, name: &str) -> Result<Vec<String>, String> {
        let found = self.plan.resolve(name).map_err(|error| error.to_string())?;
        Ok(found.iter().map(|part| part.name().to_owned()).collect())
    }

    /// Whether there is such a service, in a process of its own or in the one of all.
    pub fn has_service(&self, service: &str) -> bool {
        SERVICES.contains(&service) && self.resolve(service).is_ok()
    }
}
