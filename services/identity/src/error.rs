//! Why this service refuses, or fails. Where each becomes an HTTP answer: `http/refuse.rs`.

use viscount_chassis::store::CommitError;

use crate::{keys::KeyError, passwords::PasswordsError};

/// A request was refused, or could not be served.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The address belongs to an account already.
    #[error("this e-mail address is taken")]
    EmailTaken,
    /// No such user, or another password. Never say which.
    #[error("e-mail address or password is wrong")]
    WrongCredentials,
    /// The refresh token is unknown, expired, used before, or of an ended session. Never say which.
    #[error("the refresh token is not good")]
    InvalidGrant,
    /// No such program, or another secret. Never say which.
    #[error("client authentication failed")]
    InvalidClient,
    /// The password could not be hashed or checked.
    #[error(transparent)]
    Passwords(#[from] PasswordsError),
    /// The token could not be signed.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The database could not be read.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// The database could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}
