//! The service's own database: connecting, migrating, telling "away" from "broken".

use std::{borrow::Cow, time::Duration};

use sqlx::{
    PgPool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// What every service database has; see `migrations/chassis`.
static CHASSIS: Migrator = sqlx::migrate!("../migrations/chassis");

/// How to reach a service's database.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// `postgres://role:password@host:port/database`
    pub url: String,
    /// The most connections that this service opens, its committer's included.
    pub max_connections: u32,
    /// How long a request waits for a connection before it is refused.
    pub acquire_timeout: Duration,
}

impl DatabaseConfig {
    /// Sensible values for a service on a small machine.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), max_connections: 6, acquire_timeout: Duration::from_secs(3) }
    }
}

/// The service's database could not be opened or brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL is none.
    #[error("the database url cannot be read: {0}")]
    Url(#[source] sqlx::Error),
    /// A migration failed, or the database is ahead of this program.
    #[error("migrating the database failed: {0}")]
    Migrate(#[from] MigrateError),
}

impl DatabaseError {
    /// True when the database could not be asked, so that trying again later may help.
    pub fn is_unavailable(&self) -> bool {
        match self {
            DatabaseError::Migrate(
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
            ) => is_unavailable(error),
            DatabaseError::Migrate(_) | DatabaseError::Url(_) => false,
        }
    }
}

/// A pool of connections to one service's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
}

impl Database {
    /// Prepares a pool. Does not connect: a service starts without its database, and is unready until it is there.
    pub fn lazy(config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        let options: PgConnectOptions = config.url.parse().map_err(DatabaseError::Url)?;
        let options = options
            .options([("statement_timeout", "15s"), ("idle_in_transaction_session_timeout", "15s")])
            .statement_cache_capacity(256);
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(config.acquire_timeout)
            .idle_timeout(Duration::from_secs(300))
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Brings the database to the version of this program: the chassis's tables, then the service's own.
    /// Service migrations are numbered from 0100.
    pub async fn migrate(&self, service: &Migrator) -> Result<(), DatabaseError> {
        let mut migrations: Vec<_> = CHASSIS.iter().chain(service.iter()).cloned().collect();
        migrations.sort_by_key(|migration| migration.version);
        let all = Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT };
        Ok(all.run(&self.pool).await?)
    }

    /// The pool.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// True when the database could not be asked (away, restarting, out of connections, too slow), so that the same call
/// may succeed later; false when it answered and refused.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(refused) => {
            let code = refused.code();
            // Class 08: connection. 53: out of resources. 57: operator intervention and timeouts. 58: its disk.
            // 40: serialization failure and deadlock. 55P03: lock not available. 25P03, 25P04: a transaction that took
            // too long. 25006: a standby, which the primary of a moment ago may be.
            code.is_some_and(|code| {
                ["08", "53", "57", "58", "40"].iter().any(|class| code.starts_with(class))
                    || ["55P03", "25P03", "25P04", "25006"].contains(&&*code)
            })
        }
        _ => false,
    }
}
