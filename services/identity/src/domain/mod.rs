//! The pure core: what counts as an address, a name, a password, a refresh token, and what a registration is.
//! No I/O, no clock, no database.

mod email;
mod name;
mod password;
mod session;
mod user;

#[cfg(test)]
mod tests;

pub use email::{EmailAddress, EmailError};
pub use name::{DisplayName, NameError};
pub use password::{Password, PasswordError, PasswordHash};
pub use session::{Lifetimes, RefreshToken, SessionId, TokenHash, UnreadableToken};
pub use user::{NewUser, RolesText};
