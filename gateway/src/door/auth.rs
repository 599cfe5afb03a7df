//! Who may pass. Deny by default; the service behind checks the same token again.

use std::sync::Arc;

use http::Request;
use http::header::AUTHORIZATION;
use viscount_chassis::auth::{AuthError, Principal, Verifier, bearer};

use crate::refusal::Refusal;
use crate::routes::Access;

/// Checks a request against a route's rule: who asks, when that is known.
pub(super) async fn admit<B>(
    verifier: &Verifier,
    access: Access,
    request: &Request<B>,
) -> Result<Option<Arc<Principal>>, Refusal> {
    let token = token(request);
    Ok(match access {
        // A bad token on a public route makes a stranger, not a refusal: log-in must work with a stale one. The
        // known keys decide; a stranger's token is not worth asking identity for new ones.
        Access::Public => token.ok().and_then(|token| verifier.verify(token).ok()),
        Access::AuthenticatedOrTicket
            if token == Err(AuthError::Missing) && has_ticket(request.uri().query()) =>
        {
            None
        }
        Access::Authenticated | Access::AuthenticatedOrTicket => Some(verify(verifier, token).await?),
        Access::Roles(roles) => {
            let principal = verify(verifier, token).await?;
            if !roles.iter().any(|role| principal.has(*role)) {
                return Err(Refusal::Forbidden);
            }
            Some(principal)
        }
    })
}

async fn verify(verifier: &Verifier, token: Result<&str, AuthError>) -> Result<Arc<Principal>, Refusal> {
    verifier.verify_fresh(token.map_err(Refusal::Unauthenticated)?).await.map_err(Refusal::Unauthenticated)
}

/// The one bearer token. Two `Authorization` fields could be read two ways.
fn token<B>(request: &Request<B>) -> Result<&str, AuthError> {
    let mut fields = request.headers().get_all(AUTHORIZATION).iter();
    let field = fields.next().ok_or(AuthError::Missing)?;
    if fields.next().is_some() {
        return Err(AuthError::Malformed);
    }
    bearer(field.as_bytes())
}

fn has_ticket(query: Option<&str>) -> bool {
    query.is_some_and(|query| {
        query.split('&').any(|pair| pair.strip_prefix("ticket=").is_some_and(|ticket| !ticket.is_empty()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_ticket_is_not_empty() {
        assert!(has_ticket(Some("after=3&ticket=abc")));
        assert!(!has_ticket(Some("ticket=")) && !has_ticket(Some("aticket=x")) && !has_ticket(None));
    }

    #[test]
    fn two_authorizations_are_none() {
        let request = |values: &[&str]| {
            let builder = values
                .iter()
                .fold(Request::builder(), |builder, value| builder.header(AUTHORIZATION, *value));
            builder.body(()).unwrap()
        };
        assert_eq!(token(&request(&["Bearer a"])), Ok("a"));
        assert_eq!(token(&request(&["Bearer a", "Bearer a"])), Err(AuthError::Malformed));
        assert_eq!(token(&request(&["Basic a"])), Err(AuthError::Malformed));
        assert_eq!(token(&request(&[])), Err(AuthError::Missing));
    }
}
