//! Identity: users, access tokens and the keys behind them.
//!
//! Everybody else checks tokens by themselves with the public keys that this service publishes; it is asked only when
//! somebody registers, logs in, renews a session or leaves. So it may be away for a while without the shop noticing.
//!
//! | | |
//! |---|---|
//! | publishes | `identity.events.v1`: `UserRegistered`, without personal data |
//! | consumes | nothing |
//! | serves | `/v1/users`, `/v1/auth/login`, `/oauth2/…`, `/.well-known/…`, `/v1/ops/keys/rotate` |
//!
//! ```text
//! identity
//! ├── committer   the group commit, for new users and their events
//! ├── keys        rotates signing keys by age, takes up what other replicas have changed
//! ├── boot        migrates, makes the first administrator and the internal client, starts the rest
//! └── sweeper     deletes sessions that have ended
//! ```
//!
//! There are no entity actors: a user is written once, and what happens to a session is decided by one guarded
//! statement on one row, so that nothing would be gained from keeping either alive.

mod bootstrap;
mod config;
pub mod domain;
mod error;
mod http;
mod identity;
pub mod keys;
pub mod metrics;
mod passwords;
mod store;
#[cfg(test)]
mod tests;
mod tokens;
mod upkeep;

use std::sync::Arc;

use sqlx::migrate::Migrator;
use viscount_actors::Restart;
use viscount_chassis::{
    auth::{AuthConfig, JwksSource, Verifier},
    config::ConfigError,
    http::{Health, HttpSpec},
    service::{Platform, Running, ServiceError},
    store::{Committer, CommitterSpec, Database, EventStore},
};
use viscount_contracts::Topic;

pub use config::{ClientSecret, Config, FirstAdmin, OnFirstAdmin};
pub use keys::KeyRing;
pub use passwords::PasswordsSpec;

use crate::{
    http::Api,
    identity::Identity,
    passwords::Passwords,
    store::{Clients, Sessions, UserWriter, Users},
    tokens::Tokens,
};

/// The service's name.
pub const NAME: &str = "identity";

/// The service's own migrations.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/identity");

/// Starts the service on the current arbiter. It answers at once, its keys first, and is ready when its database is
/// there. Keys that cannot be read are an error here and now.
pub async fn start(config: Config, platform: &Platform) -> Result<Running, ServiceError> {
    viscount_chassis::telemetry::metrics::begin(NAME, metrics::ALL, metrics::CLOSED);
    let ring = KeyRing::open_or_create(&config.keys_dir)
        .map_err(|error| ConfigError::new("IDENTITY_KEYS_DIR", error.to_string()))?;
    let secret = bootstrap::client_secret(&config)?;
    let health = Health::new();
    let supervisor = platform.root(NAME, &health);
    let database = Database::lazy(&config.database)?;
    let pool = database.pool().clone();
    let store = EventStore::new(Topic::Identity, pool.clone());
    let publisher = platform.log.publisher(store.clone());
    let committer = Committer::start(
        &supervisor,
        store,
        pool.clone(),
        publisher,
        UserWriter::new(),
        CommitterSpec::default(),
    );

    // Not the platform's verifier: who makes the keys need not ask for them.
    let verifier = Verifier::new(AuthConfig {
        issuer: config.issuer.clone(),
        audience: config.audience.clone(),
        jwks: JwksSource::Static(ring.jwks()),
    });
    let (kept, age, keeper) = (ring.clone(), config.key_age, verifier.clone());
    supervisor.task("keys", Restart::Permanent, move || upkeep::keep_keys(kept.clone(), age, keeper.clone()));

    let sessions = Sessions::new(pool.clone(), config.lifetimes);
    let identity = Identity {
        users: Users::new(pool.clone()),
        sessions: sessions.clone(),
        clients: Clients::new(pool.clone()),
        committer,
        passwords: Passwords::new(config.passwords),
        tokens: Tokens::new(ring.clone(), config.issuer.clone(), config.audience.clone(), config.token_life),
        reserved: config.admin_email.clone(),
    };
    let api = Api {
        identity: identity.clone(),
        ring,
        verifier: verifier.clone(),
        health: health.clone(),
        public_url: config.public_url.clone(),
        issuer: config.issuer.clone(),
    };
    let http = viscount_chassis::http::serve(
        HttpSpec {
            service: NAME,
            host: platform.host.clone(),
            port: config.port,
            port_variable: "IDENTITY_PORT",
            workers: 1,
            verifier,
            health: health.clone(),
            openapi: http::openapi(),
            supervisor: supervisor.clone(),
            dead_letters: Some(database.pool().clone()),
            body_limit: 16 * 1024,
            deadline: HttpSpec::DEADLINE,
        },
        move |app| http::routes(app, &api),
    )?;

    let (tree, config) = (supervisor.clone(), Arc::new(config));
    platform.boot(&supervisor, &database, &MIGRATIONS, &health, move || {
        let (tree, pool, sessions) = (tree.clone(), pool.clone(), sessions.clone());
        let (identity, config, secret) = (identity.clone(), config.clone(), secret.clone());
        async move {
            bootstrap::client(&identity, &config, &secret).await?;
            bootstrap::administrator(&identity, &config, &pool).await?;
            tree.task("sweeper", Restart::Permanent, move || upkeep::sweep_sessions(sessions.clone()));
            Ok(())
        }
    });
    Ok(Running { name: NAME, health, http, supervisor, database })
}
