//! The HTTP side of orders.

mod change;
mod create;
mod owned;
mod problem;
mod read;
mod stream;
mod tickets;
mod wire;

use std::{sync::Arc, time::Duration};

use actix_web::web::{self, ServiceConfig, get, post};
use utoipa::OpenApi;
use viscount_actors::Router;
use viscount_chassis::{idempotency::Idempotency, store::EventStore};

pub use tickets::Tickets;

use crate::{actors::OrderActor, book::PriceBook, store::Orders, stream::StreamHub};

/// How long a handler waits for an order's answer.
const ASK: Duration = Duration::from_secs(9);

/// What the handlers work with.
pub struct Api {
    /// The orders, alive.
    pub router: Router<OrderActor>,
    /// The orders, for reading.
    pub orders: Orders,
    /// Their events.
    pub store: EventStore,
    /// What things cost.
    pub book: PriceBook,
    /// Who watches.
    pub hub: StreamHub,
    /// Answers given before.
    pub idempotency: Idempotency,
    /// One-time admissions to streams.
    pub tickets: Tickets,
}

/// The route table.
pub fn routes(app: &mut ServiceConfig, api: &Arc<Api>) {
    app.app_data(web::Data::from(api.clone()))
        .route("/v1/orders", post().to(create::create))
        .route("/v1/orders", get().to(read::list))
        .route("/v1/orders/{id}", get().to(read::show))
        .route("/v1/orders/{id}/events", get().to(read::events))
        .route("/v1/orders/{id}/cancel", post().to(change::cancel))
        .route("/v1/orders/{id}/refund", post().to(change::refund))
        .route("/v1/orders/{id}/stream", get().to(stream::stream))
        .route("/v1/orders/{id}/stream-ticket", post().to(stream::ticket));
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Orders", description = "The order's life, its history and its live stream."),
    paths(
        create::create,
        read::list,
        read::show,
        read::events,
        change::cancel,
        change::refund,
        stream::stream,
        stream::ticket,
    ),
    components(schemas(wire::OrderBody, wire::EventBody))
)]
struct Document;

/// This service's OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
