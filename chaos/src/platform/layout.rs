//! Who listens where, and what each process is told of it.
//!
//! ```text
//! clients → [gateway-1] → gateway → [orders-1] → orders
//!                         services → [postgres] → PostgreSQL
//!                         services → [broker-1] → Kafka
//!                         payments → [simulator-1] → the provider
//! ```
//!
//! What stands in brackets is a proxy. The provider, which is somebody else's, reaches PostgreSQL past the proxy, and so
//! do commands and those who look into things from outside.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use super::{
    Engine, Part, Plan,
    plan::{PLATFORM, SERVICES, SIMULATOR},
};

/// The variable by which all processes of one run are known.
pub(super) const MARK: &str = "VISCOUNT_CHAOS_RUN";

/// Variables of the rig's own surroundings that say what a platform should be: none of them is meant for this one.
const FOREIGN: [&str; 15] = [
    "VISCOUNT_",
    "KAFKA_",
    "GATEWAY_",
    "ORDERS_",
    "INVENTORY_",
    "PAYMENTS_",
    "CATALOG_",
    "IDENTITY_",
    "COORDINATION_",
    "SIMULATOR_",
    "OTEL_",
    "SCHEMA_REGISTRY_",
    "DATABASE_URL",
    "FAILPOINTS",
    "LD_PRELOAD",
];
/// Where PostgreSQL and Kafka come from.
const OURS: [&str; 4] =
    ["VISCOUNT_PG_BIN", "VISCOUNT_PG_SOURCE", "VISCOUNT_PG_CACHE", "VISCOUNT_KAFKA_CACHE"];

/// True for a variable that the processes must not get from the rig's surroundings.
pub(super) fn is_foreign(name: &str) -> bool {
    FOREIGN.iter().any(|prefix| name.starts_with(prefix)) && !OURS.contains(&name)
}

/// All addresses of a platform.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) mark: String,
    pub(super) folder: PathBuf,
    pub(super) prefix: String,
    engine: Engine,
    /// Own ports by name: of parts, and of the services that share a process.
    ports: BTreeMap<String, u16>,
    /// Ports of proxies by link.
    pub(super) proxies: BTreeMap<String, u16>,
    /// The controllers' ports of several brokers.
    voters: Vec<u16>,
}

impl Layout {
    /// Gives everybody a port.
    pub(super) fn new(plan: &Plan, folder: &Path, mark: String) -> std::io::Result<Self> {
        let mut names: Vec<String> = plan.parts().iter().map(|part| part.name().to_owned()).collect();
        if plan.engine == Engine::Embedded {
            names.retain(|name| Part::new(name.as_str()).kind() != PLATFORM);
            names.extend(SERVICES.iter().filter(|name| **name != SIMULATOR).map(|name| format!("{name}-1")));
        }
        let brokers = if plan.brokers > 1 { usize::from(plan.brokers) } else { 0 };
        let mut ports = super::ports::free(names.len() + brokers)?;
        let voters = ports.split_off(names.len());
        Ok(Self {
            prefix: format!("chaos-{}.", &mark[..8]),
            mark,
            folder: folder.to_owned(),
            engine: plan.engine,
            ports: names.into_iter().zip(ports).collect(),
            proxies: BTreeMap::new(),
            voters,
        })
    }

    /// The links that have a proxy: whoever connects to this part goes through it.
    pub(super) fn links(&self) -> Vec<String> {
        let in_one = self.engine == Engine::Embedded;
        let has_proxy =
            |name: &&String| !in_one || ["postgres", "simulator-1", "gateway-1"].contains(&name.as_str());
        self.ports.keys().filter(has_proxy).cloned().collect()
    }

    /// Where a part listens itself. The first of the process's, where all services are in one.
    pub(super) fn own(&self, name: &str) -> Option<SocketAddr> {
        self.ports.get(name).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, *port)))
    }

    /// `host:port` where others find it: its proxy, if it has one.
    fn place(&self, name: &str) -> String {
        let port = self.proxies.get(name).or_else(|| self.ports.get(name)).copied().unwrap_or_default();
        format!("127.0.0.1:{port}")
    }

    /// `host:port` where it listens itself.
    pub(super) fn own_place(&self, name: &str) -> String {
        format!("127.0.0.1:{}", self.ports.get(name).copied().unwrap_or_default())
    }

    /// The clients' door.
    pub(super) fn door(&self) -> String {
        format!("http://{}", self.place("gateway-1"))
    }

    /// The instances of a service.
    pub(super) fn instances(&self, service: &str) -> Vec<&str> {
        let of_it = |name: &&String| Part::new(name.as_str()).kind() == service;
        self.ports.keys().filter(of_it).map(String::as_str).collect()
    }

    /// The addresses at which a process has to answer that it is ready.
    pub(super) fn doors_of(&self, part: &Part) -> Vec<String> {
        let names: Vec<&str> = match part.kind() {
            PLATFORM => self.ports.keys().map(String::as_str).filter(|name| is_in_one(name)).collect(),
            _ => vec![part.name()],
        };
        names.into_iter().map(|name| format!("http://{}", self.own_place(name))).collect()
    }

    /// The data folder that all processes of the platform share.
    pub(super) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// What a process says goes there.
    pub(super) fn log(&self, part: &Part) -> PathBuf {
        self.folder.join("logs").join(format!("{part}.log"))
    }

    /// What a server itself has said goes there at the end.
    pub(super) fn log_of_server(&self, part: &Part) -> PathBuf {
        self.folder.join("logs").join(format!("{part}-server.log"))
    }

    /// The folder of a server.
    pub(super) fn data(&self, part: &Part) -> PathBuf {
        self.folder.join(part.name())
    }

    /// Arguments of the program that runs this part.
    pub(super) fn arguments(&self, part: &Part, durable: bool) -> Vec<String> {
        let port = self.ports.get(part.name()).copied().unwrap_or_default().to_string();
        let data = self.data(part).to_string_lossy().into_owned();
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        match part.kind() {
            "postgres" => {
                text(&["dev", "postgres", "--connections", "400", "--data", &data, "--port", &port])
            }
            "broker" => {
                let mut arguments = text(&["dev", "kafka", "--data", &data, "--port", &port, "--advertise"]);
                arguments.push(self.place(part.name()));
                arguments.extend(["--node".to_owned(), part.number().to_string()]);
                if !self.voters.is_empty() {
                    let voters = (1..).zip(&self.voters).map(|(node, port)| format!("{node}@{port}"));
                    arguments.extend(["--voters".to_owned(), voters.collect::<Vec<_>>().join(",")]);
                }
                if durable {
                    arguments.push("--flush".to_owned());
                }
                arguments
            }
            PLATFORM => {
                let here = SERVICES.iter().filter(|name| **name != SIMULATOR).map(|name| (*name).to_owned());
                ["serve".to_owned()].into_iter().chain(here).collect()
            }
            service => text(&["serve", service]),
        }
    }

    /// What a command on this platform is told: all but the database as services find it, through the proxies.
    pub(super) fn outside(&self, database: &str) -> Vec<(String, String)> {
        self.environment("", database)
    }

    /// What the process of a part is told. `database` is the superuser's URL, past the proxy.
    pub(super) fn inside(&self, part: &Part, database: &str) -> Vec<(String, String)> {
        if part.is_server() {
            return vec![(MARK.to_owned(), self.mark.clone())];
        }
        let through = match part.kind() {
            SIMULATOR => database.to_owned(),
            _ => database.replace(&self.own_place("postgres"), &self.place("postgres")),
        };
        self.environment(part.name(), &through)
    }

    fn environment(&self, name: &str, database: &str) -> Vec<(String, String)> {
        let part = Part::new(name);
        let http = |place: String| format!("http://{place}");
        let gateway = http(self.own_place("gateway-1"));
        let mut all = vec![
            (MARK.to_owned(), self.mark.clone()),
            ("VISCOUNT_DATA_DIR".to_owned(), self.home().to_string_lossy().into_owned()),
            ("VISCOUNT_HOST".to_owned(), "127.0.0.1".to_owned()),
            ("DATABASE_URL".to_owned(), database.to_owned()),
            ("PAYMENTS_PROVIDER_URL".to_owned(), http(self.place("simulator-1"))),
            ("SIMULATOR_WEBHOOK_URL".to_owned(), format!("{gateway}/v1/payments/webhooks/simulator")),
            ("VISCOUNT_PORT".to_owned(), self.port_of("gateway-1")),
            ("VISCOUNT_COORDINATION_URL".to_owned(), http(self.place("coordination-1"))),
        ];
        let own = |service: &str| match part.kind() == service {
            true => self.port_of(name),
            false => self.port_of(&format!("{service}-1")),
        };
        for service in SERVICES.iter().filter(|service| **service != "gateway") {
            all.push((format!("{}_PORT", service.to_uppercase()), own(service)));
        }
        if self.engine == Engine::Kafka {
            let brokers: Vec<_> = self.instances("broker").into_iter().map(|name| self.place(name)).collect();
            all.push(("KAFKA_BROKERS".to_owned(), brokers.join(",")));
            all.push(("KAFKA_TOPIC_PREFIX".to_owned(), self.prefix.clone()));
            all.push(("VISCOUNT_JWKS_URL".to_owned(), format!("{gateway}/.well-known/jwks.json")));
            for service in SERVICES.iter().filter(|service| !matches!(**service, "gateway" | SIMULATOR)) {
                let places: Vec<_> =
                    self.instances(service).into_iter().map(|name| self.place(name)).collect();
                all.push((format!("GATEWAY_UPSTREAM_{}", service.to_uppercase()), places.join(",")));
            }
        }
        all
    }

    fn port_of(&self, name: &str) -> String {
        self.ports.get(name).copied().unwrap_or_default().to_string()
    }
}

fn is_in_one(name: &str) -> bool {
    let kind = Part::new(name);
    SERVICES.contains(&kind.kind()) && kind.kind() != SIMULATOR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_on_demand_are_the_plan_s_alone() {
        for plan in [Plan::new("viscount"), Plan { engine: Engine::Embedded, ..Plan::new("viscount") }] {
            let layout = Layout::new(&plan, Path::new("run"), "0123456789".to_owned()).unwrap();
            let told = |part: &Part| layout.inside(part, "postgres://somewhere");
            let told: Vec<_> = plan.parts().iter().flat_map(told).collect();
            assert!(!told.is_empty() && !told.iter().any(|(name, _)| name == "VISCOUNT_FAULTS"), "{told:?}");
        }
    }
}
