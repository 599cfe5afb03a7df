//! The platform under test: PostgreSQL, brokers and the services, as processes that can be killed one by one.
//!
//! Everything of one run lies in one folder:
//!
//! ```text
//! home/        what all processes of the platform share: keys, passwords
//! postgres/    the database server's
//! broker-1/    a broker's
//! logs/        what each process has said
//! ```
//!
//! Processes are in process groups of their own, so that a Ctrl-C in the terminal is the rig's alone, and carry the mark
//! of the run in their environment. When the last [`Platform`] of a run is dropped, everything is killed and the data
//! removed; the logs stay. When the rig itself is killed, a shell does the same (`watch`).

mod commands;
mod control;
mod error;
pub mod faketime;
mod layout;
mod plan;
mod ports;
mod process;
pub mod program;
mod start;
mod state;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod testing;
mod volume;
mod watch;

use std::{path::PathBuf, process::ExitStatus, sync::Arc};

use crate::proxy::Proxy;

pub use error::PlatformError;
pub use plan::{Engine, Part, Plan, SERVICES};
pub use volume::Volume;

use state::{Inner, locked};

/// A platform that runs. Copies are the same one.
#[derive(Debug, Clone)]
pub struct Platform(Arc<Inner>);

impl Platform {
    /// What was started.
    pub fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// All parts, in the order of a start.
    pub fn parts(&self) -> Vec<Part> {
        self.0.plan.parts()
    }

    /// The parts that a name stands for: see [`Plan::resolve`].
    ///
    /// # Errors
    /// When there is no part and no group of this name.
    pub fn resolve(&self, name: &str) -> Result<Vec<Part>, PlatformError> {
        self.0.plan.resolve(name)
    }

    /// The proxy before a part, which has the part's name. Before `platform-1` it is the clients' one, `gateway-1`.
    pub fn proxy(&self, link: &str) -> Option<&Proxy> {
        let link = if Part::new(link).kind() == plan::PLATFORM { "gateway-1" } else { link };
        self.0.proxies.get(link)
    }

    /// All links that have a proxy.
    pub fn links(&self) -> Vec<&str> {
        self.0.proxies.keys().map(String::as_str).collect()
    }

    /// The clients' door: the gateway behind its proxy, such as `http://127.0.0.1:12345`.
    pub fn door(&self) -> String {
        self.0.layout.door()
    }

    /// The addresses of a service's instances themselves, past the proxies.
    pub fn doors(&self, service: &str) -> Vec<String> {
        let instances = self.0.layout.instances(service);
        instances.into_iter().map(|name| format!("http://{}", self.0.layout.own_place(name))).collect()
    }

    /// The superuser's connection to one database, past the proxy. Databases: `order_db`, `inventory_db`, `payment_db`,
    /// `product_catalog_db`, `identity_db`, `platform_coordination_db`, `payment_simulator_db`.
    pub fn database_url(&self, database: &str) -> String {
        let admin = self.0.admin_url();
        match admin.rsplit_once('/') {
            Some((server, _)) => format!("{server}/{database}"),
            None => admin,
        }
    }

    /// `host:port,…` of the brokers past the proxies; none with the embedded engine.
    pub fn brokers(&self) -> Option<String> {
        let direct = locked(&self.0.direct);
        (self.0.plan.engine == Engine::Kafka).then(|| direct.values().cloned().collect::<Vec<_>>().join(","))
    }

    /// `host:port` of one of them past its proxy; none of another part.
    pub fn broker(&self, part: &Part) -> Option<String> {
        locked(&self.0.direct).get(part).cloned()
    }

    /// What stands before the names of topics and groups.
    pub fn topic_prefix(&self) -> &str {
        &self.0.layout.prefix
    }

    /// The process of a part: a service's, or the server's own; none while it does not run.
    pub fn pid(&self, part: &Part) -> Option<u32> {
        let mut process = locked(&self.0.slot(part).ok()?.process);
        let process = process.as_mut()?;
        match process.ended() {
            None => Some(process.pid().as_raw_nonzero().get().unsigned_abs()),
            Some(_) => None,
        }
    }

    /// True while its process is there, be it stopped in its tracks.
    pub fn is_running(&self, part: &Part) -> bool {
        self.pid(part).is_some()
    }

    /// How its last process has ended; none while it runs. A server's is that of its launcher.
    pub fn exit(&self, part: &Part) -> Option<ExitStatus> {
        locked(&self.0.slot(part).ok()?.process).as_mut()?.ended()
    }

    /// What a part has said.
    pub fn log_path(&self, part: &Part) -> PathBuf {
        self.0.layout.log(part)
    }

    /// The folder of the run.
    pub fn folder(&self) -> &std::path::Path {
        &self.0.layout.folder
    }

    /// The volume that a part's data lies on, where the plan gave it one of its own.
    pub fn volume(&self, part: &Part) -> Option<Volume> {
        (part.kind() == "postgres").then(|| locked(&self.0.volume).clone()).flatten()
    }

    /// Sets a variable of a part's environment, or takes it out; in force from its next start.
    ///
    /// # Errors
    /// When there is no such part.
    pub fn set_variable(&self, part: &Part, name: &str, value: Option<String>) -> Result<(), PlatformError> {
        let mut variables = locked(&self.0.slot(part)?.variables);
        match value {
            Some(value) => variables.insert(name.to_owned(), value),
            None => variables.remove(name),
        };
        Ok(())
    }
}
