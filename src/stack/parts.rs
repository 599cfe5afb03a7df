//! The parts of the platform: one table, from which everything else follows.

use std::{collections::HashMap, pin::Pin, sync::Arc};

use clap::ValueEnum;
use sqlx::migrate::Migrator;
use tokio::sync::mpsc::{self, Sender};
use viscount_chassis::{
    config::{ConfigError, Env},
    coordination::CoordinationConfig,
    ports,
    service::{Platform, Running, ServiceError},
};
use viscount_contracts::Topic;
use viscount_gateway::GatewayConfig;
use viscount_identity::FirstAdmin;

use crate::failure::Failure;

/// One thing that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// Users and tokens.
    Identity,
    /// Products and prices.
    Catalog,
    /// Stock.
    Inventory,
    /// Orders.
    Orders,
    /// Payments.
    Payments,
    /// What runs, how it is set, who holds which lock.
    Coordination,
    /// The payment provider's stand-in.
    Simulator,
    /// The door.
    Gateway,
}

/// Each part's database URL.
#[derive(Debug, Default, Clone)]
pub struct Urls(HashMap<Part, String>);

impl Urls {
    /// Remembers one.
    pub fn insert(&mut self, part: Part, url: String) {
        self.0.insert(part, url);
    }

    /// The one of this part.
    pub fn get(&self, part: Part) -> Option<&str> {
        self.0.get(&part).map(String::as_str)
    }

    /// The one of this part; empty when it has none.
    pub fn of(&self, part: Part) -> String {
        self.0.get(&part).cloned().unwrap_or_default()
    }
}

type Starting = Pin<Box<dyn Future<Output = Result<Running, ServiceError>>>>;
/// Starts a part on the thread where it is called.
pub type Start = Box<dyn FnOnce(Platform) -> Starting + Send>;

macro_rules! starting {
    ($module:ident, $config:expr) => {{
        let config = $config;
        let start: Start =
            Box::new(move |platform| Box::pin(async move { $module::start(config, &platform).await }));
        start
    }};
}

use viscount_payments::simulator as viscount_simulator;

impl Part {
    /// Everything.
    pub const ALL: [Part; 8] = [
        Part::Identity,
        Part::Catalog,
        Part::Inventory,
        Part::Orders,
        Part::Payments,
        Part::Coordination,
        Part::Simulator,
        Part::Gateway,
    ];

    /// Services start in any order; this one spares waiting, and tells payments where the simulator is.
    pub const STARTING_ORDER: [Part; 7] = [
        Part::Simulator,
        Part::Identity,
        Part::Coordination,
        Part::Catalog,
        Part::Inventory,
        Part::Orders,
        Part::Payments,
    ];

    /// The one that publishes this topic.
    pub const fn publishing(topic: Topic) -> Self {
        match topic {
            Topic::Catalog => Part::Catalog,
            Topic::Inventory => Part::Inventory,
            Topic::Orders => Part::Orders,
            Topic::Payments => Part::Payments,
            Topic::Identity => Part::Identity,
            Topic::Coordination => Part::Coordination,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Identity => "identity",
            Part::Catalog => "catalog",
            Part::Inventory => "inventory",
            Part::Orders => "orders",
            Part::Payments => "payments",
            Part::Coordination => "coordination",
            Part::Simulator => "simulator",
            Part::Gateway => "gateway",
        }
    }

    /// The name under which a service is listed: that of its part.
    pub fn listed_as(service: &'static str) -> &'static str {
        match service {
            viscount_simulator::NAME => Part::Simulator.name(),
            other => other,
        }
    }

    /// Its database, if it has one.
    pub const fn database(self) -> Option<&'static str> {
        match self {
            Part::Identity => Some("identity_db"),
            Part::Catalog => Some("product_catalog_db"),
            Part::Inventory => Some("inventory_db"),
            Part::Orders => Some("order_db"),
            Part::Payments => Some("payment_db"),
            Part::Coordination => Some("platform_coordination_db"),
            Part::Simulator => Some("payment_simulator_db"),
            Part::Gateway => None,
        }
    }

    /// The variable that sets its port, the gateway's excepted.
    pub const fn port_variable(self) -> Option<&'static str> {
        match self {
            Part::Identity => Some("IDENTITY_PORT"),
            Part::Catalog => Some("CATALOG_PORT"),
            Part::Inventory => Some("INVENTORY_PORT"),
            Part::Orders => Some("ORDERS_PORT"),
            Part::Payments => Some("PAYMENTS_PORT"),
            Part::Coordination => Some("COORDINATION_PORT"),
            Part::Simulator => Some("SIMULATOR_PORT"),
            Part::Gateway => None,
        }
    }

    /// Its own migrations.
    pub fn migrations(self) -> Option<&'static Migrator> {
        match self {
            Part::Identity => Some(&viscount_identity::MIGRATIONS),
            Part::Catalog => Some(&viscount_catalog::MIGRATIONS),
            Part::Inventory => Some(&viscount_inventory::MIGRATIONS),
            Part::Orders => Some(&viscount_orders::MIGRATIONS),
            Part::Payments => Some(&viscount_payments::MIGRATIONS),
            Part::Coordination => Some(&viscount_coordination::MIGRATIONS),
            Part::Simulator => Some(&viscount_simulator::MIGRATIONS),
            Part::Gateway => None,
        }
    }

    /// Reads its configuration and gives what starts it; nothing for the gateway, which is opened last.
    pub fn start(
        self,
        env: &Env,
        urls: &Urls,
        admins: Sender<FirstAdmin>,
    ) -> Result<Option<Start>, ConfigError> {
        let url = urls.of(self);
        Ok(Some(match self {
            Part::Identity => {
                let mut config = viscount_identity::Config::from_env(env, url)?;
                config.on_first_admin = Some(Arc::new(move |admin| drop(admins.try_send(admin))));
                starting!(viscount_identity, config)
            }
            Part::Catalog => starting!(viscount_catalog, viscount_catalog::Config::from_env(env, url)?),
            Part::Inventory => starting!(viscount_inventory, viscount_inventory::Config::from_env(env, url)?),
            Part::Orders => starting!(viscount_orders, viscount_orders::Config::from_env(env, url)?),
            Part::Payments => starting!(viscount_payments, viscount_payments::Config::from_env(env, url)?),
            Part::Coordination => {
                starting!(viscount_coordination, viscount_coordination::Config::from_env(env, url)?)
            }
            Part::Simulator => {
                starting!(viscount_simulator, viscount_simulator::SimulatorConfig::from_env(env, url)?)
            }
            Part::Gateway => return Ok(None),
        }))
    }
}

/// Reads every configuration before anything is started, so that a wrong one is a line and not half a platform.
pub fn check_all(env: &Env, parts: &[Part]) -> Result<(), Failure> {
    let (admins, _) = mpsc::channel(1);
    for part in parts {
        part.start(env, &Urls::default(), admins.clone())?;
    }
    if parts.contains(&Part::Gateway) {
        GatewayConfig::from_env(env)?;
    }
    CoordinationConfig::from_env(env, "")?;
    Ok(())
}

/// Where identity will listen: others need its address before it has started.
pub fn port_of_identity(env: &Env, parts: &[Part]) -> Result<u16, Failure> {
    let port = env.parse_or("IDENTITY_PORT", 8088)?;
    if port == 0 && parts.contains(&Part::Identity) {
        return ports::free_port().map_err(|error| Failure::doing("no free port", error));
    }
    Ok(port)
}
