//! The HTTP side of coordination.

mod access;
mod conditional;
mod config;
mod locks;
mod problem;
mod services;
mod wire;
pub mod workflows;

use std::time::Duration;

use actix_web::web::{Data, ServiceConfig, delete, get, post, put};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::{bell::Bell, configurations::Configurations, registry::Registry};

/// How long an answer may take: the longest wait that may be asked for, and the usual time on top.
pub const DEADLINE: Duration = Duration::from_secs(conditional::LONGEST + 10);

/// What handlers need. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    /// What runs.
    pub registry: Registry,
    /// What is set.
    pub configurations: Configurations,
    /// Tells of changes.
    pub bell: Bell,
}

/// The route table.
pub fn routes(app: &mut ServiceConfig, api: &Api) {
    app.app_data(Data::new(api.clone()))
        .route("/v1/services/register", post().to(services::register))
        .route("/v1/services", get().to(services::list))
        .route("/v1/services/{id}", get().to(services::show))
        .route("/v1/services/{id}", delete().to(services::leave))
        .route("/v1/services/{id}/heartbeat", post().to(services::heartbeat))
        .route("/v1/services/{id}/health", get().to(services::health))
        .route("/v1/config/{service}", get().to(config::show))
        .route("/v1/config/{service}", put().to(config::replace))
        .route("/v1/config/{service}/history", get().to(config::history))
        .route("/v1/locks/{name}", get().to(locks::show))
        .route("/v1/locks/{name}", post().to(locks::acquire))
        .route("/v1/locks/{name}", put().to(locks::renew))
        .route("/v1/locks/{name}", delete().to(locks::release));
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Coordination", description = "Which instances run and how they are, live settings, locks."),
    paths(
        services::register,
        services::list,
        services::show,
        services::leave,
        services::heartbeat,
        services::health,
        config::show,
        config::replace,
        config::history,
        locks::show,
        locks::acquire,
        locks::renew,
        locks::release
    ),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// This service's OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.merge(workflows::Document::openapi());
    document
}
