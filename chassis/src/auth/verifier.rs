//! The check of an access token, and the memory of its verdict.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use moka::sync::Cache;
use parking_lot::RwLock;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use viscount_contracts::UserId;

use super::keys::{Key, KeySet, LEEWAY_SECONDS};
use super::refresh::Refresher;
use super::{AuthError, Principal, Roles};

/// A token longer than this is none of identity's.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// Verdicts kept; the least used go first.
const MAX_VERDICTS: u64 = 50_000;
/// A verdict that nobody asked for in this time is dropped.
const IDLE_VERDICT: Duration = Duration::from_secs(15 * 60);

/// Whose tokens count, and where the keys come from.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// The `iss` of a good token.
    pub issuer: String,
    /// The `aud` of a good token.
    pub audience: String,
    /// Where the keys are.
    pub jwks: JwksSource,
}

/// Where the public keys come from.
#[derive(Debug, Clone)]
pub enum JwksSource {
    /// Identity's JWKS endpoint; [`Verifier::refresh_forever`] must run.
    Url(String),
    /// A fixed set, for tests and single keys.
    Static(JwkSet),
}

/// Checks access tokens. Cheap to clone, shared by all threads.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

struct Inner {
    issuer: String,
    audience: String,
    keys: RwLock<Arc<KeySet>>,
    verdicts: Cache<[u8; 32], Verdict>,
    refresher: Refresher,
}

/// A token that was good, the key that said so, and until when it may be believed without looking again.
#[derive(Clone)]
struct Verdict {
    principal: Arc<Principal>,
    kid: Arc<str>,
    serial: u64,
    expires_at: i64,
}

/// What of the claims is kept; issuer, audience and times are checked by the library.
#[derive(Deserialize)]
struct Kept {
    sub: UserId,
    #[serde(default)]
    roles: Roles,
    exp: i64,
    #[serde(default)]
    jti: Option<String>,
}

impl Verifier {
    /// A verifier. With [`JwksSource::Url`] it knows no keys until [`Verifier::refresh_forever`] has fetched them.
    pub fn new(config: AuthConfig) -> Verifier {
        let AuthConfig { issuer, audience, jwks } = config;
        let (keys, refresher) = match jwks {
            JwksSource::Static(set) => (KeySet::default().next(&set, &issuer, &audience), Refresher::fixed()),
            JwksSource::Url(url) => (KeySet::default(), Refresher::from_url(url)),
        };
        let verdicts = Cache::builder().max_capacity(MAX_VERDICTS).time_to_idle(IDLE_VERDICT).build();
        Verifier {
            inner: Arc::new(Inner {
                issuer,
                audience,
                keys: RwLock::new(Arc::new(keys)),
                verdicts,
                refresher,
            }),
        }
    }

    /// Checks a token, now. A key that we do not know is asked for in the background: the same token may be good a
    /// moment later. [`Verifier::verify_fresh`] waits for that.
    pub fn verify(&self, token: &str) -> Result<Arc<Principal>, AuthError> {
        self.attempt(token, Timestamp::now().as_second()).unwrap_or_else(|UnknownKey| Err(self.without_key()))
    }

    /// Checks a token, and waits a bounded time for identity's keys when its key is unknown.
    pub async fn verify_fresh(&self, token: &str) -> Result<Arc<Principal>, AuthError> {
        match self.attempt(token, Timestamp::now().as_second()) {
            Ok(verdict) => verdict,
            Err(UnknownKey) => {
                self.inner.refresher.wait_for_keys().await;
                self.verify(token)
            }
        }
    }

    /// Keeps the keys fresh: at start (again and again until identity answers), every minute, and when an unknown key
    /// is met. While identity is away the last known keys stay in force. Runs until dropped; supervise it.
    pub async fn refresh_forever(self) -> Result<(), String> {
        let inner = Arc::clone(&self.inner);
        self.inner.refresher.run(move |set| inner.install(set)).await
    }

    /// Replaces the keys in force, as a fetch does. Verdicts of keys that are gone are gone with them.
    pub fn install(&self, set: &JwkSet) {
        self.inner.install(set);
    }

    /// The verdict, or that it takes keys which we do not have. `now` is in seconds since 1970.
    pub(super) fn attempt(
        &self,
        token: &str,
        now: i64,
    ) -> Result<Result<Arc<Principal>, AuthError>, UnknownKey> {
        if token.len() > MAX_TOKEN_BYTES {
            return Ok(Err(AuthError::Malformed));
        }
        let keys = Arc::clone(&self.inner.keys.read());
        let fingerprint: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(verdict) = self.inner.verdicts.get(&fingerprint) {
            if verdict.expires_at.saturating_add(LEEWAY_SECONDS as i64) < now {
                return Ok(Err(AuthError::Expired));
            }
            if keys.get(&verdict.kid).is_some_and(|key| key.serial == verdict.serial) {
                return Ok(Ok(verdict.principal));
            }
            // Its key was withdrawn or replaced: look again, with the keys of today.
            self.inner.verdicts.invalidate(&fingerprint);
        }
        let kid = match read_kid(token) {
            Ok(kid) => kid,
            Err(error) => return Ok(Err(error)),
        };
        let Some(key) = keys.get(&kid) else {
            self.inner.refresher.ask();
            return Err(UnknownKey);
        };
        Ok(check(token, key).inspect(|principal| {
            let verdict = Verdict {
                principal: Arc::clone(principal),
                kid: kid.into(),
                serial: key.serial,
                expires_at: principal.expires_at.as_second(),
            };
            self.inner.verdicts.insert(fingerprint, verdict);
        }))
    }

    /// What to say about a token whose key is unknown. Without any keys it is we who are at fault.
    fn without_key(&self) -> AuthError {
        if self.inner.refresher.can_ask() && self.inner.keys.read().is_empty() {
            AuthError::KeysUnavailable
        } else {
            AuthError::Rejected("unknown key")
        }
    }
}

/// The token names a key that we do not hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownKey;

impl Inner {
    fn install(&self, set: &JwkSet) {
        let mut keys = self.keys.write();
        let next = keys.next(set, &self.issuer, &self.audience);
        *keys = Arc::new(next);
    }
}

/// The name of the key that is said to have signed the token. The rest of the header is a claim like any other.
fn read_kid(token: &str) -> Result<String, AuthError> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Malformed)?;
    // RFC 7515 §4.1.11: a token with critical extensions that we do not understand must be refused.
    if header.crit.is_some() {
        return Err(AuthError::Rejected("critical header"));
    }
    header.kid.ok_or(AuthError::Rejected("no key named"))
}

fn check(token: &str, key: &Key) -> Result<Arc<Principal>, AuthError> {
    let data = jsonwebtoken::decode::<Kept>(token, &key.decoding, &key.validation).map_err(reason)?;
    if data.header.alg != key.algorithm {
        return Err(AuthError::Rejected("algorithm"));
    }
    let Kept { sub, roles, exp, jti } = data.claims;
    let expires_at = Timestamp::from_second(exp).map_err(|_| AuthError::Rejected("expiry"))?;
    Ok(Arc::new(Principal { subject: sub, roles, token_id: jti, expires_at }))
}

fn reason(error: jsonwebtoken::errors::Error) -> AuthError {
    match error.kind() {
        ErrorKind::ExpiredSignature => AuthError::Expired,
        ErrorKind::InvalidSignature => AuthError::Rejected("signature"),
        ErrorKind::InvalidIssuer => AuthError::Rejected("issuer"),
        ErrorKind::InvalidAudience => AuthError::Rejected("audience"),
        ErrorKind::ImmatureSignature => AuthError::Rejected("not yet valid"),
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => {
            AuthError::Rejected("claims")
        }
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::MissingAlgorithm => {
            AuthError::Rejected("algorithm")
        }
        _ => AuthError::Rejected("not a token of ours"),
    }
}
