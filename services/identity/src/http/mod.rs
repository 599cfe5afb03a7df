//! The HTTP side of identity: the route table on one screen.

mod discovery;
mod login;
mod oauth;
mod ops;
mod refuse;
mod revoke;
mod state;
mod token;
mod users;

use actix_web::web::{self, ServiceConfig, get, post};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

pub use state::Api;

/// The route table.
pub fn routes(app: &mut ServiceConfig, api: &Api) {
    app.app_data(web::Data::new(api.clone()))
        .app_data(oauth::form_config())
        .route("/v1/users", post().to(users::register))
        .route("/v1/users/me", get().to(users::me))
        .route("/v1/auth/login", post().to(login::log_in))
        .route("/oauth2/token", post().to(token::token))
        .route("/oauth2/revoke", post().to(revoke::revoke))
        .route("/.well-known/openid-configuration", get().to(discovery::configuration))
        .route("/.well-known/jwks.json", get().to(discovery::keys))
        .route("/v1/ops/keys/rotate", post().to(ops::rotate));
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Identity", description = "Users, access tokens and the keys behind them."),
    paths(
        users::register, users::me, login::log_in, token::token, revoke::revoke, discovery::configuration,
        discovery::keys, ops::rotate,
    ),
    components(schemas(oauth::OAuthBody)),
    modifiers(&Schemes)
)]
struct Document;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let scheme = |scheme| SecurityScheme::Http(HttpBuilder::new().scheme(scheme).build());
        components.add_security_scheme("bearer", scheme(HttpAuthScheme::Bearer));
        components.add_security_scheme("client", scheme(HttpAuthScheme::Basic));
    }
}

/// This service's OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
