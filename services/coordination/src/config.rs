//! What an operator can set.

use std::time::Duration;

use viscount_chassis::{
    config::{ConfigError, Env},
    store::DatabaseConfig,
};

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
}

impl Config {
    /// Reads and checks the environment.
    pub fn from_env(env: &Env, database_url: String) -> Result<Self, ConfigError> {
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
        })
    }
}
