//! The HTTP side of payments: reading what is known, and taking what the provider tells.

mod payments;
mod view;
mod webhooks;

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig, get, post};
use sqlx::PgPool;
use utoipa::OpenApi;
use viscount_actors::Router;

use crate::{
    actors::PaymentActor,
    provider::{EarlyAnswers, signature::Secret},
};

/// What the handlers work with.
pub struct Api {
    /// The projections.
    pub pool: PgPool,
    /// The payments, alive.
    pub router: Router<PaymentActor>,
    /// Those who wait for the provider right now.
    pub early: EarlyAnswers,
    /// What the provider signs with.
    pub webhook_secret: Secret,
}

/// The route table.
pub fn routes(app: &mut ServiceConfig, api: &Arc<Api>) {
    app.app_data(web::Data::from(api.clone()))
        .route("/v1/payments", get().to(payments::of_order))
        .route("/v1/payments/{id}", get().to(payments::show))
        .route("/v1/payments/webhooks/{provider}", post().to(webhooks::take));
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Payments", description = "Authorisations, captures and refunds; the provider's webhooks."),
    paths(payments::of_order, payments::show, webhooks::take),
    components(schemas(view::PaymentView))
)]
struct Document;

/// This service's OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
