//! Who may ask. A handler with one of these in its signature cannot forget it.

use std::{ops::Deref, sync::Arc};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::{FutureExt, future::LocalBoxFuture};
use viscount_chassis::{
    auth::{Principal, Role},
    http::Caller,
    problem::Problem,
};

/// Extractor for an administrator or another process of the platform: 401 without a good token, 403 without the role.
pub struct Staff;

/// Extractor for an administrator: 401 without a good token, 403 without the role.
pub struct Admin(Arc<Principal>);

impl Deref for Admin {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl FromRequest for Staff {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload);
        caller.map(|caller| caller?.require_any(&[Role::Admin, Role::Service]).map(|()| Staff)).boxed_local()
    }
}

impl FromRequest for Admin {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        Caller::from_request(request, payload)
            .map(|caller| {
                let Caller(principal) = caller?;
                principal.require(Role::Admin)?;
                Ok(Admin(principal))
            })
            .boxed_local()
    }
}
