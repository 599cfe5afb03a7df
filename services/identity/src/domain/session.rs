//! What proves a login later on: refresh tokens, each good for one renewal.
//!
//! A token is 48 random bytes: 16 that name the session, 32 that prove it. Renewing replaces the proof, the name stays.
//! So one row per session is enough to notice that an old token is shown again (RFC 9700 §4.14.2): the name is known,
//! the proof is not the newest.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

const NAME: usize = 16;
const PROOF: usize = 32;

/// The session's name; secret too, since it is half of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionId(Uuid);

impl SessionId {
    /// As the database keeps it.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// What is stored of a token: its SHA-256. A slow hash would add nothing to 256 random bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of any secret that is long and random.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// An opaque refresh token.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    session: SessionId,
    proof: [u8; PROOF],
}

/// A text that is no refresh token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a refresh token")]
pub struct UnreadableToken;

impl RefreshToken {
    /// The first token of a new session, out of random bytes.
    pub fn first(random: [u8; NAME + PROOF]) -> Self {
        let (name, proof) = split(&random);
        Self { session: SessionId(Uuid::from_bytes(name)), proof }
    }

    /// The token that replaces one of the same session, out of random bytes.
    #[must_use]
    pub fn renewed(&self, random: [u8; PROOF]) -> Self {
        Self { session: self.session, proof: random }
    }

    /// Reads a token as a client shows it.
    pub fn parse(text: &str) -> Result<Self, UnreadableToken> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| UnreadableToken)?;
        let bytes: [u8; NAME + PROOF] = bytes.try_into().map_err(|_| UnreadableToken)?;
        Ok(Self::first(bytes))
    }

    /// As the client gets it.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode([self.session.0.as_bytes().as_slice(), &self.proof].concat())
    }

    /// Which session it belongs to.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// What the database knows of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.proof)
    }
}

fn split(bytes: &[u8; NAME + PROOF]) -> ([u8; NAME], [u8; PROOF]) {
    let (mut name, mut proof) = ([0; NAME], [0; PROOF]);
    name.copy_from_slice(&bytes[..NAME]);
    proof.copy_from_slice(&bytes[NAME..]);
    (name, proof)
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

/// How long a session lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long a refresh token may lie unused.
    pub idle: Duration,
    /// How long a session lasts, however often it is renewed.
    pub session: Duration,
}

impl Lifetimes {
    /// When a session that begins now ends for good.
    pub fn ends_at(&self, now: Timestamp) -> Timestamp {
        later(now, self.session)
    }

    /// Until when a token handed out now is good, in a session that ends at `ends_at`.
    pub fn expires_at(&self, now: Timestamp, ends_at: Timestamp) -> Timestamp {
        later(now, self.idle).min(ends_at)
    }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| now.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}
