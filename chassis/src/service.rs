//! The shape that every service has: what it gets when it starts, and how it is stopped.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use viscount_actors::Supervisor;

use crate::{
    auth::Verifier,
    http::{Health, HttpHandle, StartError},
    log::EventLog,
    store::{Database, DatabaseError},
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
    /// Lets an administrator inject faults over HTTP. Off in production.
    pub fault_injection: bool,
    /// Called when a service's root supervisor gives up: the process becomes unready and ends.
    pub on_failure: Arc<dyn Fn(&'static str, String) + Send + Sync>,
}

impl Platform {
    /// The root of a service's supervision tree, whose failure is the process's failure.
    pub fn root(&self, service: &'static str, health: &Health) -> Supervisor {
        let (on_failure, health) = (self.on_failure.clone(), health.clone());
        Supervisor::root(service, viscount_actors::Intensity::default(), move |exit| {
            health.set_ready(false);
            on_failure(service, exit.to_string());
        })
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
