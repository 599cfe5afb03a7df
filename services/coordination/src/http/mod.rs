//! The HTTP side of coordination.

use std::time::Duration;

use actix_web::web::ServiceConfig;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

/// How long an answer may take: the longest wait that may be asked for, and the usual time on top.
pub const DEADLINE: Duration = Duration::from_secs(40);

/// The route table.
pub fn routes(_app: &mut ServiceConfig) {}

#[derive(OpenApi)]
#[openapi(
    info(title = "Coordination", description = "Which instances run and how they are, live settings, locks."),
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
    Document::openapi()
}
