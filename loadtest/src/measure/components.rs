//! Which processes and threads are the platform, by component.
//!
//! Services that have a process of their own are that process. A process that runs several is told apart by the names of
//! its threads (`orders`, `orders-http`); what its threads have in common, and its memory, counts as `platform`. PostgreSQL is
//! its postmaster with all its children.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use super::processes;
use crate::client::wire::Target;

/// What a process counts as whose threads belong to several services.
pub const PLATFORM: &str = "platform";
/// PostgreSQL.
pub const POSTGRES: &str = "postgres";
/// The event broker, when there is one.
pub const BROKER: &str = "broker";
/// This process.
pub const GENERATOR: &str = "generator";

/// Names of the platform's services, for when nobody tells which there are.
const SERVICES: [&str; 8] =
    ["gateway", "identity", "catalog", "inventory", "orders", "payments", "coordination", "simulator"];

/// What is sampled.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Components {
    /// Services with processes of their own.
    pub own: Vec<(String, u32)>,
    /// Processes that run several services.
    pub shared: Vec<u32>,
    /// Names that threads of a shared process may belong to.
    pub services: Vec<String>,
    /// The database server's first process.
    pub postmaster: Option<u32>,
    /// Why something is missing.
    pub notes: Vec<String>,
}

/// What `viscount up` writes of where everything listens.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Endpoints {
    /// The gateway's URL.
    #[serde(default)]
    pub gateway: Option<String>,
    /// Each service's URL.
    #[serde(default)]
    pub services: BTreeMap<String, String>,
    /// Host and port of the database server.
    #[serde(default)]
    pub database: String,
}

impl Endpoints {
    /// From a data directory.
    pub fn read(data_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(data_dir.join("endpoints.json")).ok()?).ok()
    }

    /// The same, when it is the directory of the platform at this target: another platform's says nothing about this one.
    pub fn of(target: &Target, data_dir: &Path) -> Option<Self> {
        let found = Self::read(data_dir).filter(|_| target.is_loopback())?;
        let gateway = found.gateway.as_deref().and_then(processes::port);
        (gateway.is_some() && gateway == target.port()).then_some(found)
    }
}

impl Components {
    /// Looks who listens on the target's port, and on those of the data directory's platform when it is the same one.
    /// When the target is on another machine, who listens here on a port of that number is somebody else: then only the
    /// processes that are named count.
    pub fn find(target: &Target, data_dir: &Path, named: &[(String, u32)]) -> Self {
        if !target.is_loopback() {
            let what = if named.is_empty() {
                "the target is not on this machine: CPU and memory of the platform are not known"
            } else {
                "the target is not on this machine: CPU and memory are those of the processes that --pid names"
            };
            return Self { own: named.to_vec(), notes: vec![what.to_owned()], ..Self::default() };
        }
        let endpoints = Endpoints::of(target, data_dir).unwrap_or_default();
        let target = target.port().unwrap_or_default();
        let mut ports: BTreeMap<u16, String> = BTreeMap::from([(target, "gateway".to_owned())]);
        for (name, url) in &endpoints.services {
            ports.extend(processes::port(url).map(|port| (port, name.clone())));
        }
        let database = processes::port(&endpoints.database);
        let wanted: Vec<u16> = ports.keys().copied().chain(database).collect();
        let listeners = processes::listeners(&wanted);
        let mut found = Self::default();
        let mut by_process: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for (port, name) in &ports {
            if let Some(pid) = listeners.get(port) {
                by_process.entry(*pid).or_default().push(name.clone());
            }
        }
        for (name, pid) in named {
            let names = by_process.entry(*pid).or_default();
            names.clear();
            names.push(name.clone());
        }
        if by_process.is_empty() {
            found.notes.push(format!(
                "no process of this machine was seen to listen on port {target}: CPU and memory of the platform are not \
                 known; name its processes with --pid"
            ));
        }
        let only = by_process.len() == 1;
        for (pid, names) in by_process {
            match names.as_slice() {
                // Who knows nothing but the gateway's port looks at the threads as well: `viscount up` is one process.
                [name] if !(only && name == "gateway" && has_threads_of_several(pid)) => {
                    found.own.push((name.clone(), pid));
                }
                _ => found.shared.push(pid),
            }
        }
        found.services = SERVICES.iter().map(|name| (*name).to_owned()).collect();
        found
            .services
            .extend(endpoints.services.keys().filter(|name| !SERVICES.contains(&name.as_str())).cloned());
        found.postmaster =
            database.and_then(|port| listeners.get(&port).copied()).or_else(|| found.postgres_below());
        if found.postmaster.is_none() && !found.platform().is_empty() {
            found.notes.push("no PostgreSQL of the platform was seen on this machine".to_owned());
        }
        found.own.extend(found.broker().map(|pid| (BROKER.to_owned(), pid)));
        found
    }

    /// A broker that the platform is connected to; any other one is somebody else's.
    fn broker(&self) -> Option<u32> {
        let ports: Vec<u16> = processes::peers(&self.platform()).into_iter().collect();
        let listeners = processes::listeners(&ports);
        listeners.into_values().find(|pid| {
            processes::process(*pid).is_some_and(|stat| is_broker(&stat.name, &processes::command_line(*pid)))
        })
    }

    /// The service that a thread works for, by its name up to a dash.
    pub fn service_of(&self, thread: &str) -> &str {
        let name = thread.split('-').next().unwrap_or(thread);
        // Names of threads are cut at 15 bytes.
        let cut = thread.len() >= 15 && name == thread;
        let service =
            self.services.iter().find(|service| *service == name || (cut && service.starts_with(name)));
        service.map_or(PLATFORM, String::as_str)
    }

    fn platform(&self) -> Vec<u32> {
        self.own.iter().map(|(_, pid)| *pid).chain(self.shared.iter().copied()).collect()
    }

    /// The postmaster is the process named postgres whose parent is not.
    fn postgres_below(&self) -> Option<u32> {
        let is_postgres = |pid: u32| processes::process(pid).is_some_and(|stat| stat.name == POSTGRES);
        self.platform().into_iter().flat_map(processes::below).find(|pid| is_postgres(*pid))
    }
}

fn has_threads_of_several(pid: u32) -> bool {
    let components = Components { services: SERVICES.map(str::to_owned).to_vec(), ..Components::default() };
    let names: Vec<String> = processes::threads(pid).into_iter().map(|(_, stat)| stat.name).collect();
    SERVICES
        .iter()
        .filter(|service| names.iter().any(|name| components.service_of(name) == **service))
        .count()
        > 1
}

fn is_broker(name: &str, command_line: &str) -> bool {
    name == "redpanda" || (name == "java" && command_line.contains("kafka.Kafka"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn threads_belong_to_the_service_they_are_named_after() {
        let components =
            Components { services: SERVICES.map(str::to_owned).to_vec(), ..Components::default() };
        for (thread, service) in [
            ("orders", "orders"),
            ("orders-http", "orders"),
            ("gateway-0", "gateway"),
            ("inventory-http", "inventory"),
            ("simulator", "simulator"),
            ("tokio-rt-worker", PLATFORM),
            ("ordersX", PLATFORM),
            ("viscount", PLATFORM),
            ("", PLATFORM),
        ] {
            assert_eq!(components.service_of(thread), service, "{thread}");
        }
    }

    async fn target(port: u16) -> Target {
        Target::find(&format!("http://127.0.0.1:{port}")).await.unwrap()
    }

    #[tokio::test]
    async fn on_another_machine_only_named_processes_are_the_platforms() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // The same port of a machine that is not this one (RFC 5737).
        let url = format!("http://192.0.2.1:{}", listener.local_addr().unwrap().port());
        let (elsewhere, named) = (Target::find(&url).await.unwrap(), [("orders".to_owned(), 4711)]);
        let found = Components::find(&elsewhere, Path::new("/nowhere"), &named);
        assert_eq!((found.own, found.shared, found.postmaster), (named.to_vec(), vec![], None));
        let found = Components::find(&elsewhere, Path::new("/nowhere"), &[]);
        assert_eq!((found.own, found.shared), (vec![], vec![]));
        assert!(found.notes[0].contains("not on this machine"), "{:?}", found.notes);
    }

    #[test]
    fn a_broker_is_known_by_its_name_or_its_main_class() {
        assert!(is_broker("redpanda", "") && is_broker("java", "java -Xmx1g kafka.Kafka server.properties"));
        assert!(!is_broker("java", "java -jar shop.jar") && !is_broker("orders", "kafka.Kafka"));
    }

    #[tokio::test]
    async fn services_are_found_by_their_ports_and_named_ones_by_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let (gateway, orders) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let own = std::process::id();
        let write = |gateway: u16| {
            let text = format!(
                r#"{{"pid":1,"gateway":"http://127.0.0.1:{gateway}","services":{{"orders":"http://127.0.0.1:{}"}},"database":""}}"#,
                port(&orders)
            );
            fs::write(dir.path().join("endpoints.json"), text).unwrap();
        };
        write(port(&gateway));
        let found = Components::find(&target(port(&gateway)).await, dir.path(), &[]);
        assert_eq!((found.shared, found.own), (vec![own], vec![]), "one process runs both");
        write(1);
        let found = Components::find(&target(port(&gateway)).await, dir.path(), &[]);
        assert_eq!(found.own, [("gateway".to_owned(), own)], "another platform's directory is not looked at");
        let found = Components::find(&target(2).await, dir.path(), &[("mine".to_owned(), own)]);
        assert_eq!(found.own, [("mine".to_owned(), own)]);
        let found = Components::find(&target(2).await, dir.path(), &[]);
        assert!(found.notes[0].contains("--pid"), "{:?}", found.notes);
    }
}
