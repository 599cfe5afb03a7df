//! The HTTP side of inventory.

mod adjust;
mod problem;
mod reservations;
mod staff;
mod stock;
mod wire;

use std::{sync::Arc, time::Duration};

use actix_web::web::{self, ServiceConfig, get, post};
use sqlx::PgPool;
use utoipa::OpenApi;
use viscount_actors::Router;
use viscount_chassis::idempotency::Idempotency;
use viscount_contracts::ProductId;

use crate::{
    actors::{Desk, StockActor},
    domain::Balance,
    store::Loader,
};

/// What the handlers work with.
pub struct Api {
    /// Where reservations are made and ended.
    pub desk: Desk,
    /// The products, alive.
    pub router: Router<StockActor>,
    /// The products, for reading.
    pub balances: Loader<ProductId, Balance>,
    /// Lists.
    pub pool: PgPool,
    /// Answers given before.
    pub idempotency: Idempotency,
    /// What counts as little.
    pub low_stock: u32,
    /// How long a reservation is kept that does not say how long.
    pub reservation_ttl: Duration,
}

/// The route table.
pub fn routes(app: &mut ServiceConfig, api: &Arc<Api>) {
    app.app_data(web::Data::from(api.clone()))
        .route("/v1/inventory/adjust", post().to(adjust::adjust))
        .route("/v1/inventory/reserve", post().to(reservations::reserve))
        .route("/v1/inventory/release", post().to(reservations::release))
        .route("/v1/inventory/low-stock", get().to(stock::low_stock))
        .route("/v1/inventory/{product_id}", get().to(stock::show))
        .route("/v1/inventory/{product_id}/movements", get().to(stock::movements));
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Inventory",
        description = "Stock per product and location, reservations, the ledger of movements."
    ),
    paths(
        stock::show,
        stock::low_stock,
        stock::movements,
        adjust::adjust,
        reservations::reserve,
        reservations::release,
    ),
    components(schemas(
        wire::StockBody,
        wire::LevelBody,
        wire::LowStockBody,
        wire::MovementBody,
        wire::ReservationBody,
        wire::LineBody,
    ))
)]
struct Document;

/// This service's OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
