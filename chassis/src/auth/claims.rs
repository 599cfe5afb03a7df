//! What an access token says, and how it is signed. Used by identity, and by `viscount token` with the local key.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use viscount_contracts::UserId;

use super::Roles;

/// The claims of an access token (RFC 7519 §4.1, and our `roles`). Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Whom it speaks for.
    pub sub: UserId,
    /// What that one may do.
    #[serde(default)]
    pub roles: Roles,
    /// Who signed it.
    pub iss: String,
    /// Whom it is meant for.
    pub aud: String,
    /// Until when it is good.
    pub exp: i64,
    /// When it was made.
    pub iat: i64,
    /// Its own id, for an audit or a block list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Verifiers accept EdDSA and ES256 alone.
    #[error("tokens are signed with EdDSA or ES256, not with {0:?}")]
    Algorithm(Algorithm),
    /// The key does not fit the algorithm.
    #[error("token could not be signed: {0}")]
    Key(#[from] jsonwebtoken::errors::Error),
}

/// Signs a token. `kid` names the key in the JWKS; a token without it is refused by every verifier.
pub fn sign(claims: &Claims, key: &EncodingKey, kid: &str, alg: Algorithm) -> Result<String, SignError> {
    if !matches!(alg, Algorithm::EdDSA | Algorithm::ES256) {
        return Err(SignError::Algorithm(alg));
    }
    let mut header = Header::new(alg);
    header.kid = Some(kid.to_owned());
    Ok(jsonwebtoken::encode(&header, claims, key)?)
}
