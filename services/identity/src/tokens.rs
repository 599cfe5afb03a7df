//! Access tokens: what they say, and for how long.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use uuid::Uuid;
use viscount_chassis::auth::{Claims, Roles};
use viscount_contracts::UserId;

use crate::keys::{KeyError, KeyRing};

/// Makes access tokens. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tokens {
    ring: KeyRing,
    issuer: String,
    audience: String,
    life: Duration,
}

/// A signed access token.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    text: String,
    /// How long it is good.
    pub life: Duration,
}

impl AccessToken {
    /// As the client gets it.
    pub fn reveal(self) -> String {
        self.text
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("life", &self.life).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Tokens signed with this ring that name this issuer and audience.
    pub fn new(ring: KeyRing, issuer: String, audience: String, life: Duration) -> Self {
        Self { ring, issuer, audience, life }
    }

    /// A token for this subject, good from now on. A short-lived one takes no file access.
    pub fn issue(&self, subject: UserId, roles: Roles, now: Timestamp) -> Result<AccessToken, KeyError> {
        let iat = now.as_second();
        let claims = Claims {
            sub: subject,
            roles,
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            exp: iat + self.life.as_secs() as i64,
            iat,
            jti: Some(Uuid::now_v7().to_string()),
        };
        Ok(AccessToken { text: self.ring.sign(&claims)?, life: self.life })
    }
}
