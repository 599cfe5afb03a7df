//! `POST /oauth2/revoke`: logging out, by RFC 7009.

use actix_web::{HttpRequest, HttpResponse, http::header, web::Form};
use serde::Deserialize;
use utoipa::ToSchema;
use viscount_chassis::problem::Problem;

use super::{
    oauth::{OAuthBody, OAuthError, client_of, given},
    state::Desk,
};
use crate::domain::RefreshToken;

/// The token that shall be good no more.
#[derive(Deserialize, ToSchema)]
pub struct RevokeForm {
    /// A refresh token; any of its session will do.
    token: Option<String>,
    /// Not needed: `refresh_token`.
    #[allow(dead_code, reason = "part of the protocol; we tell the kinds apart by themselves")]
    token_type_hint: Option<String>,
    /// When the client authenticates in the form.
    client_id: Option<String>,
    /// With `client_id`.
    #[schema(format = Password)]
    client_secret: Option<String>,
}

/// Ends a session. Also fine for a token that is good no more, or never was.
#[utoipa::path(
    post, path = "/oauth2/revoke", tag = "identity",
    request_body(content = RevokeForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token is good no more"),
        (status = 400, description = "invalid_request, or unsupported_token_type for an access token", body = OAuthBody),
        (status = 401, description = "invalid_client", body = OAuthBody),
        (status = 503, description = "The database is away; come again after Retry-After", body = Problem, content_type = "application/problem+json"),
    ),
    security((), ("client" = []))
)]
pub async fn revoke(
    desk: Desk,
    request: HttpRequest,
    form: Form<RevokeForm>,
) -> Result<HttpResponse, OAuthError> {
    let RevokeForm { token, client_id, client_secret, .. } = form.into_inner();
    if let Some((id, secret)) = client_of(&request, given(client_id), given(client_secret))? {
        desk.prove(&id, &secret).await?;
    }
    let token = given(token).ok_or(OAuthError::InvalidRequest("token is missing"))?;
    if let Ok(token) = RefreshToken::parse(&token) {
        desk.log_out(&token).await?;
    } else if token.bytes().filter(|byte| *byte == b'.').count() == 2 {
        // Three parts: an access token. Saying 200 would promise what we cannot keep (RFC 7009 §2.2.1).
        return Err(OAuthError::UnsupportedTokenType);
    }
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).finish())
}
