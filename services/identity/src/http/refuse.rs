//! The one place where this service's errors become HTTP problems.

use std::time::Duration;

use viscount_chassis::problem::Problem;

use crate::{error::IdentityError, keys::KeyError, passwords::PasswordsError};

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::EmailTaken => Problem::conflict(
                "email-taken",
                "E-mail address is taken",
                "this e-mail address has an account already",
            ),
            IdentityError::WrongCredentials => unauthorized("invalid-credentials", "Login failed", &error),
            IdentityError::InvalidGrant => unauthorized("invalid-grant", "The token is not good", &error),
            IdentityError::InvalidClient => unauthorized("invalid-client", "Unknown client", &error),
            IdentityError::Passwords(PasswordsError::Busy) => {
                Problem::unavailable("too many logins and registrations at once", Duration::from_secs(2))
            }
            IdentityError::Passwords(PasswordsError::Failed) => {
                tracing::error!("a password could not be hashed or checked");
                Problem::internal()
            }
            IdentityError::Keys(error) => of_keys(&error),
            IdentityError::Sql(error) => error.into(),
            IdentityError::Commit(error) => error.into(),
        }
    }
}

/// A problem of our own keys. The path in it is for the log alone.
pub fn of_keys(error: &KeyError) -> Problem {
    tracing::error!(%error, "signing keys cannot be used");
    Problem::internal()
}

/// 401 with the challenge that RFC 9110 demands.
fn unauthorized(slug: &str, title: &'static str, error: &IdentityError) -> Problem {
    let mut problem = Problem::unauthorized(error.to_string());
    problem.kind = format!("/problems/{slug}").into();
    problem.title = title.into();
    problem
}
