//! What the handlers work with, and the extractor that hands it out once the service is ready.

use std::{
    future::{Ready, ready},
    ops::Deref,
    time::Duration,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Data};
use viscount_chassis::{auth::Verifier, http::Health, problem::Problem};

use crate::{identity::Identity, keys::KeyRing};

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    /// The service behind the door.
    pub identity: Identity,
    /// The keys; there before the database is.
    pub ring: KeyRing,
    /// Whom this service believes: its own keys, without a detour over the network.
    pub verifier: Verifier,
    /// Whether the database has been brought up to date.
    pub health: Health,
    /// Where clients reach the endpoints, when that is known.
    pub public_url: Option<String>,
    /// The `iss` of tokens.
    pub issuer: String,
}

/// Extractor: the service, for handlers that need its database. 503 until that is there.
pub struct Desk(Data<Api>);

impl Deref for Desk {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0.identity
    }
}

impl FromRequest for Desk {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match request.app_data::<Data<Api>>() {
            Some(api) if api.health.is_set_ready() => Ok(Self(api.clone())),
            _ => Err(Problem::unavailable("the service is starting or stopping", Duration::from_secs(1))),
        })
    }
}
