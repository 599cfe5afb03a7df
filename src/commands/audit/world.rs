//! The databases, to look at: read only.

use std::sync::Arc;

use sqlx::{PgPool, postgres::PgConnectOptions, postgres::PgPoolOptions};
use viscount_chassis::{
    config::Env,
    log::{EmbeddedLog, EventLog},
    store::EventStore,
};
use viscount_contracts::Topic;

use crate::{
    failure::Failure,
    stack::{self, Attached, Part},
};

/// The services' databases.
pub struct World {
    /// order_db
    pub orders: PgPool,
    /// inventory_db
    pub inventory: PgPool,
    /// payment_db
    pub payments: PgPool,
    /// payment_simulator_db
    pub simulator: PgPool,
    /// product_catalog_db
    pub catalog: PgPool,
    /// identity_db
    pub identity: PgPool,
    /// platform_coordination_db, if coordination has ever run: nobody needs it.
    pub coordination: Option<PgPool>,
    /// The engine that carries the events: where it keeps how far each service has come, it is asked.
    pub log: Arc<dyn EventLog>,
}

impl World {
    /// Connects to all of them.
    pub async fn open(attached: &Attached, env: &Env) -> Result<Self, Failure> {
        let log = stack::engine(env)?;
        Ok(Self { log, ..Self::connect(|part| attached.url(part)).await? })
    }

    /// Connects to all of them, each found by `url`.
    pub async fn connect(url: impl Fn(Part) -> String) -> Result<Self, Failure> {
        let open = async |part: Part| -> Result<PgPool, Failure> {
            let options: PgConnectOptions = url(part).parse()?;
            let options =
                options.options([("default_transaction_read_only", "on"), ("statement_timeout", "120s")]);
            Ok(PgPoolOptions::new().max_connections(2).connect_with(options).await?)
        };
        let coordination = open(Part::Coordination).await?;
        let has_run = sqlx::query_scalar("select to_regclass('log_head') is not null");
        let coordination =
            has_run.fetch_one(&coordination).await.map(|has_run: bool| has_run.then_some(coordination))?;
        Ok(Self {
            orders: open(Part::Orders).await?,
            inventory: open(Part::Inventory).await?,
            payments: open(Part::Payments).await?,
            simulator: open(Part::Simulator).await?,
            catalog: open(Part::Catalog).await?,
            identity: open(Part::Identity).await?,
            coordination,
            log: Arc::new(EmbeddedLog::new()),
        })
    }

    /// Each topic with its database.
    pub fn topics(&self) -> Vec<(Topic, &PgPool)> {
        let mut topics = vec![
            (Topic::Orders, &self.orders),
            (Topic::Inventory, &self.inventory),
            (Topic::Payments, &self.payments),
            (Topic::Catalog, &self.catalog),
            (Topic::Identity, &self.identity),
        ];
        topics.extend(self.coordination.as_ref().map(|pool| (Topic::Coordination, pool)));
        topics
    }

    /// The events of the orders.
    pub fn order_events(&self) -> EventStore {
        EventStore::new(Topic::Orders, self.orders.clone())
    }
}
