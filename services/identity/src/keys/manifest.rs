//! Which keys are in use: the ring as data. Pure; the time comes in with each step.

use std::fmt;

use jiff::Timestamp;
use jsonwebtoken::jwk::Jwk;
use serde::{Deserialize, Deserializer, Serialize};

use super::Overview;

/// The name of a key: its RFC 7638 thumbprint, 43 characters of base64url.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Kid(String);

impl Kid {
    pub(super) fn from_thumbprint(text: String) -> Self {
        Self(text)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Kid {
    /// Names become file names: nothing but a thumbprint is let through.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let sane =
            text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if sane { Ok(Self(text)) } else { Err(serde::de::Error::custom("a key's name is not a thumbprint")) }
    }
}

/// A key that signs no more. Only its public half is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawn {
    /// The public key.
    pub key: Jwk,
    /// When the last token it may have signed has expired.
    pub until: Timestamp,
}

/// The ring's own file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    current: Kid,
    since: Timestamp,
    /// When the current key has signed something that lives unusually long: until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outlives: Option<Timestamp>,
    next: Kid,
    withdrawn: Vec<Withdrawn>,
}

impl Manifest {
    pub fn new(current: Kid, next: Kid, now: Timestamp) -> Self {
        Self { current, since: now, outlives: None, next, withdrawn: Vec::new() }
    }

    pub fn current(&self) -> &Kid {
        &self.current
    }

    pub fn since(&self) -> Timestamp {
        self.since
    }

    pub fn next(&self) -> &Kid {
        &self.next
    }

    pub fn withdrawn(&self) -> &[Withdrawn] {
        &self.withdrawn
    }

    /// The next key signs, `fresh` waits behind it, and `old`, the current one's public half, stays until its tokens
    /// have expired: at least until `at_least`.
    pub fn rotated(&self, old: Jwk, fresh: Kid, now: Timestamp, at_least: Timestamp) -> Self {
        let mut withdrawn =
            self.without_expired(now).map_or_else(|| self.withdrawn.clone(), |kept| kept.withdrawn);
        let until = self.outlives.map_or(at_least, |outlives| outlives.max(at_least));
        withdrawn.push(Withdrawn { key: old, until });
        Self { current: self.next.clone(), since: now, outlives: None, next: fresh, withdrawn }
    }

    /// The ring after a promise that the current key stays known until `expires`; `None` when it does so anyway.
    pub fn outlive(&self, expires: Timestamp) -> Option<Self> {
        if self.outlives.is_some_and(|known| known >= expires) {
            return None;
        }
        Some(Self { outlives: Some(expires), ..self.clone() })
    }

    /// The ring without withdrawn keys whose time is over; `None` when there are none.
    pub fn without_expired(&self, now: Timestamp) -> Option<Self> {
        let kept: Vec<_> = self.withdrawn.iter().filter(|withdrawn| withdrawn.until > now).cloned().collect();
        (kept.len() < self.withdrawn.len()).then(|| Self { withdrawn: kept, ..self.clone() })
    }

    pub fn overview(&self) -> Overview {
        let withdrawn = self.withdrawn.iter().filter_map(|withdrawn| {
            let kid = withdrawn.key.common.key_id.clone()?;
            Some((Kid(kid), withdrawn.until))
        });
        Overview {
            current: self.current.clone(),
            since: self.since,
            next: self.next.clone(),
            withdrawn: withdrawn.collect(),
        }
    }
}
