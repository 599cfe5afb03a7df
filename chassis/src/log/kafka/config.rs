//! How to reach the brokers, and how their clients are set up.

use std::time::Duration;

use rdkafka::{ClientConfig, config::RDKafkaLogLevel, error::KafkaError};
use viscount_contracts::Topic;

use super::{RegistryConfig, security};
use crate::config::{ConfigError, Env};

/// How long nothing may be acknowledged, by default. Longer than a broker takes that is started again.
const STUCK: Duration = Duration::from_secs(30);

/// What a group does when the events that it was to read next are no longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutOfRange {
    /// It goes on with the oldest there is. What is missing is logged and counted.
    #[default]
    Earliest,
    /// It stops until somebody has decided, and says so.
    Stop,
}

/// Where the brokers are, and what is agreed with them.
#[derive(Clone)]
pub struct KafkaConfig {
    /// `host:port[,host:port…]`
    pub brokers: String,
    /// Stands before every topic's and group's name: several platforms on one cluster.
    pub prefix: String,
    /// See [`OutOfRange`].
    pub out_of_range: OutOfRange,
    /// How long a member may be silent before its partitions go to others, in milliseconds.
    pub session_timeout_ms: u32,
    /// How long a relay waits for any progress before it leaves publishing to another replica.
    pub stuck_after: Duration,
    /// Where schemas are registered, if anywhere.
    pub registry: Option<RegistryConfig>,
    settings: Vec<(&'static str, String)>,
}

impl std::fmt::Debug for KafkaConfig {
    /// Without the settings: some are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaConfig").field("brokers", &self.brokers).field("prefix", &self.prefix).finish()
    }
}

impl KafkaConfig {
    /// Plain connections to these brokers.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: String::new(),
            out_of_range: OutOfRange::default(),
            session_timeout_ms: 6_000,
            stuck_after: STUCK,
            registry: None,
            settings: Vec::new(),
        }
    }

    /// Reads `KAFKA_BROKERS` and its companions; `None` when there are no brokers.
    pub fn from_env(env: &Env) -> Result<Option<Self>, ConfigError> {
        let Some(brokers) = env.get("KAFKA_BROKERS") else { return Ok(None) };
        if !brokers.split(',').all(is_address) {
            return Err(ConfigError::new("KAFKA_BROKERS", "is not a list of host:port, separated by commas"));
        }
        let out_of_range = match env.get("KAFKA_OUT_OF_RANGE") {
            None | Some("earliest") => OutOfRange::Earliest,
            Some("stop") => OutOfRange::Stop,
            Some(_) => return Err(ConfigError::new("KAFKA_OUT_OF_RANGE", "must be earliest or stop")),
        };
        let mut config = Self::new(brokers);
        config.out_of_range = out_of_range;
        config.prefix = env.get("KAFKA_TOPIC_PREFIX").unwrap_or_default().to_owned();
        config.session_timeout_ms = env.parse_or("KAFKA_SESSION_TIMEOUT_MS", config.session_timeout_ms)?;
        config.registry = RegistryConfig::from_env(env)?;
        config.settings = security::settings(env)?;
        config.settings.extend(env.get("KAFKA_CLIENT_RACK").map(|rack| ("client.rack", rack.to_owned())));
        Ok(Some(config))
    }

    /// A topic's name on the brokers.
    pub(super) fn topic(&self, topic: Topic) -> String {
        self.prefixed(topic.name())
    }

    /// The same for any name.
    pub(super) fn prefixed(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The file with the authorities that sign the brokers' certificates.
    #[cfg(feature = "kafka-tls")]
    pub(super) fn authorities(&self) -> Option<&str> {
        let (_, file) = self.settings.iter().find(|(setting, _)| *setting == "ssl.ca.location")?;
        Some(file)
    }

    /// What every client has.
    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "viscount")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("topic.metadata.refresh.interval.ms", "3000")
            .set("allow.auto.create.topics", "false")
            .set_log_level(RDKafkaLogLevel::Info);
        for (setting, value) in &self.settings {
            client.set(*setting, value);
        }
        client
    }

    /// For questions about the brokers and their topics.
    pub(super) fn asker(&self) -> ClientConfig {
        self.client()
    }

    /// In order and without doubles as long as one producer lives, however often the brokers go away: a message waits
    /// for its broker without a limit, and the number of those that wait is limited by the relay. One that is refused
    /// for good is the end of the producer; without the guarantee those behind it would go on, and overtake it.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut client = self.client();
        client
            .set("enable.idempotence", "true")
            .set("enable.gapless.guarantee", "true")
            .set("acks", "all")
            .set("compression.type", "lz4")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "1")
            .set("message.timeout.ms", "0")
            .set("request.timeout.ms", "10000")
            .set("retry.backoff.ms", "50")
            .set("retry.backoff.max.ms", "500")
            .set("queue.buffering.max.messages", "100000")
            .set("queue.buffering.max.kbytes", "131072");
        client
    }

    fn consumer(&self) -> ClientConfig {
        let mut client = self.client();
        client
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.min.messages", "5000")
            .set("queued.max.messages.kbytes", "4096")
            .set("fetch.message.max.bytes", "1048576");
        client
    }

    /// A member of a group. What is stored is committed by the library, and once more when a partition leaves.
    pub(super) fn member(&self, group: &str) -> ClientConfig {
        let mut client = self.consumer();
        client
            .set("group.id", format!("{}{group}", self.prefix))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.session_timeout_ms.to_string())
            .set("heartbeat.interval.ms", (self.session_timeout_ms / 4).max(200).to_string())
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "200")
            .set("statistics.interval.ms", "2000");
        client
    }

    /// Reads for itself: the name is asked for by the library, no group is joined.
    pub(super) fn follower(&self) -> ClientConfig {
        let mut client = self.consumer();
        let nobody = format!("{}follower-{}", self.prefix, uuid::Uuid::new_v4().simple());
        client.set("group.id", nobody).set("enable.auto.commit", "false");
        client
    }
}

/// What may be told of an error: the library's message about a setting repeats its value, which may be a secret.
pub(super) fn told(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, _, setting, _) => format!("the setting {setting} is not accepted"),
        other => other.to_string(),
    }
}

fn is_address(text: &str) -> bool {
    let text = text.trim();
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_one_line_that_does_not_repeat_it() {
        let env = |pairs: &[(&str, &str)]| KafkaConfig::from_env(&Env::from_pairs(pairs.iter().copied()));
        assert!(env(&[]).unwrap().is_none());
        assert_eq!(env(&[("KAFKA_BROKERS", "a:1, b:2")]).unwrap().unwrap().brokers, "a:1, b:2");
        for wrong in ["nowhere", "a:b", ":9092", "a:1,,b:2"] {
            assert_eq!(env(&[("KAFKA_BROKERS", wrong)]).unwrap_err().variable, "KAFKA_BROKERS");
        }
        let error = env(&[("KAFKA_BROKERS", "a:1"), ("KAFKA_SECURITY_PROTOCOL", "hunter2")]).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(env(&[("KAFKA_BROKERS", "a:1"), ("KAFKA_OUT_OF_RANGE", "latest")]).is_err());
    }

    #[test]
    fn an_error_about_a_setting_does_not_repeat_its_value() {
        let mut client = ClientConfig::new();
        let error = client.set("security.protocol", "hunter2").create_native_config().map(drop).unwrap_err();
        assert!(error.to_string().contains("hunter2"), "the library repeats it: {error}");
        assert_eq!(told(&error), "the setting security.protocol is not accepted");
    }
}
