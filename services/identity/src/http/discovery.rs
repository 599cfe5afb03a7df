//! `GET /.well-known/…`: where things are, and the public keys. Both are there before the database is.

use actix_web::{HttpRequest, HttpResponse, http::header, web::Data};
use serde::Serialize;
use utoipa::ToSchema;

use super::state::Api;

/// How long the keys may be cached. The next key is published long before it signs.
const KEYS_FRESH: &str = "public, max-age=60";

/// What this server offers (OpenID Connect Discovery 1.0, RFC 8414).
#[derive(Serialize, ToSchema)]
#[schema(as = ServerMetadata)]
pub struct Configuration {
    /// The `iss` of tokens.
    issuer: String,
    /// Where tokens are given out.
    token_endpoint: String,
    /// Where they are taken back.
    revocation_endpoint: String,
    /// The public keys.
    jwks_uri: String,
    /// What a client may ask for.
    #[schema(value_type = Vec<String>)]
    grant_types_supported: [&'static str; 2],
    /// None: there is no authorization endpoint.
    #[schema(value_type = Vec<String>)]
    response_types_supported: [&'static str; 0],
    /// How a client authenticates.
    #[schema(value_type = Vec<String>)]
    token_endpoint_auth_methods_supported: [&'static str; 3],
    /// How a client authenticates when it revokes.
    #[schema(value_type = Vec<String>)]
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    /// Every client sees the same subject.
    #[schema(value_type = Vec<String>)]
    subject_types_supported: [&'static str; 1],
    /// How tokens are signed.
    #[schema(value_type = Vec<String>)]
    id_token_signing_alg_values_supported: [&'static str; 1],
    /// The roles.
    #[schema(value_type = Vec<String>)]
    scopes_supported: [&'static str; 3],
    /// What tokens say.
    #[schema(value_type = Vec<String>)]
    claims_supported: [&'static str; 7],
}

/// Where things are.
#[utoipa::path(
    get, path = "/.well-known/openid-configuration", tag = "identity",
    responses((status = 200, description = "What this server offers", body = Configuration))
)]
pub async fn configuration(api: Data<Api>, request: HttpRequest) -> HttpResponse {
    let known = api.public_url.clone().or_else(|| is_url(&api.issuer).then(|| api.issuer.clone()));
    // An answer that repeats the host that was asked must not be cached for others.
    let fresh = if known.is_some() { "public, max-age=3600" } else { "no-store" };
    let base = known.unwrap_or_else(|| {
        let asked = request.connection_info();
        format!("{}://{}", asked.scheme(), asked.host())
    });
    let base = base.trim_end_matches('/');
    const METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "none"];
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, fresh)).json(Configuration {
        issuer: api.issuer.clone(),
        token_endpoint: format!("{base}/oauth2/token"),
        revocation_endpoint: format!("{base}/oauth2/revoke"),
        jwks_uri: format!("{base}/.well-known/jwks.json"),
        grant_types_supported: ["client_credentials", "refresh_token"],
        response_types_supported: [],
        token_endpoint_auth_methods_supported: METHODS,
        revocation_endpoint_auth_methods_supported: METHODS,
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["EdDSA"],
        scopes_supported: ["customer", "admin", "service"],
        claims_supported: ["sub", "roles", "iss", "aud", "exp", "iat", "jti"],
    })
}

fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// The public keys (RFC 7517): of the key that signs, of the next one, and of those whose tokens have not all expired.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "identity",
    responses((status = 200, description = "The keys", body = Object, content_type = "application/jwk-set+json"))
)]
pub async fn keys(api: Data<Api>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/jwk-set+json")
        .insert_header((header::CACHE_CONTROL, KEYS_FRESH))
        .body(api.ring.jwks_json())
}
