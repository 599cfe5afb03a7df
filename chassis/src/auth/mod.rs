//! Who is calling: roles, principals, and the check of access tokens.
//!
//! Identity signs JSON Web Tokens (RFC 7519); everybody else holds its public keys (a JWKS, RFC 7517) and checks for
//! themselves: the gateway at the door, and every service once more. A signature costs 50–100 µs of CPU, as much as
//! half an order's work in the database, so a [`Verifier`] remembers its verdict until the token expires or its key is
//! withdrawn.

mod claims;
mod error;
mod keys;
mod principal;
mod refresh;
mod role;
mod signing;
pub mod testing;
#[cfg(test)]
mod tests;
mod verifier;

pub use claims::{Claims, SignError, sign};
pub use error::AuthError;
pub use principal::{Caller, MaybeCaller, Principal, bearer};
pub use role::{Role, Roles, UnknownRole};
pub use signing::{KeyError, SigningKey};
pub use verifier::{AuthConfig, JwksSource, Verifier};
