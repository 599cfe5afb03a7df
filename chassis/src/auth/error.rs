//! Why a caller is not believed.

use std::time::Duration;

use ::http::{HeaderValue, header};

use crate::problem::Problem;

/// Why a token does not make a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No token was sent.
    #[error("no access token was sent")]
    Missing,
    /// What was sent is not one bearer token.
    #[error("the Authorization header does not hold one bearer token")]
    Malformed,
    /// A token, but not one that we accept; the reason is safe to show.
    #[error("the access token was refused: {0}")]
    Rejected(&'static str),
    /// It was good once.
    #[error("the access token has expired")]
    Expired,
    /// We hold no keys to check it with: identity has not been reached since we started.
    #[error("access tokens cannot be checked at the moment")]
    KeysUnavailable,
}

impl AuthError {
    /// Every label that there is.
    pub const LABELS: [&str; 5] = ["missing", "malformed", "rejected", "expired", "keys_unavailable"];

    /// The error as a metric label; one of [`LABELS`](Self::LABELS).
    pub const fn label(self) -> &'static str {
        match self {
            AuthError::Missing => "missing",
            AuthError::Malformed => "malformed",
            AuthError::Rejected(_) => "rejected",
            AuthError::Expired => "expired",
            AuthError::KeysUnavailable => "keys_unavailable",
        }
    }
}

impl From<AuthError> for Problem {
    /// 401 with a challenge as RFC 6750 has it; 503 when it is we who cannot check.
    fn from(error: AuthError) -> Self {
        let challenge = match error {
            AuthError::KeysUnavailable => {
                return Problem::unavailable(error.to_string(), Duration::from_secs(1));
            }
            AuthError::Missing => "Bearer",
            AuthError::Malformed => "Bearer error=\"invalid_request\"",
            AuthError::Expired => "Bearer error=\"invalid_token\", error_description=\"expired\"",
            AuthError::Rejected(_) => "Bearer error=\"invalid_token\"",
        };
        Problem::unauthorized(error.to_string())
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }
}

impl From<AuthError> for actix_web::Error {
    fn from(error: AuthError) -> Self {
        Problem::from(error).into()
    }
}
