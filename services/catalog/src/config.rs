//! What an operator can set.

use viscount_chassis::{
    config::{ConfigError, Env},
    store::DatabaseConfig,
};
use viscount_contracts::Currency;

/// Configuration of the catalogue service.
#[derive(Debug, Clone)]
pub struct Config {
    /// `CATALOG_PORT`, default 8082.
    pub port: u16,
    /// The service's database.
    pub database: DatabaseConfig,
    /// `CATALOG_CURRENCY`, default `GBP`: the one currency that prices are in.
    pub currency: Currency,
}

impl Config {
    /// Reads and checks the environment.
    pub fn from_env(env: &Env, database_url: String) -> Result<Self, ConfigError> {
        Ok(Self {
            port: env.parse_or("CATALOG_PORT", 8082)?,
            database: DatabaseConfig::new(database_url),
            currency: env.parse_or("CATALOG_CURRENCY", Currency::GBP)?,
        })
    }
}
