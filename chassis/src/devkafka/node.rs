//! Which broker of which cluster: alone, or one of several that elect each other.

use std::path::PathBuf;

use super::{DevKafkaError, Listener};

/// A broker whose data lasts, in a folder and on a port of one's own.
#[derive(Debug, Clone)]
pub struct DevKafkaConfig {
    /// Its folder; made when missing. Nothing else may live in it.
    pub folder: PathBuf,
    /// Where clients connect, on loopback.
    pub port: u16,
    /// Where clients are told to connect, `host:port`: a proxy in front of it. The port itself when absent.
    pub advertise: Option<String>,
    /// Its number among the voters.
    pub node: u16,
    /// All brokers of the cluster, each with the port of its controller on loopback. Empty for a broker alone.
    pub voters: Vec<(u16, u16)>,
    /// Lines of its `server.properties` beyond the usual.
    pub settings: Vec<String>,
}

impl DevKafkaConfig {
    /// A broker alone.
    pub fn new(folder: impl Into<PathBuf>, port: u16) -> Self {
        let (advertise, voters, settings) = (None, Vec::new(), Vec::new());
        Self { folder: folder.into(), port, advertise, node: 1, voters, settings }
    }
}

/// A broker's place in its cluster.
#[derive(Debug, Clone)]
pub(super) struct Node {
    id: u16,
    /// All brokers, each with the port of its controller.
    voters: Vec<(u16, u16)>,
    /// Where clients connect.
    pub(super) port: u16,
    advertise: Option<String>,
    /// Where other brokers connect, and whoever is to get past what is advertised.
    pub(super) own: u16,
}

impl Node {
    /// The only one, on any port.
    pub(super) fn alone() -> Result<Self, DevKafkaError> {
        let [port, controller, own] = [super::free_port()?, super::free_port()?, super::free_port()?];
        Ok(Self { id: 1, voters: vec![(1, controller)], port, advertise: None, own })
    }

    /// The one that was asked for.
    pub(super) fn configured(config: &DevKafkaConfig) -> Result<Self, DevKafkaError> {
        let mut voters = config.voters.clone();
        if voters.is_empty() {
            voters.push((config.node, super::free_port()?));
        }
        if !voters.iter().any(|(id, _)| *id == config.node) {
            return Err(DevKafkaError::Start(format!("node {} is not among the voters", config.node)));
        }
        let (port, advertise, own) = (config.port, config.advertise.clone(), super::free_port()?);
        Ok(Self { id: config.node, voters, port, advertise, own })
    }

    /// Quick to elect, to form groups, and to come back after `kill -9`.
    pub(super) fn settings(&self, data: &std::path::Path, listener: &Listener) -> String {
        let Self { id, voters, port, advertise, own } = self;
        let (data, protocol) = (data.display(), listener.protocol());
        let controller = voters.iter().find(|(voter, _)| voter == id).map_or(0, |(_, port)| *port);
        let advertised = advertise.clone().unwrap_or_else(|| format!("127.0.0.1:{port}"));
        let quorum: Vec<_> = voters.iter().map(|(id, port)| format!("{id}@127.0.0.1:{port}")).collect();
        let quorum = quorum.join(",");
        let copies = voters.len().min(3);
        let in_sync = if copies >= 3 { 2 } else { 1 };
        // Its own door stands open to the loopback device only.
        format!(
            "process.roles=broker,controller
node.id={id}
controller.quorum.voters={quorum}
controller.listener.names=CONTROLLER
listeners=CLIENTS://127.0.0.1:{port},BROKERS://127.0.0.1:{own},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENTS://{advertised},BROKERS://127.0.0.1:{own}
inter.broker.listener.name=BROKERS
listener.security.protocol.map=CLIENTS:{protocol},BROKERS:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
default.replication.factor={copies}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=3
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.partitions=1
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=4194304
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.min.session.timeout.ms=1000
{}",
            listener.settings()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn settings(config: &DevKafkaConfig) -> Vec<String> {
        let node = Node::configured(config).unwrap();
        node.settings(Path::new("/data"), &Listener::default()).lines().map(str::to_owned).collect()
    }

    #[test]
    fn one_of_three_keeps_three_copies_and_tells_clients_of_the_proxy() {
        let config = DevKafkaConfig {
            advertise: Some("127.0.0.1:7001".to_owned()),
            node: 2,
            voters: vec![(1, 9001), (2, 9002), (3, 9003)],
            ..DevKafkaConfig::new("/nowhere", 9092)
        };
        let lines = settings(&config);
        for line in [
            "node.id=2",
            "controller.quorum.voters=1@127.0.0.1:9001,2@127.0.0.1:9002,3@127.0.0.1:9003",
            "offsets.topic.replication.factor=3",
            "min.insync.replicas=2",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} in {lines:?}");
        }
        let told = lines.iter().find(|line| line.starts_with("advertised.listeners=")).unwrap();
        assert!(told.contains("CLIENTS://127.0.0.1:7001,"), "{told}");
        let open = lines.iter().find(|line| line.starts_with("listeners=")).unwrap();
        assert!(open.contains("CLIENTS://127.0.0.1:9092,") && open.ends_with(":9002"), "{open}");
    }

    #[test]
    fn a_node_that_is_no_voter_is_refused() {
        let config =
            DevKafkaConfig { node: 4, voters: vec![(1, 9001)], ..DevKafkaConfig::new("/nowhere", 9092) };
        assert!(Node::configured(&config).is_err());
    }
}
