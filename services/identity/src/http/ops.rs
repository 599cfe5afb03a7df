//! `POST /v1/ops/keys/rotate`: a new signing key, at once.

use actix_web::{HttpResponse, http::header, web::Data};
use jiff::Timestamp;
use metrics::counter;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};
use viscount_chassis::{
    auth::Role,
    http::{Caller, Query},
    problem::Problem,
};

use super::{refuse::of_keys, state::Api};
use crate::{
    keys::{Overview, Rotation},
    metrics as names,
};

/// How keys are rotated.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct How {
    /// True when the keys may be in wrong hands: then every token is worthless at once, else none is.
    #[serde(default)]
    compromised: bool,
}

/// The names of the keys.
#[derive(Serialize, ToSchema)]
pub struct KeysBody {
    /// The key that signs.
    current: String,
    /// The key that will sign next.
    next: String,
    /// Keys that sign no more.
    withdrawn: Vec<WithdrawnBody>,
}

/// A key that signs no more.
#[derive(Serialize, ToSchema)]
pub struct WithdrawnBody {
    /// Its name.
    kid: String,
    /// Until when its tokens are believed.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

impl From<Overview> for KeysBody {
    fn from(ring: Overview) -> Self {
        let withdrawn = |(kid, until): (crate::keys::Kid, _)| WithdrawnBody { kid: kid.to_string(), until };
        Self {
            current: ring.current.to_string(),
            next: ring.next.to_string(),
            withdrawn: ring.withdrawn.into_iter().map(withdrawn).collect(),
        }
    }
}

/// Withdraws the signing key; the next one takes over. Tokens signed so far stay good until they expire.
#[utoipa::path(
    post, path = "/v1/ops/keys/rotate", tag = "operations", params(How),
    responses(
        (status = 200, description = "Rotated", body = KeysBody),
        (status = 401, description = "No token, or not a good one", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Not an administrator", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub async fn rotate(api: Data<Api>, caller: Caller, how: Query<How>) -> Result<HttpResponse, Problem> {
    caller.require(Role::Admin)?;
    let (why, reason) = match how.into_inner() {
        How { compromised: true } => (Rotation::Compromised, "compromised"),
        How { compromised: false } => (Rotation::InTurn, "asked"),
    };
    let ring = api.ring.clone();
    let rotated = spawn_blocking(move || ring.rotate(why)).await.map_err(|_| Problem::internal())?;
    let overview = rotated.map_err(|error| of_keys(&error))?;
    api.verifier.install(&api.ring.jwks());
    counter!(names::KEY_ROTATIONS, "reason" => reason).increment(1);
    tracing::info!(key = %overview.current, by = %caller.subject, reason, "signing key rotated");
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(KeysBody::from(overview)))
}
