//! What an operator can set.

use std::time::Duration;

use viscount_chassis::{
    config::{ConfigError, Env, HANDLER_DEADLINES},
    store::DatabaseConfig,
};

use crate::{
    actors::Deadlines,
    domain::{Fulfilment, Policy},
};

/// Configuration of the orders service.
#[derive(Debug, Clone)]
pub struct Config {
    /// `ORDERS_PORT`, default 8084.
    pub port: u16,
    /// The service's database.
    pub database: DatabaseConfig,
    /// `ORDERS_STOCK_DEADLINE` and `ORDERS_PAYMENT_DEADLINE`, default 15 and 30 minutes: how long an order waits for
    /// inventory and for payment before it cancels itself.
    pub deadlines: Deadlines,
    /// `ORDERS_HANDLER_DEADLINE`, default 31 s: how long an order's handler may take before it is given up and the order
    /// loaded afresh. A commit has an outcome within ten seconds, and so has a read: an order that takes longer than the
    /// default over a few of them waits for something that will not come. The default is longer than the window of an
    /// order's intensity, so that it is never quarantined for it.
    pub handler_deadline: Duration,
    /// `ORDERS_FULFILMENT`, `immediate` (default) or `external`.
    pub policy: Policy,
}

impl Config {
    /// Reads and checks the environment.
    pub fn from_env(env: &Env, database_url: String) -> Result<Self, ConfigError> {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Ok(Self {
            port: env.parse_or("ORDERS_PORT", 8084)?,
            database: DatabaseConfig::new(database_url),
            deadlines: Deadlines {
                stock: env.duration_or("ORDERS_STOCK_DEADLINE", minutes(15))?,
                payment: env.duration_or("ORDERS_PAYMENT_DEADLINE", minutes(30))?,
            },
            handler_deadline: env.duration_within(
                "ORDERS_HANDLER_DEADLINE",
                Duration::from_secs(31),
                HANDLER_DEADLINES,
            )?,
            policy: Policy {
                fulfilment: match env.get("ORDERS_FULFILMENT").unwrap_or("immediate") {
                    "immediate" => Fulfilment::Immediate,
                    "external" => Fulfilment::External,
                    other => {
                        return Err(ConfigError {
                            variable: "ORDERS_FULFILMENT".to_owned(),
                            problem: format!("{other:?} is neither immediate nor external"),
                        });
                    }
                },
            },
        })
    }
}
