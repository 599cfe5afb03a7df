//! Whom we believe a caller to be, and the extractors that say so in a handler's signature.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::{Either, LocalBoxFuture};
use jiff::Timestamp;
use metrics::counter;
use viscount_contracts::UserId;

use super::verifier::UnknownKey;
use super::{AuthError, Role, Roles, Verifier};
use crate::problem::Problem;

/// A caller whose token was good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub subject: UserId,
    /// What they may do.
    pub roles: Roles,
    /// The token's own id, when it has one.
    pub token_id: Option<String>,
    /// Until when the token is good.
    pub expires_at: Timestamp,
}

impl Principal {
    /// True when the caller has the role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.has(role)
    }

    /// 403 unless the caller has the role.
    pub fn require(&self, role: Role) -> Result<(), Problem> {
        self.require_any(&[role])
    }

    /// 403 unless the caller has one of the roles.
    pub fn require_any(&self, roles: &[Role]) -> Result<(), Problem> {
        if roles.iter().any(|role| self.has(*role)) {
            return Ok(());
        }
        let names: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
        Err(Problem::forbidden(format!("this needs the role {}", names.join(" or "))))
    }

    /// True for who runs the shop.
    pub fn is_admin(&self) -> bool {
        self.has(Role::Admin)
    }
}

/// Extractor for a route that needs a caller: 401 without a good token.
#[derive(Debug, Clone)]
pub struct Caller(pub Arc<Principal>);

/// Extractor for a public route that serves a known caller differently. No token is fine, a bad one is still 401.
///
/// Not `Option<Caller>`: actix turns every failure of an extractor inside `Option` into `None`, and a client whose
/// token has expired would silently be served as a stranger.
#[derive(Debug, Clone)]
pub struct MaybeCaller(pub Option<Arc<Principal>>);

impl Deref for Caller {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl Deref for MaybeCaller {
    type Target = Option<Arc<Principal>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The token in an `Authorization` header (RFC 6750 §2.1).
pub fn bearer(authorization: &[u8]) -> Result<&str, AuthError> {
    let text = std::str::from_utf8(authorization).map_err(|_| AuthError::Malformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(AuthError::Malformed)?;
    let token = token.trim();
    let sane = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if scheme.eq_ignore_ascii_case("bearer") && sane { Ok(token) } else { Err(AuthError::Malformed) }
}

/// A verdict that is there at once, or one that waits for identity's keys.
type Verdict = Either<
    Ready<Result<Arc<Principal>, AuthError>>,
    LocalBoxFuture<'static, Result<Arc<Principal>, AuthError>>,
>;

fn identify(request: &HttpRequest) -> Verdict {
    let at_once = |verdict| Either::Left(ready(verdict));
    let mut fields = request.headers().get_all(header::AUTHORIZATION);
    let Some(field) = fields.next() else { return at_once(Err(AuthError::Missing)) };
    if fields.next().is_some() {
        return at_once(Err(AuthError::Malformed));
    }
    let token = match bearer(field.as_bytes()) {
        Ok(token) => token,
        Err(error) => return at_once(Err(error)),
    };
    // A service that serves routes but was given no verifier believes nobody.
    let Some(verifier) = request.app_data::<Verifier>() else {
        return at_once(Err(AuthError::KeysUnavailable));
    };
    match verifier.attempt(token, Timestamp::now().as_second()) {
        Ok(verdict) => at_once(verdict),
        Err(UnknownKey) => {
            let (verifier, token) = (verifier.clone(), token.to_owned());
            Either::Right(Box::pin(async move { verifier.verify_fresh(&token).await }))
        }
    }
}

fn refused(error: AuthError) -> Problem {
    counter!(crate::metrics::AUTH_REFUSED_TOTAL, "reason" => error.label()).increment(1);
    error.into()
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future =
        futures_util::future::Map<Verdict, fn(Result<Arc<Principal>, AuthError>) -> Result<Caller, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        use futures_util::FutureExt;
        identify(request).map(|verdict| verdict.map(Caller).map_err(refused))
    }
}

impl FromRequest for MaybeCaller {
    type Error = Problem;
    type Future = futures_util::future::Map<
        Verdict,
        fn(Result<Arc<Principal>, AuthError>) -> Result<MaybeCaller, Problem>,
    >;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        use futures_util::FutureExt;
        identify(request).map(|verdict| match verdict {
            Ok(principal) => Ok(MaybeCaller(Some(principal))),
            Err(AuthError::Missing) => Ok(MaybeCaller(None)),
            Err(error) => Err(refused(error)),
        })
    }
}
