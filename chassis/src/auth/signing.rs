//! A key that signs access tokens: identity's, and the local one of `viscount token`.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey};

use super::{Claims, SignError, sign};

/// An Ed25519 key (EdDSA, RFC 8037). Its name, the `kid`, is its thumbprint (RFC 7638), so that one key has one name
/// wherever it is loaded.
#[derive(Clone)]
pub struct SigningKey {
    key: EncodingKey,
    public: Jwk,
    kid: String,
}

/// A signing key could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system gave no randomness.
    #[error("no key could be made")]
    Generate,
    /// The bytes are no Ed25519 key in PKCS #8, version 1.
    #[error("not an Ed25519 key in PKCS #8: {0}")]
    Read(#[from] jsonwebtoken::errors::Error),
}

impl SigningKey {
    /// A new key as PKCS #8 bytes, to be kept secret and given to [`SigningKey::from_pkcs8`].
    pub fn generate_pkcs8() -> Result<Vec<u8>, KeyError> {
        let document =
            Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(|_| KeyError::Generate)?;
        Ok(document.as_ref().to_vec())
    }

    /// A key from its PKCS #8 bytes.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, KeyError> {
        let key = EncodingKey::from_ed_der(bytes);
        let mut public = Jwk::from_encoding_key(&key, Algorithm::EdDSA)?;
        let kid = public.thumbprint(ThumbprintHash::SHA256)?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(SigningKey { key, public, kid })
    }

    /// The key's name in the JWKS and in every token it signs.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, as it stands in the JWKS.
    pub fn public(&self) -> &Jwk {
        &self.public
    }

    /// Signs a token.
    pub fn sign(&self, claims: &Claims) -> Result<String, SignError> {
        sign(claims, &self.key, &self.kid, Algorithm::EdDSA)
    }
}

impl fmt::Debug for SigningKey {
    /// Its name alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.kid).finish()
    }
}
