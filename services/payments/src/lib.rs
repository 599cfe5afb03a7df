//! Payments: money is taken once for an order, returned once for a refund, and nothing is ever guessed.
//!
//! A payment is an actor around a pure core ([`domain`]). The core says what to ask the provider; the answer, or the
//! fact that there is none, is decided upon and committed together with the ledger and with the event that caused it.
//! A question without an answer becomes a durable deadline and is asked again, under the same key, until it is known.
//!
//! | | |
//! |---|---|
//! | publishes | `payments.events.v1` |
//! | consumes | `orders.events.v1`: OrderValidated, OrderCancelled, OrderRefundRequested |
//! | serves | `/v1/payments…`, `/v1/payments/webhooks/{provider}` |
//!
//! ```text
//! payments
//! ├── committer          the group commit
//! ├── payment            router of payment actors, one for each payment in motion
//! ├── boot               migrates, starts the rest
//! ├── chase-open-calls   asks again what is not known
//! └── consume-orders
//! ```
//!
//! The payment provider of development and tests is in [`simulator`].

mod actors;
mod config;
pub mod domain;
mod explain;
mod http;
mod ingress;
pub mod metrics;
pub mod provider;
mod replay;
pub mod simulator;
mod store;

use std::{sync::Arc, time::Duration};

use sqlx::migrate::Migrator;
use viscount_actors::{Deadline, Overdue, RouterSpec};
use viscount_chassis::{
    config::ConfigError,
    consumer::{self, ConsumerSpec},
    explain::Explain,
    http::{Health, HttpSpec},
    service::{Platform, Running, ServiceError},
    store::{Committer, CommitterSpec, Database, EventStore},
};
use viscount_contracts::Topic;

pub use config::Config;
pub use replay::projections;

use crate::{
    actors::{Chaser, ChaserSpec, Nudge, PaymentActor, PaymentEnv, PaymentEnvInner},
    http::Api,
    ingress::ToPayments,
    provider::{EarlyAnswers, Provider},
    store::PaymentsWriter,
};

/// The domain's events as they are stored and published, and back.
pub mod codec {
    pub use crate::store::codec::{encode, restore};
}

/// Which events of others mean what to a payment.
pub mod subscription {
    pub use crate::ingress::{is_fresh, route};
}

/// The service's name.
pub const NAME: &str = "payments";

/// How long a payment stays alive without being asked: most are asked once.
const IDLE: Duration = Duration::from_secs(5);

/// The service's own migrations.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/payments");

/// Starts the service on the current arbiter. It answers at once, and is ready when its database is there.
pub async fn start(config: Config, platform: &Platform) -> Result<Running, ServiceError> {
    viscount_chassis::telemetry::metrics::begin(NAME, metrics::ALL, metrics::CLOSED);
    let provider = Provider::new(&config.provider)
        .map_err(|error| ConfigError::new("PAYMENTS_PROVIDER_URL", error.to_string()))?;
    let health = Health::new();
    let supervisor = platform.root(NAME, &health);
    let provider = provider.with_faults(supervisor.faults());
    let database = Database::lazy(&config.database)?;
    let pool = database.pool().clone();
    let store = EventStore::new(Topic::Payments, pool.clone());
    let publisher = platform.log.publisher(store.clone());
    let committer = Committer::start(
        &supervisor,
        store.clone(),
        pool.clone(),
        publisher,
        PaymentsWriter,
        CommitterSpec::default(),
    );

    let early = EarlyAnswers::default();
    let env = PaymentEnv(Arc::new(PaymentEnvInner {
        committer,
        store,
        provider,
        early: early.clone(),
        nudge: Nudge::default(),
        cancel_quiet: config.cancel_quiet,
    }));
    let deadlines = vec![Deadline::of_all(config.handler_deadline, Overdue::Restart)];
    let spec = RouterSpec { idle: IDLE, deadlines, ..RouterSpec::default() };
    let router = supervisor.router::<PaymentActor>(env.clone(), spec);

    let webhook_secret = config.webhook_secret.clone();
    let api = Arc::new(Api { pool: pool.clone(), router: router.clone(), early, webhook_secret });
    let asked = env.clone();
    let explain = Explain::of(NAME, &[Topic::Orders], &pool, &platform.log)
        .breaker(provider::BREAKER, move || asked.0.provider.breaker())
        .noting(explain::notes)
        .build();
    let http = viscount_chassis::http::serve(
        HttpSpec {
            service: NAME,
            host: platform.host.clone(),
            port: config.port,
            port_variable: "PAYMENTS_PORT",
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
        let chaser = Chaser {
            pool: pool.clone(),
            router: router.clone(),
            env: env.clone(),
            spec: ChaserSpec::default(),
        };
        chaser.start(&tree);
        let to_payments = ToPayments { router: router.clone() };
        let spec = ConsumerSpec::new(NAME, Topic::Orders);
        consumer::start(&tree, "consume-orders", spec, pool.clone(), log.clone(), move || {
            to_payments.clone()
        });
        std::future::ready(Ok(()))
    });
    Ok(Running { name: NAME, health, http, supervisor, database })
}
