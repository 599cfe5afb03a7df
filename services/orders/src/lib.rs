//! Orders: the order's life, its history and its live stream.
//!
//! An order is an actor around a pure state machine ([`domain`]), the process manager of its own saga: it listens to
//! what inventory and payments say about it and decides what comes next. Every commit goes through the service's group
//! commit; the order believes in an event only after the commit.
//!
//! | | |
//! |---|---|
//! | publishes | `orders.events.v1` |
//! | consumes | `inventory.events.v1`, `payments.events.v1` (to orders), `catalog.events.v1` (to the price book) |
//! | serves | `/v1/orders…` |
//!
//! ```text
//! orders
//! ├── committer          the group commit
//! ├── order              router of order actors, one for each order in motion
//! ├── hub-janitor, key-janitor
//! ├── boot               migrates, loads the price book, starts the rest
//! ├── stream-hub         hands each event to those who watch its order
//! ├── price-book         follows the catalogue, where replicas share the work
//! ├── counts             shows how many orders wait
//! ├── deadlines          cancels what has waited too long
//! └── consume-catalog, consume-inventory, consume-payments
//! ```

mod actors;
mod book;
mod config;
pub mod domain;
mod explain;
mod http;
mod ingress;
pub mod metrics;
mod replay;
mod store;
mod stream;
mod view;

use std::sync::Arc;

use sqlx::migrate::Migrator;
use viscount_actors::{Deadline, Overdue, Restart, RouterSpec};
use viscount_chassis::{
    consumer::{self, ConsumerSpec},
    explain::Explain,
    http::{Health, HttpSpec},
    idempotency::Idempotency,
    service::{Platform, Running, ServiceError},
    store::{Committer, CommitterSpec, Database, EventStore},
};
use viscount_contracts::Topic;

pub use config::Config;
pub use replay::projections;

use crate::{
    actors::{Env, EnvInner, OrderActor},
    book::{PriceBook, ToBook},
    http::{Api, Tickets},
    ingress::ToOrders,
    store::{Orders, OrdersWriter},
    stream::StreamHub,
};

/// The domain's events as they are stored and published, and back.
pub mod codec {
    pub use crate::store::{CodecError, decode, encode};
}

/// Which events of others mean what to an order.
pub mod subscription {
    pub use crate::ingress::route;
}

/// The service's name.
pub const NAME: &str = "orders";

/// The service's own migrations.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/orders");

/// Starts the service on the current arbiter. It answers at once, and is ready when its database is there.
pub async fn start(config: Config, platform: &Platform) -> Result<Running, ServiceError> {
    viscount_chassis::telemetry::metrics::begin(NAME, metrics::ALL, metrics::CLOSED);
    let health = Health::new();
    let supervisor = platform.root(NAME, &health);
    let database = Database::lazy(&config.database)?;
    let pool = database.pool().clone();
    let store = EventStore::new(Topic::Orders, pool.clone());
    let publisher = platform.log.publisher(store.clone());
    let committer = Committer::start(
        &supervisor,
        store.clone(),
        pool.clone(),
        publisher,
        OrdersWriter,
        CommitterSpec::default(),
    );

    let env = Env(Arc::new(EnvInner {
        committer: committer.clone(),
        store: store.clone(),
        policy: config.policy,
        deadlines: config.deadlines,
    }));
    let late = vec![Deadline::of_all(config.handler_deadline, Overdue::Restart)];
    let router =
        supervisor.router::<OrderActor>(env, RouterSpec { deadlines: late, ..RouterSpec::default() });
    let hub = StreamHub::default();
    let (follow, gone) = (hub.clone(), hub.clone());
    supervisor.task("hub-janitor", Restart::Permanent, move || gone.clone().forget_gone());
    let idempotency = Idempotency::new(pool.clone());
    let keys = idempotency.clone();
    supervisor.task("key-janitor", Restart::Permanent, move || keys.clone().forget_old());

    let book = PriceBook::default();
    let orders = Orders::new(pool.clone());
    let api = Arc::new(Api {
        router: router.clone(),
        orders: orders.clone(),
        store,
        book: book.clone(),
        hub,
        idempotency,
        tickets: Tickets::new(pool.clone()),
    });
    let (deadlines, policy) = (config.deadlines, config.policy);
    let reads = &[Topic::Catalog, Topic::Inventory, Topic::Payments];
    let explain = Explain::of(NAME, reads, &pool, &platform.log)
        .noting(move |pool, key| explain::notes(pool, key, deadlines, policy))
        .build();
    let http = viscount_chassis::http::serve(
        HttpSpec {
            service: NAME,
            host: platform.host.clone(),
            port: config.port,
            port_variable: "ORDERS_PORT",
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

    let (tree, log, deadlines) = (supervisor.clone(), platform.log.clone(), config.deadlines);
    let policy = config.policy;
    platform.boot(&supervisor, &database, &MIGRATIONS, &health, move || {
        let (tree, log, pool) = (tree.clone(), log.clone(), pool.clone());
        let (book, committer, router, orders) =
            (book.clone(), committer.clone(), router.clone(), orders.clone());
        let follow = follow.clone();
        async move {
            book.load(&pool).await?;
            let told = log.clone();
            tree.task("stream-hub", Restart::Permanent, move || follow.clone().follow(told.clone()));
            let (counted, fulfilment) = (orders.clone(), policy.fulfilment);
            tree.task("counts", Restart::Permanent, move || actors::count_open(counted.clone(), fulfilment));
            let overdue = router.clone();
            tree.task("deadlines", Restart::Permanent, move || {
                actors::cancel_overdue(orders.clone(), overdue.clone(), deadlines)
            });
            if log.shares_work() {
                let (book, log) = (book.clone(), log.clone());
                tree.task("price-book", Restart::Permanent, move || book::follow(book.clone(), log.clone()));
            }
            let to_book = ToBook { book, pool: pool.clone(), committer };
            let spec = |topic| ConsumerSpec::new(NAME, topic);
            consumer::start(
                &tree,
                "consume-catalog",
                spec(Topic::Catalog),
                pool.clone(),
                log.clone(),
                move || to_book.clone(),
            );
            for (name, topic) in
                [("consume-inventory", Topic::Inventory), ("consume-payments", Topic::Payments)]
            {
                let to_orders = ToOrders { router: router.clone() };
                consumer::start(&tree, name, spec(topic), pool.clone(), log.clone(), move || {
                    to_orders.clone()
                });
            }
            Ok(())
        }
    });
    Ok(Running { name: NAME, health, http, supervisor, database })
}
