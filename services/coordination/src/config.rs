//! What an operator can set.

use std::time::Duration;

use viscount_chassis::{
    config::{ConfigError, Env},
    store::DatabaseConfig,
};

use crate::{why::Peers, workflows::Patience};

/// The variable that sets the port.
pub const PORT_VARIABLE: &str = "COORDINATION_PORT";

/// Configuration of the coordination service.
#[derive(Debug, Clone)]
pub struct Config {
    /// `COORDINATION_PORT`, default 8081.
    pub port: u16,
    /// The service's database.
    pub database: DatabaseConfig,
    /// `COORDINATION_PROBE_EVERY`, default 2 s: how often an instance is asked how it is.
    pub probe_every: Duration,
    /// `COORDINATION_STUCK_AFTER`, default 30 s: from when on a workflow that waits counts as stuck. With
    /// `ORDERS_STOCK_DEADLINE` and `ORDERS_PAYMENT_DEADLINE` as the orders service has them.
    pub patience: Patience,
    /// `COORDINATION_KEEP_WORKFLOWS`, default 168h: how long finished workflows are kept.
    pub keep_workflows: Duration,
    /// Where the services are that are asked for evidence.
    pub peers: Peers,
}

impl Config {
    /// Reads and checks the environment.
    pub fn from_env(env: &Env, database_url: String) -> Result<Self, ConfigError> {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        const PROBE_EVERY: &str = "COORDINATION_PROBE_EVERY";
        let probe_every = env.duration_or(PROBE_EVERY, Duration::from_secs(2))?;
        if probe_every < Duration::from_millis(50) || probe_every > Duration::from_secs(60) {
            return Err(ConfigError::new(PROBE_EVERY, "must be from 50ms to 60s"));
        }
        Ok(Self {
            port: env.parse_or(PORT_VARIABLE, 8081)?,
            // One connection more than others: it listens for what other replicas change.
            database: DatabaseConfig { max_connections: 7, ..DatabaseConfig::new(database_url) },
            probe_every,
            patience: Patience {
                stuck_after: env.duration_or("COORDINATION_STUCK_AFTER", Duration::from_secs(30))?,
                stock: env.duration_or("ORDERS_STOCK_DEADLINE", minutes(15))?,
                payment: env.duration_or("ORDERS_PAYMENT_DEADLINE", minutes(30))?,
            },
            keep_workflows: env.duration_or("COORDINATION_KEEP_WORKFLOWS", minutes(7 * 24 * 60))?,
            peers: Peers::from_env(env)?,
        })
    }
}
