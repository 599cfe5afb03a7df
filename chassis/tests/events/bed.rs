//! A database with the chassis's tables, committers on it, and events to commit.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::{PgPool, migrate::Migrator};
use uuid::Uuid;
use viscount_actors::{Intensity, Supervisor};
use viscount_chassis::{
    devpg::testing::test_database,
    log::{EmbeddedLog, EventLog},
    store::{
        CommitError, Committed, Committer, CommitterSpec, Database, DatabaseConfig, DatabaseError, Entry,
        EventStore, NewEvent,
    },
    testing::EventsOnly,
};
use viscount_contracts::{EventId, OrderId, Topic, events::orders::v1::OrderCompleted};

static NO_MIGRATIONS: Migrator = Migrator::DEFAULT;

pub struct Bed {
    pub pool: PgPool,
    pub log: Arc<dyn EventLog>,
    pub tree: Supervisor,
    pub committer: Committer<()>,
    pub admin_url: String,
}

impl Bed {
    /// On the embedded engine.
    pub async fn start() -> Self {
        Self::on(Arc::new(EmbeddedLog::new())).await
    }

    /// On this engine.
    pub async fn on(log: Arc<dyn EventLog>) -> Self {
        let database = test_database("events", |url| async move {
            let database = Database::lazy(&DatabaseConfig::new(url))?;
            database.migrate(&NO_MIGRATIONS).await?;
            database.close().await;
            Ok::<_, DatabaseError>(())
        })
        .await;
        let pool = PgPool::connect(&database.url).await.unwrap();
        let tree = Supervisor::root("test", Intensity { max_restarts: 1000, ..Default::default() }, |_| {});
        let committer = committer(&tree, &pool, log.as_ref());
        Self { pool, log, tree, committer, admin_url: database.admin_url }
    }

    /// A second replica of the publishing service: its own committer on the same database.
    pub fn replica(&self) -> Committer<()> {
        committer(&self.tree, &self.pool, self.log.as_ref())
    }

    pub async fn commit(&self, events: Vec<NewEvent>) -> Result<Committed, CommitError> {
        self.committer.commit(entry(events)).await
    }

    pub async fn positions(&self) -> Vec<i64> {
        sqlx::query_scalar("select position from events order by position")
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }
}

fn committer(tree: &Supervisor, pool: &PgPool, log: &dyn EventLog) -> Committer<()> {
    let store = EventStore::new(Topic::Orders, pool.clone());
    let publisher = log.publisher(store.clone());
    Committer::start(tree, store, pool.clone(), publisher, EventsOnly::default(), CommitterSpec::default())
}

pub fn entry(events: Vec<NewEvent>) -> Entry<()> {
    Entry { events, inbox: None, projection: () }
}

pub fn event(stream: Uuid, version: i32) -> NewEvent {
    let completed = OrderCompleted { order_id: stream.to_string(), ..Default::default() };
    NewEvent::new(OrderId::from(stream), version, &completed, Timestamp::now())
}

pub fn handled(id: EventId) -> Entry<()> {
    Entry { events: Vec::new(), inbox: Some(id), projection: () }
}
