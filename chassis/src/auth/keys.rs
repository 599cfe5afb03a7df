//! The public keys that we believe, out of a JWKS (RFC 7517).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};

/// A clock that differs by more than this is wrong.
pub(super) const LEEWAY_SECONDS: u64 = 5;

/// More keys than this in one set are not identity's.
const MAX_KEYS: usize = 64;

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

/// The keys in force, by `kid`.
#[derive(Default)]
pub(super) struct KeySet {
    keys: HashMap<String, Arc<Key>>,
}

/// One key, with the rules for tokens that it signs.
pub(super) struct Key {
    /// Differs from key to key, also when a new key takes over an old name: verdicts remember it.
    pub serial: u64,
    pub algorithm: Algorithm,
    pub decoding: DecodingKey,
    pub validation: Validation,
    material: Material,
}

/// What makes two keys the same.
#[derive(PartialEq, Eq)]
struct Material(Algorithm, String, String);

impl KeySet {
    pub fn get(&self, kid: &str) -> Option<&Arc<Key>> {
        self.keys.get(kid)
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The next set. A key that is still in it keeps its serial, so that verdicts in the cache stay good.
    /// What is no signature key of an algorithm that we accept is skipped: a set may hold keys for others.
    pub fn next(&self, set: &JwkSet, issuer: &str, audience: &str) -> KeySet {
        let keys = set
            .keys
            .iter()
            .filter_map(|jwk| {
                let kid = jwk.common.key_id.as_ref()?;
                let material = material(jwk)?;
                if let Some(known) = self.keys.get(kid).filter(|known| known.material == material) {
                    return Some((kid.clone(), Arc::clone(known)));
                }
                let decoding = DecodingKey::from_jwk(jwk).ok()?;
                let algorithm = material.0;
                let validation = rules(algorithm, issuer, audience);
                let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
                Some((kid.clone(), Arc::new(Key { serial, algorithm, decoding, validation, material })))
            })
            .take(MAX_KEYS)
            .collect();
        KeySet { keys }
    }
}

/// The algorithm follows from the key, never from the token: what a token claims can at most agree.
fn material(jwk: &Jwk) -> Option<Material> {
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Some(Material(Algorithm::EdDSA, key.x.clone(), String::new()))
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Some(Material(Algorithm::ES256, key.x.clone(), key.y.clone()))
        }
        _ => None,
    }
}

/// The library's defaults are lax (leeway 60 s, `nbf` unchecked, a missing `aud` passes): everything is said here.
fn rules(algorithm: Algorithm, issuer: &str, audience: &str) -> Validation {
    let mut rules = Validation::new(algorithm);
    rules.leeway = LEEWAY_SECONDS;
    rules.validate_exp = true;
    rules.validate_nbf = true;
    rules.validate_aud = true;
    rules.set_audience(&[audience]);
    rules.set_issuer(&[issuer]);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    rules
}
