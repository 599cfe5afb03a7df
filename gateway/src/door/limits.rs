//! How much one caller may ask, and the headers that say so
//! (`RateLimit`, `RateLimit-Policy`: draft-ietf-httpapi-ratelimit-headers, structured fields).
//!
//! A policy can be changed while requests come ([`Limits::change`]); the limiter of the new one takes over what callers have
//! used under the old one.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::RwLock;
use viscount_chassis::auth::Principal;
use viscount_chassis::resilience::{KeyedLimiter, RatePolicy};

use crate::config::LimitsConfig;
use crate::refusal::Refusal;
use crate::routes::LimitClass;
use crate::wire::headers::client_address;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// All limits of the door.
pub(crate) struct Limits {
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
    /// What the gateway was started with.
    start: RatePolicy,
    /// Locked for as long as it takes to copy or set a pointer.
    current: RwLock<Arc<Current>>,
}

/// A policy in force.
struct Current {
    limiter: Arc<KeyedLimiter>,
    policy: HeaderValue,
}

/// The limits that can be changed while the gateway runs.
pub(crate) const CHANGEABLE: [&str; 5] = ["read", "write", "auth", "stream", "address"];

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
            .map(|class| class.current().limiter.clone())
            .into()
    }

    /// Another policy for one of the [`CHANGEABLE`] limits from now on, or the one of the start again.
    pub(crate) fn change(&self, name: &str, policy: Option<RatePolicy>) {
        let class = match name {
            "read" => &self.read,
            "write" => &self.write,
            "auth" => &self.auth,
            "stream" => &self.stream,
            "address" => &self.address,
            _ => return,
        };
        class.change(policy.unwrap_or(class.start));
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
        let current = self.address.current();
        match current.limiter.check(KeyedLimiter::address(address)) {
            Ok(_) => Ok(address),
            Err(refusal) => {
                *found = Some(current.within(self.address.name, 0, refusal.reset));
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
        let current = class.current();
        let key = match principal {
            Some(principal) => current.limiter.principal(&principal.subject),
            None => KeyedLimiter::address(address),
        };
        let (within, result) = match current.limiter.check(key) {
            Ok(allowance) => (current.within(class.name, allowance.remaining, allowance.reset), Ok(())),
            Err(refusal) => {
                (current.within(class.name, 0, refusal.reset), Err(Refusal::Limited(refusal.retry_after)))
            }
        };
        *found = Some(within);
        result
    }
}

impl Class {
    fn new(name: &'static str, policy: RatePolicy) -> Self {
        let current = Current::new(name, KeyedLimiter::new(name, policy));
        Class { name, start: policy, current: RwLock::new(Arc::new(current)) }
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().clone()
    }

    fn change(&self, policy: RatePolicy) {
        let mut current = self.current.write();
        if current.limiter.policy() != policy {
            *current = Arc::new(Current::new(self.name, current.limiter.successor(policy)));
        }
    }
}

impl Current {
    fn new(name: &'static str, limiter: KeyedLimiter) -> Self {
        let policy = limiter.policy();
        let text = format!("\"{name}\";q={};w={}", policy.quota, whole_seconds(policy.window));
        let policy = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        Current { limiter: Arc::new(limiter), policy }
    }

    fn within(&self, name: &'static str, remaining: u32, reset: Duration) -> Within {
        Within { policy: self.policy.clone(), name, remaining, reset }
    }
}

/// Rounded up: nobody is told to come back too early.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl Within {
    /// Writes both fields, in place of whatever a service said about limits of its own.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        let reset = whole_seconds(self.reset);
        let mut text = String::with_capacity(40);
        let _ = write!(text, "\"{}\";r={};t={reset}", self.name, self.remaining);
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(RATE_LIMIT, value);
            headers.insert(RATE_LIMIT_POLICY, self.policy);
        }
    }
}
