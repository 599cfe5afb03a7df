//! The shape that every service has: what it gets when it starts, and how it is stopped.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

mod drops;

use sqlx::migrate::Migrator;
use viscount_actors::{Restart, Supervisor};

use crate::{
    auth::Verifier,
    http::{Health, HttpHandle, StartError},
    log::EventLog,
    store::{Database, DatabaseError, figures, is_unavailable},
};

/// What all services of a process share.
#[derive(Clone)]
pub struct Platform {
    /// How events reach the other services.
    pub log: Arc<dyn EventLog>,
    /// Checks the tokens of callers.
    pub verifier: Verifier,
    /// The address that services listen on.
    pub host: String,
    /// Lets an administrator have things go wrong, over HTTP (`VISCOUNT_FAULTS`). Off in production.
    pub fault_injection: bool,
    /// Called when a service's root supervisor gives up: the process becomes unready and ends.
    pub on_failure: Arc<dyn Fn(&'static str, String) + Send + Sync>,
}

impl Platform {
    /// The root of a service's supervision tree, whose failure is the process's failure.
    pub fn root(&self, service: &'static str, health: &Health) -> Supervisor {
        let (on_failure, health) = (self.on_failure.clone(), health.clone());
        let root = Supervisor::root(service, viscount_actors::Intensity::default(), move |exit| {
            health.set_ready(false);
            on_failure(service, exit.to_string());
        });
        if self.fault_injection {
            root.faults().allow();
        }
        root
    }

    /// Brings the database up to date, runs `then` (loads caches, starts consumers), and makes the service ready.
    ///
    /// A database that is away is waited for: a service starts without it, alive but not ready. A database that
    /// refuses is a failure of the supervised task, and with that, in the end, of the service.
    pub fn boot<F, Fut>(
        &self,
        supervisor: &Supervisor,
        database: &Database,
        migrations: &'static Migrator,
        health: &Health,
        then: F,
    ) where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ServiceError>> + 'static,
    {
        let pool = database.pool().clone();
        health.check("database", move || {
            let pool = pool.clone();
            Box::pin(async move {
                sqlx::query("select 1").execute(&pool).await.map(drop).map_err(|error| error.to_string())
            })
        });
        if supervisor.faults().are_allowed() {
            drops::start(supervisor, database.pool());
        }
        let log = self.log.clone();
        // Without its log a service goes on: what it commits is published later.
        health.advise("events", move || {
            let log = log.clone();
            Box::pin(async move { log.check().await })
        });
        let (service, pool, log) = (supervisor.snapshot().name, database.pool().clone(), self.log.clone());
        supervisor.task("database-figures", Restart::Permanent, move || {
            figures::show(service, pool.clone(), log.clone())
        });
        let (database, health, then) = (database.clone(), health.clone(), Arc::new(then));
        supervisor.task("boot", Restart::Transient, move || {
            let (database, health, then) = (database.clone(), health.clone(), then.clone());
            async move {
                loop {
                    let booted = async {
                        database.migrate(migrations).await?;
                        then().await
                    };
                    match booted.await {
                        Ok(()) => break,
                        Err(error) if error.is_unavailable() => {
                            tracing::warn!(%error, "waiting for the database");
                            tokio::time::sleep(Duration::from_millis(rand::random_range(200..500))).await;
                        }
                        Err(error) => {
                            tracing::error!(%error, "the service cannot start");
                            return Err(error);
                        }
                    }
                }
                health.set_ready(true);
                Ok(())
            }
        });
    }
}

/// A service could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// Its database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Its database answered and refused.
    #[error("the database: {0}")]
    Sql(#[from] sqlx::Error),
    /// Its port.
    #[error(transparent)]
    Http(#[from] StartError),
}

impl ServiceError {
    /// True when trying again later may help.
    fn is_unavailable(&self) -> bool {
        match self {
            ServiceError::Sql(error) => is_unavailable(error),
            ServiceError::Database(error) => error.is_unavailable(),
            ServiceError::Config(_) | ServiceError::Http(_) => false,
        }
    }
}

/// A running service.
pub struct Running {
    /// Its name.
    pub name: &'static str,
    /// What it answers to orchestrators.
    pub health: Health,
    /// Its door.
    pub http: HttpHandle,
    /// Its actors.
    pub supervisor: Supervisor,
    /// Its data.
    pub database: Database,
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.http.addr()
    }

    /// Says that it will end soon: unready, and every connection ends with its next answer. It goes on serving.
    pub fn leave(&self) {
        self.health.set_ready(false);
        self.http.leave();
    }

    /// Ends in order: unready, no new requests, consumers and actors drained, commits flushed, pool closed.
    pub async fn drain(self, deadline: Duration) {
        self.health.set_ready(false);
        self.http.stop(deadline / 3).await;
        if self.supervisor.stop(deadline / 2).await.is_err() {
            tracing::warn!(service = self.name, "actors did not stop in time");
        }
        let _ = tokio::time::timeout(deadline / 6, self.database.close()).await;
        tracing::info!(service = self.name, "service stopped");
    }
}
