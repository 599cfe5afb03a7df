//! How much one caller may ask, and the headers that say so
//! (`RateLimit`, `RateLimit-Policy`: draft-ietf-httpapi-ratelimit-headers, structured fields).

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use viscount_chassis::auth::Principal;
use viscount_chassis::resilience::{KeyedLimiter, RatePolicy};

use crate::config::LimitsConfig;
use crate::refusal::Refusal;
use crate::routes::LimitClass;
use crate::wire::headers::client_address;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// All limits of the door.
pub(super) struct Limits {
    address: Class,
    read: Class,
    write: Class,
    auth: Class,
    stream: Class,
    webhook: Class,
    trusted_hops: u8,
}

struct Class {
    name: &'static str,
    limiter: Arc<KeyedLimiter>,
    policy: HeaderValue,
}

/// Where a caller stands within a limit.
pub(super) struct Within {
    policy: HeaderValue,
    name: &'static str,
    remaining: u32,
    reset: Duration,
}

impl Limits {
    pub(super) fn new(config: &LimitsConfig) -> Self {
        Limits {
            address: Class::new("address", config.address),
            read: Class::new("read", config.read),
            write: Class::new("write", config.write),
            auth: Class::new("auth", config.auth),
            stream: Class::new("stream", config.stream),
            webhook: Class::new("webhook", config.webhook),
            trusted_hops: config.trusted_hops,
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<KeyedLimiter>> {
        [&self.address, &self.read, &self.write, &self.auth, &self.stream, &self.webhook]
            .map(|class| class.limiter.clone())
            .into()
    }

    fn class(&self, class: LimitClass) -> Option<&Class> {
        match class {
            LimitClass::None => None,
            LimitClass::Read => Some(&self.read),
            LimitClass::Write => Some(&self.write),
            LimitClass::Auth => Some(&self.auth),
            LimitClass::Stream => Some(&self.stream),
            LimitClass::Webhook => Some(&self.webhook),
        }
    }

    /// Counts a request for its address, before anything is spent on it. The address, as far as it can be trusted.
    pub(super) fn check_address(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        found: &mut Option<Within>,
    ) -> Result<IpAddr, Refusal> {
        let address = client_address(peer, headers, self.trusted_hops);
        // What is left of it is nobody's business until it is gone.
        match self.address.limiter.check(KeyedLimiter::address(address)) {
            Ok(_) => Ok(address),
            Err(refusal) => {
                *found = Some(self.address.within(0, refusal.reset));
                Err(Refusal::Limited(refusal.retry_after))
            }
        }
    }

    /// Counts a request for its principal, or for its address when it has none.
    pub(super) fn check(
        &self,
        class: LimitClass,
        principal: Option<&Principal>,
        address: IpAddr,
        found: &mut Option<Within>,
    ) -> Result<(), Refusal> {
        let Some(class) = self.class(class) else { return Ok(()) };
        let key = match principal {
            Some(principal) => class.limiter.principal(&principal.subject),
            None => KeyedLimiter::address(address),
        };
        let (within, result) = match class.limiter.check(key) {
            Ok(allowance) => (class.within(allowance.remaining, allowance.reset), Ok(())),
            Err(refusal) => (class.within(0, refusal.reset), Err(Refusal::Limited(refusal.retry_after))),
        };
        *found = Some(within);
        result
    }
}

impl Class {
    fn new(name: &'static str, policy: RatePolicy) -> Self {
        let text = format!("\"{name}\";q={};w={}", policy.quota, policy.window.as_secs());
        Class {
            name,
            limiter: Arc::new(KeyedLimiter::new(name, policy)),
            policy: HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("")),
        }
    }

    fn within(&self, remaining: u32, reset: Duration) -> Within {
        Within { policy: self.policy.clone(), name: self.name, remaining, reset }
    }
}

impl Within {
    /// Writes both fields, in place of whatever a service said about limits of its own.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        let reset = self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0);
        let mut text = String::with_capacity(40);
        let _ = write!(text, "\"{}\";r={};t={reset}", self.name, self.remaining);
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(RATE_LIMIT, value);
            headers.insert(RATE_LIMIT_POLICY, self.policy);
        }
    }
}
