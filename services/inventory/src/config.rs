//! Settings of the inventory service.

use std::time::Duration;

use viscount_chassis::{
    config::{ConfigError, Env, HANDLER_DEADLINES},
    store::DatabaseConfig,
};

/// The environment variable of the port.
pub const PORT_VARIABLE: &str = "INVENTORY_PORT";

/// What the service needs to know before it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// `INVENTORY_PORT`, 8083; 0 for any free one.
    pub port: u16,
    /// Its database.
    pub database: DatabaseConfig,
    /// `INVENTORY_LOW_STOCK`, 5: so many available, or fewer, count as little.
    pub low_stock: u32,
    /// `INVENTORY_RESERVATION_TTL`, 15m: when a reservation ends that was asked for over HTTP without saying how long.
    /// Reservations of orders end by the order's own events.
    pub reservation_ttl: Duration,
    /// `INVENTORY_HANDLER_DEADLINE`, 31s: how long a product's handler may take before it is given up and the product loaded
    /// afresh. Whoever wants pieces waits nine seconds for others to decide, and a commit or a read has an outcome within
    /// ten: a product that takes longer than the default waits for something that will not come. The default is longer than
    /// the window of a product's intensity, so that it is never quarantined for it.
    pub handler_deadline: Duration,
}

impl Config {
    /// The defaults around a database, on any free port: for tests.
    pub fn new(database: DatabaseConfig) -> Self {
        let (reservation_ttl, handler_deadline) = (Duration::from_secs(900), Duration::from_secs(31));
        Self { port: 0, database, low_stock: 5, reservation_ttl, handler_deadline }
    }

    /// Reads the environment.
    pub fn from_env(env: &Env, database_url: String) -> Result<Self, ConfigError> {
        let defaults = Self::new(DatabaseConfig::new(database_url));
        let reservation_ttl = env.duration_or("INVENTORY_RESERVATION_TTL", defaults.reservation_ttl)?;
        if reservation_ttl.is_zero() {
            return Err(ConfigError::new("INVENTORY_RESERVATION_TTL", "must be longer than nothing"));
        }
        Ok(Self {
            port: env.parse_or(PORT_VARIABLE, 8083)?,
            low_stock: env.parse_or("INVENTORY_LOW_STOCK", defaults.low_stock)?,
            reservation_ttl,
            handler_deadline: env.duration_within(
                "INVENTORY_HANDLER_DEADLINE",
                defaults.handler_deadline,
                HANDLER_DEADLINES,
            )?,
            ..defaults
        })
    }
}
