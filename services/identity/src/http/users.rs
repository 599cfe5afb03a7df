//! `POST /v1/users`, `GET /v1/users/me`.

use actix_web::{HttpResponse, http::header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use viscount_chassis::{
    auth::Role,
    http::{Body, Caller},
    problem::Problem,
};
use viscount_contracts::UserId;

use super::state::Desk;
use crate::{
    domain::{DisplayName, EmailAddress, Password},
    identity::Registration,
    store::Profile,
};

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// Unique, whatever its case.
    #[schema(example = "ada@example.com", max_length = 254)]
    email: String,
    /// 8 to 128 characters, any.
    #[schema(format = Password, min_length = 8, max_length = 128)]
    password: String,
    /// 1 to 100 characters.
    #[schema(example = "Ada Lovelace", min_length = 1, max_length = 100)]
    name: String,
}

/// A user, as they see themselves.
#[derive(Serialize, ToSchema)]
pub struct UserBody {
    /// The subject of their tokens.
    #[schema(value_type = String, format = Uuid)]
    id: UserId,
    /// As they wrote it.
    email: String,
    /// What they are called.
    name: String,
    /// What they may do.
    roles: Vec<Role>,
}

impl From<Profile> for UserBody {
    fn from(profile: Profile) -> Self {
        let Profile { id, email, name, roles } = profile;
        Self { id, email, name, roles: roles.iter().collect() }
    }
}

impl NewAccount {
    /// All that is wrong at once, so that a form can show it.
    fn parse(self) -> Result<Registration, Problem> {
        let (email, name) = (EmailAddress::parse(&self.email), DisplayName::parse(&self.name));
        match (email, name, Password::choose(self.password)) {
            (Ok(email), Ok(name), Ok(password)) => Ok(Registration { email, name, password }),
            (email, name, password) => {
                let faults = [
                    ("/email", email.err().map(|fault| fault.to_string())),
                    ("/password", password.err().map(|fault| fault.to_string())),
                    ("/name", name.err().map(|fault| fault.to_string())),
                ];
                let problem = Problem::unprocessable("the account cannot be made like this");
                Err(faults.into_iter().fold(problem, |problem, (pointer, fault)| match fault {
                    Some(fault) => problem.with_error(pointer, fault),
                    None => problem,
                }))
            }
        }
    }
}

/// Makes an account. Whoever registers is a customer.
#[utoipa::path(
    post, path = "/v1/users", tag = "identity", request_body = NewAccount,
    responses(
        (status = 201, description = "Registered", body = UserBody),
        (status = 400, description = "Not parseable", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The e-mail address is taken", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Well-formed but refused", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too much at once, or the database is away; come again after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn register(desk: Desk, body: Body<NewAccount>) -> Result<HttpResponse, Problem> {
    let profile = desk.register(body.into_inner().parse()?).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, "/v1/users/me"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(UserBody::from(profile)))
}

/// The caller.
#[utoipa::path(
    get, path = "/v1/users/me", tag = "identity",
    responses(
        (status = 200, description = "The caller", body = UserBody),
        (status = 401, description = "No token, or not a good one", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The token belongs to no user, but to a program, say", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub async fn me(desk: Desk, caller: Caller) -> Result<HttpResponse, Problem> {
    let profile = desk.users.profile(caller.subject).await?.ok_or_else(|| Problem::not_found("user"))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .json(UserBody::from(profile)))
}
