//! A broker, topics of one's own on it, and those who read them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};
use sqlx::PgPool;
use tokio::time::timeout;
use uuid::Uuid;
use viscount_actors::{Intensity, Supervisor};
use viscount_chassis::{
    config::Env,
    consumer::{self, ConsumerSpec, HandleError, Handler},
    devkafka::{
        DevKafka,
        testing::{prefix, test_brokers},
    },
    log::{
        EventLog, LogReader, Start,
        kafka::{KafkaConfig, KafkaLog},
    },
    testing::eventually,
};
use viscount_contracts::{Envelope, Topic};

use crate::bed::{Bed, event};

/// Long enough for a group to form, and for a broker to come back, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One test's share of a broker.
pub struct Hall {
    pub config: KafkaConfig,
}

impl Hall {
    /// On the broker that all tests share.
    pub async fn shared() -> Self {
        Self::on(&test_brokers().await)
    }

    /// On these brokers.
    pub fn on(brokers: &str) -> Self {
        let mut config = KafkaConfig::new(brokers);
        config.prefix = prefix();
        config.session_timeout_ms = 2_000;
        Self { config }
    }

    /// On this broker, with these settings besides, as the environment tells them.
    pub fn told(broker: &DevKafka, settings: &[(&str, String)]) -> Self {
        let env = settings.iter().fold(Env::default(), |env, (name, value)| env.with(*name, value));
        let env = env.with("KAFKA_BROKERS", broker.brokers()).with("KAFKA_TOPIC_PREFIX", prefix());
        let env = env.with("KAFKA_SESSION_TIMEOUT_MS", "2000");
        Self { config: KafkaConfig::from_env(&env).unwrap().unwrap() }
    }

    /// The engine as a process of its own has it.
    pub fn log(&self) -> Arc<dyn EventLog> {
        Arc::new(KafkaLog::new(self.config.clone()).unwrap())
    }

    /// A publishing service.
    pub async fn bed(&self) -> Bed {
        Bed::on(self.log()).await
    }

    pub fn topic(&self) -> String {
        format!("{}{}", self.config.prefix, Topic::Orders.name())
    }

    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.config.brokers).create().unwrap()
    }

    /// The orders topic as somebody else has made it.
    pub async fn made(&self, partitions: i32, settings: &[(&str, &str)]) {
        let name = self.topic();
        let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        for (setting, value) in settings {
            topic = topic.set(setting, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        self.admin().create_topics([&topic], &options).await.unwrap()[0].as_ref().unwrap();
    }

    pub async fn follow(&self, log: &dyn EventLog) -> Box<dyn LogReader> {
        eventually(|| async { log.follow(Topic::Orders, Start::Beginning).await.ok() }).await
    }

    /// A member of the group, as a process of its own.
    pub fn member<H: Handler + Clone + Send>(&self, pool: &PgPool, handler: &H) -> Member {
        self.member_with(pool, handler, ConsumerSpec::new("members", Topic::Orders))
    }

    /// One with bounds of its own.
    pub fn member_with<H: Handler + Clone + Send>(
        &self,
        pool: &PgPool,
        handler: &H,
        spec: ConsumerSpec,
    ) -> Member {
        let (log, tree) = (self.log(), Supervisor::root("member", Intensity::default(), |_| {}));
        let handler = handler.clone();
        consumer::start(&tree, "consume", spec, pool.clone(), log.clone(), move || handler.clone());
        Member { log, tree }
    }
}

/// Somebody who consumes.
pub struct Member {
    log: Arc<dyn EventLog>,
    tree: Supervisor,
}

impl Member {
    /// Its engine.
    pub fn log(&self) -> &dyn EventLog {
        self.log.as_ref()
    }

    /// An orderly end.
    pub async fn leave(self) {
        self.tree.stop(PATIENCE).await.unwrap();
        self.log.close(PATIENCE).await;
    }
}

/// What all members of a group have handled, in the order in which they did.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<(Uuid, i32)>>>);

impl Handler for Notes {
    fn wants(&self, _: &Envelope) -> bool {
        true
    }

    fn handle(&self, event: Arc<Envelope>) -> impl Future<Output = Result<(), HandleError>> + 'static {
        let notes = self.clone();
        async move {
            // Long enough for many to be under way at any time.
            tokio::time::sleep(Duration::from_millis(2)).await;
            notes.0.lock().push((event.key, event.version));
            Ok(())
        }
    }
}

impl Notes {
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// Every event that was handled.
    pub fn all(&self) -> BTreeSet<(Uuid, i32)> {
        self.0.lock().iter().copied().collect()
    }

    /// Waits until so many different events were handled.
    pub async fn until(&self, different: usize) {
        let all = async {
            while self.0.lock().iter().collect::<BTreeSet<_>>().len() < different {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, all).await.expect("everything should have been handled");
    }

    /// What was handled first of each event: every version of every key, in order.
    pub fn are_in_order(&self, keys: usize, versions: i32) {
        let mut last: BTreeMap<Uuid, i32> = BTreeMap::new();
        for (key, version) in self.0.lock().iter() {
            let last = last.entry(*key).or_default();
            assert!(*version <= *last + 1, "version {version} of {key} was handled after {last}");
            *last = (*last).max(*version);
        }
        assert_eq!(last.len(), keys);
        assert!(last.values().all(|last| *last == versions));
    }
}

/// Commits these versions of each key.
pub async fn publish(bed: &Bed, keys: &[Uuid], versions: std::ops::RangeInclusive<i32>) {
    for version in versions {
        bed.commit(keys.iter().map(|key| event(*key, version)).collect()).await.unwrap();
    }
}

pub fn keys(count: usize) -> Vec<Uuid> {
    (0..count).map(|_| Uuid::now_v7()).collect()
}

/// Reads until so many different positions have come, and gives them in the order of their first coming.
pub async fn positions(reader: &mut dyn LogReader, wanted: usize) -> Vec<i64> {
    let mut seen = Vec::new();
    let reading = async {
        while seen.len() < wanted {
            for event in reader.next(500).await.unwrap() {
                if !seen.contains(&event.position) {
                    seen.push(event.position);
                }
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("every event should come");
    seen
}
