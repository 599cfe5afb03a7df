//! What the gateway is told before it opens: typed, complete, checked.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use http::uri::Authority;
use viscount_chassis::auth::{AuthConfig, JwksSource, Verifier};
use viscount_chassis::config::{ConfigError, Env};
use viscount_chassis::resilience::{BreakerConfig, BulkheadConfig, RatePolicy, StandingQueue};

use crate::routes::Service;
use crate::upstream::discovery::Discovery;

/// Everything the gateway needs to know.
#[derive(Clone)]
pub struct GatewayConfig {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Who checks tokens.
    pub auth: Auth,
    /// Where the services are.
    pub upstreams: Upstreams,
    /// How they are called.
    pub calls: CallConfig,
    /// How much one caller may ask.
    pub limits: LimitsConfig,
    /// How long a client may take for what, and how many there may be.
    pub clients: ClientConfig,
    /// How the instances are found that `upstreams` does not fix; none: those it starts with are all there are.
    pub discovery: Option<Discovery>,
}

/// Who checks tokens.
#[derive(Clone)]
pub enum Auth {
    /// A verifier that somebody else keeps fresh: all services of one process share its verdicts.
    Shared(Verifier),
    /// A verifier of the gateway's own.
    Own(AuthConfig),
}

/// Instances of a service: those already tried are the bits of one number.
pub(crate) const MOST_INSTANCES: usize = 64;

/// The instances of each service to start with, and whether those are all.
#[derive(Debug, Clone)]
pub struct Upstreams([Instances; Service::ALL.len()]);

#[derive(Debug, Clone, Default)]
struct Instances {
    authorities: Vec<Authority>,
    /// Named by somebody who knows: not looked for.
    fixed: bool,
}

/// How services are called.
#[derive(Debug, Clone)]
pub struct CallConfig {
    /// No route's deadline is longer than this (a wait that the client wishes comes on top).
    pub deadline_at_most: Duration,
    /// How long a connection may take to be there.
    pub connect: Duration,
    /// A kept connection is closed after this long without use; shorter than a service's own patience.
    pub keep_idle: Duration,
    /// How long a service may be silent in the middle of an answer that is no stream.
    pub answer_idle: Duration,
    /// Requests under way to one instance.
    pub bulkhead: BulkheadConfig,
    /// Those among them whose client is ready to wait for an outcome (`Prefer: wait`), counted by themselves.
    pub patient: BulkheadConfig,
    /// When an instance is left alone.
    pub breaker: BreakerConfig,
    /// How often each instance is asked whether it is ready.
    pub probe_every: Duration,
    /// At most this many retries per request in the long run.
    pub retry_ratio: f64,
}

/// How much one caller may ask. The defaults let a load test on one machine through; production lowers them.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// All requests of one address, before anything else is looked at.
    pub address: RatePolicy,
    /// Reads of one principal (or address).
    pub read: RatePolicy,
    /// Writes.
    pub write: RatePolicy,
    /// Log-in, sign-up and tokens.
    pub auth: RatePolicy,
    /// Streams opened.
    pub stream: RatePolicy,
    /// Webhooks.
    pub webhook: RatePolicy,
    /// How many proxies of our own stand before the door, each appending to `X-Forwarded-For`.
    pub trusted_hops: u8,
}

/// How long a client may take for what, and how many clients there may be.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Connections at once, upgraded ones included.
    pub connections: u32,
    /// Until a request's head must be there; also how long an unused connection is kept.
    pub header_read: Duration,
    /// Until a request's body must be there. Shorter than a route's deadline: a slow client must not look like a
    /// slow service.
    pub body_read: Duration,
    /// How long a client may refuse to take bytes.
    pub write_stall: Duration,
    /// How long an upgraded connection may be silent in both directions; services ping every 30 s.
    pub tunnel_idle: Duration,
}

impl GatewayConfig {
    /// A gateway on any free loopback port, to these services.
    pub fn new(auth: Auth, upstreams: Upstreams) -> Self {
        GatewayConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            auth,
            upstreams,
            calls: CallConfig::default(),
            limits: LimitsConfig::default(),
            clients: ClientConfig::default(),
            discovery: None,
        }
    }

    /// From the environment; see the README for the names.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let upstreams = Upstreams::from_env(env)?;
        let auth = Auth::Own(AuthConfig {
            issuer: env.parse_or("VISCOUNT_ISSUER", "first-viscount".to_owned())?,
            audience: env.parse_or("VISCOUNT_AUDIENCE", "first-viscount".to_owned())?,
            jwks: JwksSource::Url(match env.get("VISCOUNT_JWKS_URL") {
                Some(url) => url.to_owned(),
                None => upstreams.default_jwks_url(),
            }),
        });
        let (host, port) = (
            env.parse_or("VISCOUNT_HOST", IpAddr::V4(Ipv4Addr::LOCALHOST))?,
            env.parse_or("VISCOUNT_PORT", 8080)?,
        );
        Ok(GatewayConfig {
            listen: SocketAddr::new(host, port),
            auth,
            upstreams,
            calls: CallConfig::from_env(env)?,
            limits: LimitsConfig::from_env(env)?,
            clients: ClientConfig::from_env(env)?,
            discovery: None,
        })
    }
}

impl Upstreams {
    /// No service anywhere.
    pub fn none() -> Self {
        Upstreams(Default::default())
    }

    /// The same, with these instances for a service and no others.
    #[must_use]
    pub fn with(mut self, service: Service, instances: impl IntoIterator<Item = Authority>) -> Self {
        self.0[service.index()] = Instances { authorities: instances.into_iter().collect(), fixed: true };
        self
    }

    /// The same; the instances of this service are only the first ones to ask, until others are found.
    #[must_use]
    pub fn loosely(mut self, service: Service) -> Self {
        self.0[service.index()].fixed = false;
        self
    }

    /// The services whose instances are to be found.
    pub fn loose(&self) -> Vec<Service> {
        Service::ALL.into_iter().filter(|service| !self.0[service.index()].fixed).collect()
    }

    /// The same, with one instance for a service.
    #[must_use]
    pub fn with_addr(self, service: Service, addr: SocketAddr) -> Self {
        // The text of a socket address is an authority, always.
        match Authority::try_from(addr.to_string()) {
            Ok(authority) => self.with(service, [authority]),
            Err(_) => self,
        }
    }

    /// `GATEWAY_UPSTREAM_ORDERS=10.0.0.1:8084,10.0.0.2:8084`, and so for each service. One that is not named is first
    /// asked on this machine, until it is found elsewhere.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let mut upstreams = Upstreams::none();
        for service in Service::ALL {
            let variable = format!("GATEWAY_UPSTREAM_{}", service.name().to_ascii_uppercase());
            let named = env.get(&variable);
            let text = named.map_or_else(|| format!("127.0.0.1:{}", service.default_port()), str::to_owned);
            let instances: Vec<Authority> = text
                .split(',')
                .map(|instance| {
                    let authority: Option<Authority> = instance.trim().parse().ok();
                    authority.filter(|authority| authority.port_u16().is_some_and(|port| port != 0))
                })
                .collect::<Option<_>>()
                .ok_or_else(|| {
                    ConfigError::new(&variable, "is not a list of host:port, separated by commas")
                })?;
            if instances.len() > MOST_INSTANCES {
                return Err(ConfigError::new(variable, "names more than 64 instances"));
            }
            upstreams = upstreams.with(service, instances);
            if named.is_none() {
                upstreams = upstreams.loosely(service);
            }
        }
        Ok(upstreams)
    }

    /// The instances of a service.
    pub fn of(&self, service: Service) -> &[Authority] {
        &self.0[service.index()].authorities
    }

    fn default_jwks_url(&self) -> String {
        let identity = self.of(Service::Identity).first().map_or("127.0.0.1:8088", Authority::as_str);
        format!("http://{identity}/.well-known/jwks.json")
    }
}

impl CallConfig {
    fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = CallConfig::default();
        Ok(CallConfig {
            deadline_at_most: env.duration_or("GATEWAY_DEADLINE", default.deadline_at_most)?,
            connect: env.duration_or("GATEWAY_CONNECT_TIMEOUT", default.connect)?,
            keep_idle: env.duration_or("GATEWAY_UPSTREAM_KEEP_IDLE", default.keep_idle)?,
            answer_idle: env.duration_or("GATEWAY_ANSWER_IDLE", default.answer_idle)?,
            bulkhead: BulkheadConfig {
                permits: env.parse_or("GATEWAY_MAX_IN_FLIGHT", default.bulkhead.permits)?,
                max_waiting: env.parse_or("GATEWAY_MAX_WAITING", default.bulkhead.max_waiting)?,
                ..default.bulkhead
            },
            patient: BulkheadConfig {
                permits: env.parse_or("GATEWAY_MAX_PATIENT", default.patient.permits)?,
                ..default.patient
            },
            probe_every: env.duration_or("GATEWAY_PROBE_EVERY", default.probe_every)?,
            ..default
        })
    }
}

impl Default for CallConfig {
    fn default() -> Self {
        // What is under way and not being worked on only makes everything later. On two cores 256 requests are some
        // 100 ms of work at the peak.
        let cores = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        let in_flight = (128 * cores).max(256);
        CallConfig {
            deadline_at_most: Duration::from_secs(60),
            connect: Duration::from_secs(1),
            keep_idle: Duration::from_secs(4),
            answer_idle: Duration::from_secs(30),
            bulkhead: BulkheadConfig {
                permits: in_flight,
                max_waiting: 1024,
                standing: Some(StandingQueue {
                    after: Duration::from_millis(500),
                    most: in_flight / 16,
                    patience: Duration::from_millis(20),
                }),
            },
            patient: BulkheadConfig { permits: 1024, max_waiting: 0, standing: None },
            breaker: BreakerConfig { consecutive_failures: 5, ..BreakerConfig::default() },
            probe_every: Duration::from_secs(2),
            retry_ratio: 0.1,
        }
    }
}

impl LimitsConfig {
    fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = LimitsConfig::default();
        let policy = |name: &'static str, default| match env.get(name) {
            Some(text) => parse_policy(text).ok_or_else(|| {
                ConfigError::new(name, "is not a limit; write requests/seconds, such as 100/60")
            }),
            None => Ok(default),
        };
        Ok(LimitsConfig {
            address: policy("GATEWAY_LIMIT_ADDRESS", default.address)?,
            read: policy("GATEWAY_LIMIT_READ", default.read)?,
            write: policy("GATEWAY_LIMIT_WRITE", default.write)?,
            auth: policy("GATEWAY_LIMIT_AUTH", default.auth)?,
            stream: policy("GATEWAY_LIMIT_STREAM", default.stream)?,
            webhook: policy("GATEWAY_LIMIT_WEBHOOK", default.webhook)?,
            trusted_hops: env.parse_or("GATEWAY_TRUSTED_HOPS", default.trusted_hops)?,
        })
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let policy = |quota, seconds| RatePolicy {
            quota: NonZeroU32::new(quota).unwrap_or(NonZeroU32::MIN),
            window: Duration::from_secs(seconds),
        };
        LimitsConfig {
            address: policy(2_000_000, 10),
            read: policy(1_000_000, 10),
            write: policy(1_000_000, 10),
            auth: policy(6_000, 60),
            stream: policy(100_000, 10),
            webhook: policy(100_000, 10),
            trusted_hops: 0,
        }
    }
}

impl ClientConfig {
    fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = ClientConfig::default();
        let connections: NonZeroU32 = env.parse_or(
            "GATEWAY_MAX_CONNECTIONS",
            NonZeroU32::new(default.connections).unwrap_or(NonZeroU32::MIN),
        )?;
        Ok(ClientConfig {
            connections: connections.get(),
            header_read: env.duration_or("GATEWAY_HEADER_TIMEOUT", default.header_read)?,
            body_read: env.duration_or("GATEWAY_BODY_TIMEOUT", default.body_read)?,
            write_stall: env.duration_or("GATEWAY_WRITE_STALL", default.write_stall)?,
            tunnel_idle: env.duration_or("GATEWAY_TUNNEL_IDLE", default.tunnel_idle)?,
        })
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            connections: 20_000,
            header_read: Duration::from_secs(30),
            body_read: Duration::from_secs(5),
            write_stall: Duration::from_secs(30),
            tunnel_idle: Duration::from_secs(120),
        }
    }
}

/// `100/60`: a hundred requests in sixty seconds.
fn parse_policy(text: &str) -> Option<RatePolicy> {
    fn number<T: FromStr<Err: Display>>(text: &str) -> Option<T> {
        text.trim().parse().ok()
    }
    let (quota, seconds) = text.split_once('/')?;
    let window: NonZeroU32 = number(seconds.trim().trim_end_matches('s'))?;
    Some(RatePolicy { quota: number(quota)?, window: Duration::from_secs(u64::from(window.get())) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn an_empty_environment_is_a_laptop() {
        let config = GatewayConfig::from_env(&Env::default()).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.upstreams.of(Service::Orders), ["127.0.0.1:8084"]);
        assert_eq!(config.upstreams.loose(), Service::ALL);
        let Auth::Own(AuthConfig { jwks: JwksSource::Url(url), .. }) = config.auth else {
            panic!("own verifier")
        };
        assert_eq!(url, "http://127.0.0.1:8088/.well-known/jwks.json");
    }

    #[test]
    fn what_is_said_is_taken() {
        let config = GatewayConfig::from_env(&Env::from_pairs([
            ("VISCOUNT_HOST", "::1"),
            ("VISCOUNT_PORT", "0"),
            ("GATEWAY_UPSTREAM_ORDERS", "orders-0:8084, orders-1:8084"),
            ("GATEWAY_LIMIT_AUTH", "10/60"),
        ]))
        .unwrap();
        assert_eq!(config.listen.to_string(), "[::1]:0");
        assert_eq!(config.upstreams.of(Service::Orders), ["orders-0:8084", "orders-1:8084"]);
        assert!(!config.upstreams.loose().contains(&Service::Orders), "what is named is not looked for");
        assert_eq!(config.limits.auth.quota.get(), 10);
        assert_eq!(config.limits.auth.window, Duration::from_secs(60));
    }

    #[test]
    fn a_wrong_value_is_one_line_with_its_name() {
        let too_many = vec!["a:1"; MOST_INSTANCES + 1].join(",");
        for (name, value) in [
            ("VISCOUNT_PORT", "99999"),
            ("VISCOUNT_HOST", "nowhere at all"),
            ("GATEWAY_UPSTREAM_ORDERS", "orders"),
            ("GATEWAY_UPSTREAM_ORDERS", "orders:0"),
            ("GATEWAY_UPSTREAM_ORDERS", "a:1,,b:2"),
            ("GATEWAY_UPSTREAM_ORDERS", too_many.as_str()),
            ("GATEWAY_LIMIT_READ", "0/60"),
            ("GATEWAY_LIMIT_READ", "60/0"),
            ("GATEWAY_LIMIT_READ", "many"),
            ("GATEWAY_MAX_CONNECTIONS", "0"),
        ] {
            let error =
                GatewayConfig::from_env(&Env::from_pairs([(name, value)])).err().expect(name).to_string();
            assert!(error.starts_with(name) && !error.contains('\n'), "{error}");
        }
    }
}
