//! Coordination: which instances run and how they are, live settings, locks with fencing tokens.
//!
//! Nobody needs it to serve an order. It tells what it is told: instances register and renew their lease, operators set
//! what is to be set, and whoever must be alone takes a lock. All of it is in PostgreSQL and all deadlines are by its
//! clock, so any number of replicas give the same answers, and none of them remembers anything that matters.
//!
//! | | |
//! |---|---|
//! | publishes | `coordination.events.v1`: ServiceRegistered, ServiceDeregistered, ServiceHealthChanged, ConfigurationUpdated |
//! | serves | `/v1/services…`, `/v1/config…`, `/v1/locks…` |
//!
//! ```text
//! coordination
//! └── boot       migrates
//! ```

mod config;
mod http;

use sqlx::migrate::Migrator;
use viscount_chassis::{
    http::{Health, HttpSpec},
    service::{Platform, Running, ServiceError},
    store::Database,
};

pub use config::{Config, PORT_VARIABLE};

/// The service's name.
pub const NAME: &str = "coordination";

/// The service's own migrations.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/coordination");

/// Starts the service on the current arbiter. It answers at once, and is ready when its database is there.
pub async fn start(config: Config, platform: &Platform) -> Result<Running, ServiceError> {
    let health = Health::new();
    let supervisor = platform.root(NAME, &health);
    let database = Database::lazy(&config.database)?;
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
        http::routes,
    )?;
    platform.boot(&supervisor, &database, &MIGRATIONS, &health, || async { Ok(()) });
    Ok(Running { name: NAME, health, http, supervisor, database })
}
