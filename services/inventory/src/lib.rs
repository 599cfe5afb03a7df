//! Inventory: stock per product and location, reservations, the ledger of movements.
//!
//! Nothing is ever sold that is not there. One actor per product puts pieces aside in memory, first come, first served;
//! a reservation over several products is committed as one entry, all or none; and the database guards every row, so
//! that a second replica cannot oversell either ([`domain`] has the rules, without any I/O).
//!
//! | | |
//! |---|---|
//! | publishes | `inventory.events.v1` |
//! | consumes | `orders.events.v1` |
//! | serves | `/v1/inventory…` |
//!
//! ```text
//! inventory
//! ├── committer           the group commit
//! ├── read-balances       reads products, many with one query
//! ├── read-reservations   reads reservations, many with one query
//! ├── stock               router of stock actors, one for each product in motion
//! ├── key-janitor         forgets answers of yesterday
//! ├── boot                migrates, then starts the rest
//! ├── announcer           tells others what runs out, comes back, gets scarce
//! ├── sweeper             ends reservations whose time has run out
//! └── consume-orders      reserves, releases and deducts as orders go
//! ```

mod actors;
mod config;
pub mod domain;
mod explain;
mod http;
mod ingress;
pub mod metrics;
mod store;

use std::sync::Arc;

use sqlx::migrate::Migrator;
use viscount_actors::{Deadline, Overdue, Restart, RouterSpec};
use viscount_chassis::{
    consumer::{self, ConsumerSpec},
    explain::Explain,
    failpoint::defect,
    http::{Health, HttpSpec},
    idempotency::Idempotency,
    service::{Platform, Running, ServiceError},
    store::{Committer, CommitterSpec, Database, EventStore},
};
use viscount_contracts::Topic;

pub use config::{Config, PORT_VARIABLE};

use crate::{
    actors::{Desk, Shelves, StockActor, StockEnv},
    http::Api,
    ingress::FromOrders,
    store::{Hints, InventoryWriter, Loader},
};

/// The domain's events as they are stored and published, and back.
pub mod codec {
    pub use crate::store::{adjusted, deducted, notices, rejected, released, reserved, short_lines};
}

/// Which events of others mean what to the stock.
pub mod subscription {
    pub use crate::ingress::{Wanted, route};
}

/// The service's name.
pub const NAME: &str = "inventory";

/// The service's own migrations.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/inventory");

/// One hot product may have thousands of requests waiting; each is small, and all are served together.
const ROUTER: RouterBounds = RouterBounds { mailbox: 4096, batch: 512, in_flight: 16_384 };

struct RouterBounds {
    mailbox: usize,
    batch: usize,
    in_flight: usize,
}

/// Starts the service on the current arbiter. It answers at once, and is ready when its database is there.
pub async fn start(config: Config, platform: &Platform) -> Result<Running, ServiceError> {
    viscount_chassis::telemetry::metrics::begin(NAME, metrics::ALL, metrics::CLOSED);
    let health = Health::new();
    let supervisor = platform.root(NAME, &health);
    let database = Database::lazy(&config.database)?;
    let pool = database.pool().clone();
    let events = EventStore::new(Topic::Inventory, pool.clone());
    let publisher = platform.log.publisher(events.clone());
    let hints = Hints::default();
    let low = config.low_stock;
    let writer = InventoryWriter::new(low, hints.clone());
    let committer = Committer::start(
        &supervisor,
        events.clone(),
        pool.clone(),
        publisher,
        writer,
        CommitterSpec::default(),
    );
    let balances = Loader::start(&supervisor, "read-balances", pool.clone(), store::balances);
    let reservations = Loader::start(&supervisor, "read-reservations", pool.clone(), store::reservations);

    let shelves = Shelves::default();
    let env = StockEnv {
        balances: balances.clone(),
        committer: committer.clone(),
        shelves: shelves.clone(),
        pool: pool.clone(),
        low,
    };
    let deadlines = vec![Deadline::of_all(config.handler_deadline, Overdue::Restart)];
    let RouterBounds { mailbox, batch, in_flight } = ROUTER;
    let router = supervisor.router::<StockActor>(
        env,
        RouterSpec { mailbox, batch, in_flight, deadlines, ..RouterSpec::default() },
    );
    let desk = Desk::new(router.clone(), shelves, committer, reservations, events);
    let idempotency = Idempotency::new(pool.clone());
    let keys = idempotency.clone();
    supervisor.task("key-janitor", Restart::Permanent, move || keys.clone().forget_old());

    let api = Arc::new(Api {
        desk: desk.clone(),
        router: router.clone(),
        balances,
        pool: pool.clone(),
        idempotency,
        low_stock: low,
        reservation_ttl: config.reservation_ttl,
    });
    let explain = Explain::of(NAME, &[Topic::Orders], &pool, &platform.log).noting(explain::notes).build();
    let http = viscount_chassis::http::serve(
        HttpSpec {
            service: NAME,
            host: platform.host.clone(),
            port: config.port,
            port_variable: PORT_VARIABLE,
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
        let (tree, log, pool) = (tree.clone(), log.clone(), pool.clone());
        let (router, hints, desk) = (router.clone(), hints.clone(), desk.clone());
        async move {
            if defect("defect.guard") {
                store::without_bounds(&pool).await?;
            }
            let (told, sold) = (pool.clone(), pool.clone());
            tree.task("announcer", Restart::Permanent, move || {
                actors::announce(told.clone(), router.clone(), hints.clone(), low)
            });
            let sweeping = desk.clone();
            tree.task("sweeper", Restart::Permanent, move || actors::sweep(sold.clone(), sweeping.clone()));
            let spec = ConsumerSpec::new(NAME, Topic::Orders);
            consumer::start(&tree, "consume-orders", spec, pool, log, move || FromOrders {
                desk: desk.clone(),
            });
            Ok(())
        }
    });
    Ok(Running { name: NAME, health, http, supervisor, database })
}
