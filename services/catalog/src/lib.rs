//! Catalogue: products, categories, prices, search.
//!
//! A product is a pure aggregate ([`domain`]) whose events are the truth and whose row tells how it is now. Edits are
//! rare and reads are many, so no actor is kept per product: an edit reads the row, decides, and hands the outcome to
//! the service's group commit, where the next version in the product's stream can be taken only once. Who loses
//! decides again on what is there now; with `If-Match` that is a 412.
//!
//! | | |
//! |---|---|
//! | publishes | `catalog.events.v1`: ProductCreated, ProductUpdated, PriceChanged, ProductDeleted, ProductOutOfStock |
//! | consumes | `inventory.events.v1`: InventoryUpdated |
//! | serves | `/v1/products…`, `/v1/categories` |
//!
//! ```text
//! catalog
//! ├── committer           the group commit
//! ├── boot                migrates, then starts the rest
//! └── consume-inventory   what can be sold, and what cannot any more
//! ```

mod catalog;
mod config;
pub mod domain;
mod http;
mod ingress;
pub mod metrics;
mod replay;
mod store;

use sqlx::migrate::Migrator;
use viscount_chassis::{
    consumer::{self, ConsumerSpec},
    explain::Explain,
    http::{Health, HttpSpec},
    service::{Platform, Running, ServiceError},
    store::{Committer, CommitterSpec, Database, EventStore},
};
use viscount_contracts::Topic;

pub use config::Config;
pub use replay::projections;

use crate::{catalog::Catalog, ingress::ToCatalog, store::CatalogWriter};

/// The service's name.
pub const NAME: &str = "catalog";

/// The service's own migrations.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/catalog");

/// Starts the service on the current arbiter. It answers at once, and is ready when its database is there.
pub async fn start(config: Config, platform: &Platform) -> Result<Running, ServiceError> {
    viscount_chassis::telemetry::metrics::begin(NAME, metrics::ALL, metrics::CLOSED);
    let health = Health::new();
    let supervisor = platform.root(NAME, &health);
    let database = Database::lazy(&config.database)?;
    let pool = database.pool().clone();
    let store = EventStore::new(Topic::Catalog, pool.clone());
    let publisher = platform.log.publisher(store.clone());
    let (writer, spec) = (CatalogWriter::new(), CommitterSpec::default());
    let committer = Committer::start(&supervisor, store, pool.clone(), publisher, writer, spec);
    let catalog = Catalog::new(pool.clone(), committer, config.currency);

    let api = catalog.clone();
    let explain = Explain::of(NAME, &[Topic::Inventory], &pool, &platform.log).build();
    let http = viscount_chassis::http::serve(
        HttpSpec {
            service: NAME,
            host: platform.host.clone(),
            port: config.port,
            port_variable: "CATALOG_PORT",
            workers: 1,
            verifier: platform.verifier.clone(),
            health: health.clone(),
            openapi: http::openapi(),
            supervisor: supervisor.clone(),
            dead_letters: Some(database.pool().clone()),
            body_limit: HttpSpec::BODY_LIMIT,
            deadline: HttpSpec::DEADLINE,
        },
        move |app| {
            http::routes(app, &api);
            explain.configure(app);
        },
    )?;

    let (tree, log) = (supervisor.clone(), platform.log.clone());
    platform.boot(&supervisor, &database, &MIGRATIONS, &health, move || {
        let to_catalog = ToCatalog::new(catalog.clone());
        // Each event takes a connection of its own: no more at once than the pool can soon serve.
        let spec = ConsumerSpec { in_hand: 32, ..ConsumerSpec::new(NAME, Topic::Inventory) };
        consumer::start(&tree, "consume-inventory", spec, pool.clone(), log.clone(), move || {
            to_catalog.clone()
        });
        async { Ok(()) }
    });
    Ok(Running { name: NAME, health, http, supervisor, database })
}
