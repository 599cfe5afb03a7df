//! Keys and tokens for the tests of every crate: an issuer of one's own, without identity.
#![allow(clippy::expect_used)]

use jiff::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use viscount_contracts::UserId;

use super::{AuthConfig, Claims, JwksSource, Role, Roles, SigningKey, Verifier};

/// The `iss` of a test's tokens.
pub const ISSUER: &str = "https://identity.test";
/// The `aud` of a test's tokens.
pub const AUDIENCE: &str = "viscount-test";

/// An issuer for one test.
#[derive(Debug, Clone)]
pub struct TestIssuer {
    key: SigningKey,
}

impl Default for TestIssuer {
    fn default() -> Self {
        TestIssuer::new()
    }
}

impl TestIssuer {
    /// An issuer with a new key.
    ///
    /// # Panics
    /// When the system has no randomness.
    pub fn new() -> Self {
        let bytes = SigningKey::generate_pkcs8().expect("a new key");
        TestIssuer { key: SigningKey::from_pkcs8(&bytes).expect("a key just made") }
    }

    /// An issuer with this key.
    pub fn with_key(key: SigningKey) -> Self {
        TestIssuer { key }
    }

    /// The key that signs.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The public keys.
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: vec![self.key.public().clone()] }
    }

    /// A verifier that believes this issuer.
    pub fn verifier(&self) -> Verifier {
        self.verifier_from(JwksSource::Static(self.jwks()))
    }

    /// A verifier that believes this issuer's name, with keys from elsewhere.
    pub fn verifier_from(&self, jwks: JwksSource) -> Verifier {
        Verifier::new(AuthConfig { issuer: ISSUER.to_owned(), audience: AUDIENCE.to_owned(), jwks })
    }

    /// Claims that are good for an hour.
    pub fn claims(&self, subject: UserId, roles: impl IntoIterator<Item = Role>) -> Claims {
        let now = Timestamp::now().as_second();
        Claims {
            sub: subject,
            roles: Roles::from_iter(roles),
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            exp: now + 3600,
            iat: now,
            jti: Some(UserId::new().to_string()),
        }
    }

    /// A token that is good for an hour.
    ///
    /// # Panics
    /// When signing fails, which it does not.
    pub fn token(&self, subject: UserId, role: Role) -> String {
        self.sign(&self.claims(subject, [role]))
    }

    /// A token with claims of one's own.
    ///
    /// # Panics
    /// When signing fails, which it does not.
    pub fn sign(&self, claims: &Claims) -> String {
        self.key.sign(claims).expect("a signed token")
    }
}
