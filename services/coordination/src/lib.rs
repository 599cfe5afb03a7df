//! Coordination: which instances run and how they are, live settings, locks with fencing tokens.
//!
//! Nobody needs it to serve an order. It tells what it is told: instances register and renew their lease, operators set
//! what is to be set, and whoever must be alone takes a lock. All of it is in PostgreSQL and all deadlines are by its
//! clock, so any number of replicas give the same answers, and none of them remembers anything that matters.
//!
//! | | |
//! |---|---|
//! | publishes | `coordination.events.v1`: ServiceRegistered, ServiceDeregistered, ServiceHealthChanged, ConfigurationUpdated |
//! | consumes | `orders.events.v1`, `inventory.events.v1`, `payments.events.v1` (to the view of workflows) |
//! | serves | `/v1/services…`, `/v1/config…`, `/v1/locks…`, `/v1/workflows…`, `/v1/ops/orders/{id}/why` |
//!
//! ```text
//! coordination
//! ├── committer   the group commit
//! ├── boot        migrates, then starts the rest
//! ├── listener    hears of changes, and wakes those who wait for them
//! ├── sweeper     ends registrations whose lease is over
//! ├── prober      asks each instance how it is
//! ├── workflows   keeps the view of where each order stands
//! └── workflows-janitor
//! ```
//!
//! There are no entity actors: an instance, a setting or a lock is one row, and each change of it one guarded statement.

mod bell;
mod config;
mod configurations;
pub mod domain;
mod http;
pub mod metrics;
mod refusal;
mod registry;
mod store;
mod tasks;
mod why;
mod workflows;

use std::sync::Arc;

use sqlx::migrate::Migrator;
use viscount_actors::Restart;
use viscount_chassis::{
    config::ConfigError,
    explain::Explain,
    http::{Health, HttpSpec},
    service::{Platform, Running, ServiceError},
    store::{Committer, CommitterSpec, Database, EventStore},
};
use viscount_contracts::Topic;

pub use config::{Config, PORT_VARIABLE};

use crate::{
    bell::Bell, configurations::Configurations, http::Api, registry::Registry, store::CoordinationWriter,
    tasks::Prober, why::Explainer,
};

/// The service's name.
pub const NAME: &str = "coordination";

/// The service's own migrations.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/coordination");

/// Starts the service on the current arbiter. It answers at once, and is ready when its database is there.
pub async fn start(config: Config, platform: &Platform) -> Result<Running, ServiceError> {
    viscount_chassis::telemetry::metrics::begin(NAME, metrics::ALL, metrics::CLOSED);
    let health = Health::new();
    let supervisor = platform.root(NAME, &health);
    let database = Database::lazy(&config.database)?;
    let pool = database.pool().clone();
    let store = EventStore::new(Topic::Coordination, pool.clone());
    let publisher = platform.log.publisher(store.clone());
    let (writer, spec) = (CoordinationWriter::new(), CommitterSpec::default());
    let committer = Committer::start(&supervisor, store, pool.clone(), publisher, writer, spec);
    let registry = Registry::new(pool.clone(), committer.clone());
    let prober = Prober::new(registry.clone(), config.probe_every)
        .map_err(|error| ConfigError::new("COORDINATION_PROBE_EVERY", error.to_string()))?;
    let configurations = Configurations::new(pool.clone(), committer);
    let bell = Bell::new();

    let api = Api { registry: registry.clone(), configurations, bell: bell.clone() };
    let explain = Explain::of(NAME, &workflows::TOPICS, &pool, &platform.log).build();
    let explainer = Explainer::new(pool.clone(), config.patience, config.peers, explain.clone())
        .map_err(|error| ConfigError::new("COORDINATION_ORDERS_URL", error.to_string()))?;
    let views = Arc::new(http::workflows::Views { pool: pool.clone(), patience: config.patience, explainer });
    let http = viscount_chassis::http::serve(
        HttpSpec {
            service: NAME,
            host: platform.host.clone(),
            port: config.port,
            port_variable: PORT_VARIABLE,
            workers: 1,
            verifier: platform.verifier.clone(),
            health: health.clone(),
            openapi: http::openapi(),
            supervisor: supervisor.clone(),
            dead_letters: Some(database.pool().clone()),
            body_limit: HttpSpec::BODY_LIMIT,
            deadline: http::DEADLINE,
        },
        move |app| {
            http::routes(app, &api);
            http::workflows::routes(app, &views);
            explain.configure(app);
        },
    )?;

    let (tree, log, keep) = (supervisor.clone(), platform.log.clone(), config.keep_workflows);
    platform.boot(&supervisor, &database, &MIGRATIONS, &health, move || {
        let (follows, forgets, log) = (pool.clone(), pool.clone(), log.clone());
        tree.task("workflows", Restart::Permanent, move || {
            workflows::follow(NAME, log.clone(), follows.clone())
        });
        tree.task("workflows-janitor", Restart::Permanent, move || {
            workflows::forget_old(forgets.clone(), keep)
        });
        let (bell, pool) = (bell.clone(), pool.clone());
        tree.task("listener", Restart::Permanent, move || bell.clone().listen(pool.clone()));
        let swept = registry.clone();
        tree.task("sweeper", Restart::Permanent, move || tasks::sweep(swept.clone()));
        let prober = prober.clone();
        tree.task("prober", Restart::Permanent, move || prober.clone().run());
        async { Ok(()) }
    });
    Ok(Running { name: NAME, health, http, supervisor, database })
}
