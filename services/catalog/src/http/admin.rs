//! Who may change the catalogue.

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::{FutureExt, future::LocalBoxFuture};
use viscount_chassis::{auth::Role, http::Caller, problem::Problem};

/// Extractor for routes that change something: 401 without a good token, 403 without the role. A handler that has one
/// cannot forget to ask.
pub struct Admin;

impl FromRequest for Admin {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload);
        caller.map(|caller| caller?.require(Role::Admin).map(|()| Admin)).boxed_local()
    }
}
