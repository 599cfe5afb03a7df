//! One key: made, written as PKCS#8 in PEM (RFC 7468, RFC 8410), read back, and signing.

use std::fmt;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{
    Algorithm, EncodingKey,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use viscount_chassis::auth::{Claims, sign};

use super::{KeyError, Kid};

/// A key with its private half.
#[derive(Clone)]
pub(super) struct SigningKey {
    kid: Kid,
    private: EncodingKey,
    public: Jwk,
}

impl SigningKey {
    /// A new key.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Crypto)?;
        let document = pair.to_pkcs8v1().map_err(|_| KeyError::Crypto)?;
        Self::new(EncodingKey::from_ed_der(document.as_ref())).ok_or(KeyError::Crypto)
    }

    /// Reads a PEM file's text; `None` when it holds no Ed25519 key.
    pub fn from_pem(pem: &[u8]) -> Option<Self> {
        Self::new(EncodingKey::from_ed_pem(pem).ok()?)
    }

    fn new(private: EncodingKey) -> Option<Self> {
        let mut public = Jwk::from_encoding_key(&private, Algorithm::EdDSA).ok()?;
        // The name follows from the key (RFC 7638): a file under a wrong name is noticed.
        let kid = public.thumbprint(ThumbprintHash::SHA256).ok()?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Some(Self { kid: Kid::from_thumbprint(kid), private, public })
    }

    /// The file's text.
    pub fn to_pem(&self) -> String {
        let body = STANDARD.encode(self.private.as_bytes());
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        let mut rest = body.as_str();
        while !rest.is_empty() {
            let (line, others) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = others;
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        pem
    }

    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    pub fn public(&self) -> &Jwk {
        &self.public
    }

    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        Ok(sign(claims, &self.private, self.kid.as_str(), Algorithm::EdDSA)?)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}
