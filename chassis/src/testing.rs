//! For the tests of every service: a platform around it, with a real database, a real log and real tokens.
//!
//! ```no_run
//! use viscount_chassis::{auth::Role, testing::{TestBed, run}};
//! use viscount_contracts::UserId;
//!
//! # static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate::Migrator::DEFAULT;
//! run(async {
//!     let bed = TestBed::start().await;
//!     let database = bed.database(&MIGRATIONS, "catalog").await;
//!     let token = bed.token(Role::Admin, UserId::new());
//!     // start the service with `database` and `bed.platform()`, then call it with `token`
//! });
//! ```
//!
//! Functions here panic: a test without its surroundings has nothing else to say.
#![allow(clippy::expect_used, reason = "a test without its surroundings has nothing else to say")]

use std::{
    fs,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jiff::Timestamp;
use sqlx::{PgConnection, migrate::Migrator};
use uuid::Uuid;
use viscount_actors::{Intensity, Supervisor};
use viscount_contracts::{Envelope, Event, EventId, Topic, UserId};

use crate::{
    auth::{Role, testing::TestIssuer},
    devpg::testing::test_database,
    log::{EmbeddedLog, EventLog, LogReader, Start},
    service::Platform,
    store::{
        Batch, Committer, CommitterSpec, Database, DatabaseConfig, Entry, EventStore, NewEvent, Writer,
        bind_events, statement,
    },
};

/// Runs a test's body where services run: inside an actix system.
pub fn run<T>(body: impl Future<Output = T>) -> T {
    let system = actix_rt::System::new();
    let runtime = system.runtime().tokio_runtime().handle().clone();
    let outcome = catch_unwind(AssertUnwindSafe(|| system.block_on(body)));
    // What still runs is dropped with the system, inside its runtime: a pooled connection panics outside of one, and
    // a second panic behind a test's own would end the whole test binary.
    let inside = runtime.enter();
    drop(system);
    drop(inside);
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Looks until there is something, at most 20 seconds.
///
/// # Panics
/// When nothing came.
pub async fn eventually<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.expect("it should have come within 20 s")
}

/// Everything that a service needs around it.
pub struct TestBed {
    issuer: TestIssuer,
    log: Arc<EmbeddedLog>,
    platform: Platform,
}

impl TestBed {
    /// A fresh platform with an embedded log of its own.
    pub async fn start() -> Self {
        let issuer = TestIssuer::new();
        let log = Arc::new(EmbeddedLog::new());
        let platform = Platform {
            log: log.clone(),
            verifier: issuer.verifier(),
            host: "127.0.0.1".to_owned(),
            fault_injection: true,
            on_failure: Arc::new(|service, exit| panic!("service {service} gave up: {exit}")),
        };
        Self { issuer, log, platform }
    }

    /// The same for another process of the same platform: a log of its own.
    pub fn beside(&self) -> Self {
        let log = Arc::new(EmbeddedLog::new());
        let platform = Platform { log: log.clone(), ..self.platform.clone() };
        Self { issuer: self.issuer.clone(), log, platform }
    }

    /// What the service is started with.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Everything that was and will be published on a topic.
    pub async fn follow(&self, topic: Topic) -> Box<dyn LogReader> {
        self.log.follow(topic, Start::Beginning).await.expect("a follower")
    }

    /// The position of a topic's newest event.
    pub async fn head(&self, topic: Topic) -> i64 {
        self.log.head(topic).await.expect("a head")
    }

    /// An access token.
    pub fn token(&self, role: Role, subject: UserId) -> String {
        self.issuer.token(subject, role)
    }

    /// A new database, migrated: the chassis's tables and the service's.
    pub async fn database(&self, migrations: &'static Migrator, name: &str) -> DatabaseConfig {
        let database = test_database(name, |url| async move {
            let database = Database::lazy(&DatabaseConfig::new(url))?;
            database.migrate(migrations).await?;
            database.close().await;
            Ok::<_, crate::store::DatabaseError>(())
        });
        DatabaseConfig::new(database.await.url)
    }

    /// Plays another service: publishes events of its topic, from a real events table.
    pub async fn topic(&self, topic: Topic) -> TestTopic {
        static NONE: Migrator = Migrator::DEFAULT;
        let config = self.database(&NONE, "chassis").await;
        let database = Database::lazy(&config).expect("a pool");
        let store = EventStore::new(topic, database.pool().clone());
        let publisher = self.platform.log.publisher(store.clone());
        let tree = Supervisor::root(topic.service(), Intensity::default(), |_| {});
        let spec = CommitterSpec::default();
        let committer =
            Committer::start(&tree, store, database.pool().clone(), publisher, EventsOnly::default(), spec);
        TestTopic { committer, _tree: tree }
    }
}

/// Another service's topic.
pub struct TestTopic {
    committer: Committer<()>,
    _tree: Supervisor,
}

impl TestTopic {
    /// Publishes an event as that service would.
    pub async fn publish<E: Event>(&self, key: impl Into<Uuid>, version: i32, event: &E) -> EventId {
        let event = NewEvent::new(key, version, event, Timestamp::now());
        let id = event.id;
        self.publish_raw(event).await;
        id
    }

    /// Publishes an event as it is: with any id, kind and bytes.
    pub async fn publish_raw(&self, event: NewEvent) {
        let entry = Entry { events: vec![event], inbox: None, projection: () };
        self.committer.commit(entry).await.expect("a test event is committed");
    }
}

/// Writes events and nothing else: for tests of what is built on the store.
pub struct EventsOnly {
    sql: String,
}

impl Default for EventsOnly {
    fn default() -> Self {
        Self { sql: statement(&[]) }
    }
}

impl Writer for EventsOnly {
    type Projection = ();

    async fn write(&self, connection: &mut PgConnection, batch: &Batch<'_, ()>) -> Result<i64, sqlx::Error> {
        let row = bind_events(sqlx::query(sqlx::AssertSqlSafe(self.sql.as_str())), batch)
            .fetch_one(connection)
            .await?;
        sqlx::Row::try_get(&row, 0)
    }
}

/// The recorded events of a topic, one list for each version that has published: see `contracts/testdata`. With each list
/// comes the folder of its version.
///
/// # Panics
/// When there are none, or what is there cannot be read.
pub fn recorded_events(topic: Topic) -> Vec<(PathBuf, Vec<Envelope>)> {
    let versions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/testdata");
    let mut found = Vec::new();
    for version in fs::read_dir(versions).expect("recorded events").flatten().map(|entry| entry.path()) {
        let file = version.join("events").join(topic.service()).with_extension("jsonl");
        if let Ok(lines) = fs::read_to_string(file) {
            found.push((version, lines.lines().map(|line| recorded(topic, line)).collect()));
        }
    }
    assert!(!found.is_empty(), "recorded events of {topic}");
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

/// One line: the JSON event format of CloudEvents.
fn recorded(topic: Topic, line: &str) -> Envelope {
    let event: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    let text = |name: &str| event[name].as_str().expect(name).to_owned();
    let number = |name: &str| event[name].as_i64().expect(name);
    Envelope {
        id: text("id").parse().expect("id"),
        topic,
        position: number("position"),
        key: text("subject").parse().expect("subject"),
        version: i32::try_from(number("version")).expect("version"),
        kind: topic.kind(text("type")),
        occurred_at: text("time").parse().expect("time"),
        traceparent: event["traceparent"].as_str().map(str::to_owned),
        data: BASE64.decode(text("data_base64")).expect("data_base64").into(),
    }
}
