//! `POST /oauth2/token`: the token endpoint of RFC 6749 §3.2.

use actix_web::{HttpRequest, HttpResponse, web::Form};
use metrics::counter;
use serde::Deserialize;
use utoipa::ToSchema;
use viscount_chassis::problem::Problem;

use super::{
    login::TokenBody,
    oauth::{OAuthBody, OAuthError, client_of, given},
    state::Desk,
};
use crate::{domain::RefreshToken, metrics as names};

/// What a client asks for. Parameters that are not known are ignored, as the RFC demands.
#[derive(Deserialize, ToSchema)]
pub struct TokenForm {
    /// `client_credentials` or `refresh_token`.
    #[schema(example = "refresh_token")]
    grant_type: Option<String>,
    /// With `refresh_token`: the newest refresh token of the session.
    refresh_token: Option<String>,
    /// With `client_credentials`, when the client does not authenticate with HTTP Basic.
    client_id: Option<String>,
    /// With `client_id`.
    #[schema(format = Password)]
    client_secret: Option<String>,
}

/// Gives tokens to programs (`client_credentials`) and renews sessions (`refresh_token`).
///
/// A refresh token is good for one renewal. One that is shown again ends its session, whoever shows it: a client
/// renews one after the other.
#[utoipa::path(
    post, path = "/oauth2/token", tag = "identity",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Tokens", body = TokenBody),
        (status = 400, description = "invalid_request, invalid_grant or unsupported_grant_type", body = OAuthBody),
        (status = 401, description = "invalid_client", body = OAuthBody),
        (status = 503, description = "The database is away; come again after Retry-After", body = Problem, content_type = "application/problem+json"),
    ),
    security((), ("client" = []))
)]
pub async fn token(
    desk: Desk,
    request: HttpRequest,
    form: Form<TokenForm>,
) -> Result<HttpResponse, OAuthError> {
    let TokenForm { grant_type, refresh_token, client_id, client_secret } = form.into_inner();
    let client = client_of(&request, given(client_id), given(client_secret));
    let grant = given(grant_type);
    // What a client made up must not become a label.
    let label = match grant.as_deref() {
        Some("client_credentials") => "client_credentials",
        Some("refresh_token") => "refresh_token",
        _ => "other",
    };
    let answered = match (client, grant.as_deref()) {
        (Err(error), _) => Err(error),
        (_, None) => Err(OAuthError::InvalidRequest("grant_type is missing")),
        (Ok(client), Some("client_credentials")) => for_itself(&desk, client).await,
        (Ok(client), Some("refresh_token")) => renewed(&desk, client, given(refresh_token)).await,
        (Ok(_), Some(_)) => Err(OAuthError::UnsupportedGrantType),
    };
    let outcome = answered.as_ref().map_or_else(OAuthError::code, |_| "granted");
    counter!(names::TOKENS, "grant" => label, "outcome" => outcome).increment(1);
    answered.map(TokenBody::answer)
}

async fn for_itself(desk: &Desk, client: Option<(String, String)>) -> Result<TokenBody, OAuthError> {
    let (id, secret) = client.ok_or(OAuthError::InvalidClient)?;
    let client = desk.prove(&id, &secret).await?;
    Ok(TokenBody::new(desk.admit(client)?, None, Some(client.roles)))
}

async fn renewed(
    desk: &Desk,
    client: Option<(String, String)>,
    token: Option<String>,
) -> Result<TokenBody, OAuthError> {
    // Sessions belong to nobody's client; but whoever claims to be one must be it.
    if let Some((id, secret)) = client {
        desk.prove(&id, &secret).await?;
    }
    let token = token.ok_or(OAuthError::InvalidRequest("refresh_token is missing"))?;
    let token = RefreshToken::parse(&token).map_err(|_| OAuthError::InvalidGrant)?;
    let (admission, roles) = desk.renew(&token).await?;
    Ok(TokenBody::new(admission.access, Some(&admission.refresh), Some(roles)))
}
