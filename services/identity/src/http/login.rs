//! `POST /v1/auth/login`.

use actix_web::{HttpResponse, http::header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use viscount_chassis::{auth::Roles, http::Body, problem::Problem};

use super::state::Desk;
use crate::{
    domain::{Password, RefreshToken},
    tokens::AccessToken,
};

/// Who somebody says they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// In whatever case.
    #[schema(example = "ada@example.com")]
    email: String,
    /// Their password.
    #[schema(format = Password)]
    password: String,
}

/// Tokens, in the shape of RFC 6749 §5.1.
#[derive(Serialize, ToSchema)]
pub struct TokenBody {
    /// For the `Authorization` header: `Bearer <access_token>`.
    access_token: String,
    /// Always `Bearer`.
    #[schema(value_type = String, example = "Bearer")]
    token_type: &'static str,
    /// Seconds.
    #[schema(example = 900)]
    expires_in: u64,
    /// Renews the session, once: each renewal brings the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// The roles that were given, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

impl TokenBody {
    /// Tokens as a client gets them.
    pub fn new(access: AccessToken, refresh: Option<&RefreshToken>, scope: Option<Roles>) -> Self {
        let names = |roles: Roles| roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" ");
        Self {
            token_type: "Bearer",
            expires_in: access.life.as_secs(),
            access_token: access.reveal(),
            refresh_token: refresh.map(RefreshToken::reveal),
            scope: scope.map(names),
        }
    }

    /// The answer; never kept by anybody on the way (RFC 6749 §5.1).
    pub fn answer(self) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::PRAGMA, "no-cache"))
            .json(self)
    }
}

/// Opens a session. An unknown address and a wrong password get the same answer after the same work.
#[utoipa::path(
    post, path = "/v1/auth/login", tag = "identity", request_body = Login,
    responses(
        (status = 200, description = "Admitted", body = TokenBody),
        (status = 400, description = "Not parseable", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "E-mail address or password is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Well-formed but refused", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too much at once, or the database is away; come again after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn log_in(desk: Desk, body: Body<Login>) -> Result<HttpResponse, Problem> {
    let Login { email, password } = body.into_inner();
    let admission = desk.log_in(&email, Password::attempt(password)).await?;
    Ok(TokenBody::new(admission.access, Some(&admission.refresh), None).answer())
}
