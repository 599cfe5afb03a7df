//! Who may change stock: administrators and other services. A handler with this in its signature cannot forget it.

use std::{ops::Deref, sync::Arc};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::{FutureExt, future::LocalBoxFuture};
use viscount_chassis::{
    auth::{Principal, Role},
    http::Caller,
    problem::Problem,
};

/// Extractor for a caller with the role `admin` or `service`: 401 without a good token, 403 without the role.
pub struct Staff(Arc<Principal>);

impl Deref for Staff {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl FromRequest for Staff {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        Caller::from_request(request, payload)
            .map(|caller| {
                let Caller(principal) = caller?;
                principal.require_any(&[Role::Admin, Role::Service])?;
                Ok(Staff(principal))
            })
            .boxed_local()
    }
}
