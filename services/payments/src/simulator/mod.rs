//! A payment provider for development and tests: a real HTTP server in the style of Stripe's test mode.
//!
//! It keeps its own books in its own database, so that a charge it has made is a charge, whoever dies; an auditor
//! compares them with ours (`GET /v1/ledger`). It is reached over the wire only, like the real one.
//!
//! | | |
//! |---|---|
//! | `POST /v1/charges` | `{amount, currency, source, capture?, metadata?}`, `Idempotency-Key` |
//! | `GET /v1/charges?idempotency_key=` | what became of a key |
//! | `POST /v1/refunds` | `{charge, amount, metadata?}`, `Idempotency-Key` |
//! | `GET /v1/refunds?idempotency_key=` | what became of a key |
//! | `GET /v1/ledger?after=&limit=` | every charge and refund, oldest first |
//! | `GET`, `PUT /v1/simulator/faults` | how it misbehaves ([`Faults`]); only where faults may be injected |
//!
//! Test tokens are in [`cards`]. Webhooks go to one configured address, signed, at least once.

mod books;
pub mod cards;
mod charges;
mod config;
mod deliveries;
mod failure;
mod faults;
mod ledger;
mod refunds;

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig, get, post, put};
use sqlx::migrate::Migrator;
use utoipa::OpenApi;
use viscount_actors::Restart;
use viscount_chassis::{
    config::ConfigError,
    http::{Health, HttpSpec},
    service::{Platform, Running, ServiceError},
    store::Database,
};

pub use config::{SimulatorConfig, WebhookTarget};
pub use faults::Faults;

use self::{books::Books, cards::FlakyKeys, deliveries::Deliverer, faults::FaultSwitch};

/// The name under which it runs.
pub const NAME: &str = "payment-simulator";
/// Its usual port.
pub const PORT: u16 = 8089;

/// Its own migrations.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/payment_simulator");

/// What the handlers work with.
struct Bank {
    books: Books,
    faults: FaultSwitch,
    flaky: FlakyKeys,
}

/// Starts it on the current arbiter. It answers at once, and is ready when its database is there.
pub async fn start(config: SimulatorConfig, platform: &Platform) -> Result<Running, ServiceError> {
    let health = Health::new();
    let supervisor = platform.root(NAME, &health);
    let database = Database::lazy(&config.database)?;
    let pool = database.pool().clone();
    let books = Books::start(&supervisor, pool.clone(), config.webhook.is_some());
    let faults = FaultSwitch::new(config.faults);
    let bank = Arc::new(Bank { books: books.clone(), faults, flaky: FlakyKeys::default() });
    let fault_injection = platform.fault_injection;
    let http = viscount_chassis::http::serve(
        HttpSpec {
            service: NAME,
            host: platform.host.clone(),
            port: config.port,
            port_variable: "SIMULATOR_PORT",
            workers: 1,
            verifier: platform.verifier.clone(),
            health: health.clone(),
            openapi: Document::openapi(),
            supervisor: supervisor.clone(),
            dead_letters: None,
            body_limit: 64 * 1024,
            // Some of its answers never come.
            deadline: charges::NEVER * 2,
        },
        move |app| routes(app, &bank, fault_injection),
    )?;
    let deliverer = match config.webhook {
        Some(target) => Some(
            Deliverer::new(pool, books.news(), target)
                .map_err(|error| ConfigError::new("SIMULATOR_WEBHOOK_URL", error.to_string()))?,
        ),
        None => None,
    };
    let tree = supervisor.clone();
    platform.boot(&supervisor, &database, &MIGRATIONS, &health, move || {
        if let Some(deliverer) = deliverer.clone() {
            tree.task("deliver-webhooks", Restart::Permanent, move || deliverer.clone().run());
        }
        std::future::ready(Ok(()))
    });
    Ok(Running { name: NAME, health, http, supervisor, database })
}

fn routes(app: &mut ServiceConfig, bank: &Arc<Bank>, fault_injection: bool) {
    app.app_data(web::Data::from(bank.clone()))
        .route("/v1/charges", post().to(charges::create))
        .route("/v1/charges", get().to(charges::find))
        .route("/v1/refunds", post().to(refunds::create))
        .route("/v1/refunds", get().to(refunds::find))
        .route("/v1/ledger", get().to(ledger::list));
    if fault_injection {
        app.route("/v1/simulator/faults", get().to(faults::show))
            .route("/v1/simulator/faults", put().to(faults::set));
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Payment provider simulator", description = "In the style of Stripe's test mode."),
    paths(
        charges::create,
        charges::find,
        refunds::create,
        refunds::find,
        ledger::list,
        faults::show,
        faults::set,
    )
)]
struct Document;
