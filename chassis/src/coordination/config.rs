//! Where coordination is, what is told there about this process, and who vouches for it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use crate::config::{ConfigError, Env};

/// Where coordination listens unless told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8081";
/// What a lease may be, in seconds; the service's own bounds.
const LEASE: std::ops::RangeInclusive<u64> = 5..=300;

/// How a process meets coordination.
#[derive(Debug, Clone)]
pub struct CoordinationConfig {
    /// `VISCOUNT_COORDINATION_URL`, without a slash at the end.
    pub url: String,
    /// Who vouches for us.
    pub token: TokenConfig,
    /// `VISCOUNT_ADVERTISED_HOST`: the name under which others reach this process. Without it the address that it listens
    /// on, or where that is every address, the one that it has towards coordination.
    pub advertised_host: Option<String>,
    /// `VISCOUNT_COORDINATION_LEASE`, default 15 s: how long an instance is listed after its last heartbeat.
    pub lease: Duration,
}

/// Where the access token comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenConfig {
    /// `VISCOUNT_SERVICE_TOKEN`: a token that somebody else renews with the process.
    Given(String),
    /// Identity, for the platform's internal client (RFC 6749 §4.4).
    Client {
        /// Identity's token endpoint.
        url: String,
        /// `IDENTITY_CLIENT_ID`.
        id: String,
        /// How it proves itself.
        secret: ClientSecret,
    },
}

/// The internal client's secret.
#[derive(Clone, PartialEq, Eq)]
pub enum ClientSecret {
    /// `IDENTITY_CLIENT_SECRET`.
    Given(String),
    /// `IDENTITY_CLIENT_SECRET_FILE`, read for each new token: identity's first start makes it.
    File(PathBuf),
}

impl fmt::Debug for TokenConfig {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenConfig::Given(_) => f.write_str("Given(…)"),
            TokenConfig::Client { url, id, .. } => {
                f.debug_struct("Client").field("url", url).field("id", id).finish_non_exhaustive()
            }
        }
    }
}

impl CoordinationConfig {
    /// From the environment; `None` where `VISCOUNT_COORDINATION_URL` is `none`. `jwks_url` is where this process
    /// fetches identity's keys: the token endpoint is beside them.
    ///
    /// # Errors
    /// One line that names the variable.
    pub fn from_env(env: &Env, jwks_url: &str) -> Result<Option<Self>, ConfigError> {
        let url = match env.get("VISCOUNT_COORDINATION_URL") {
            Some("none") => return Ok(None),
            Some(text) => base_url("VISCOUNT_COORDINATION_URL", text)?,
            None => DEFAULT_URL.to_owned(),
        };
        let lease = env.duration_or("VISCOUNT_COORDINATION_LEASE", Duration::from_secs(15))?;
        if !LEASE.contains(&lease.as_secs()) || lease.subsec_nanos() != 0 {
            let problem = "must be whole seconds, from 5s to 5m";
            return Err(ConfigError::new("VISCOUNT_COORDINATION_LEASE", problem));
        }
        let advertised_host = env.get("VISCOUNT_ADVERTISED_HOST").map(advertised).transpose()?;
        Ok(Some(CoordinationConfig { url, token: token(env, jwks_url), advertised_host, lease }))
    }
}

fn token(env: &Env, jwks_url: &str) -> TokenConfig {
    if let Some(token) = env.get("VISCOUNT_SERVICE_TOKEN") {
        return TokenConfig::Given(token.to_owned());
    }
    let keys_dir = || {
        let data_dir = PathBuf::from(env.get("VISCOUNT_DATA_DIR").unwrap_or(".viscount"));
        env.get("IDENTITY_KEYS_DIR").map_or_else(|| data_dir.join("keys"), PathBuf::from)
    };
    let secret = match (env.get("IDENTITY_CLIENT_SECRET"), env.get("IDENTITY_CLIENT_SECRET_FILE")) {
        (Some(secret), _) => ClientSecret::Given(secret.to_owned()),
        (None, Some(path)) => ClientSecret::File(PathBuf::from(path)),
        (None, None) => ClientSecret::File(keys_dir().join("internal-client.secret")),
    };
    let beside = jwks_url.strip_suffix("/.well-known/jwks.json").unwrap_or("http://127.0.0.1:8088");
    TokenConfig::Client {
        url: env.get("VISCOUNT_TOKEN_URL").map_or_else(|| format!("{beside}/oauth2/token"), str::to_owned),
        id: env.get("IDENTITY_CLIENT_ID").unwrap_or("viscount-internal").to_owned(),
        secret,
    }
}

fn base_url(variable: &'static str, text: &str) -> Result<String, ConfigError> {
    let uri: Option<Uri> = text.parse().ok();
    let sane = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none()
    });
    match sane {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err(ConfigError::new(variable, "is not a URL such as http://coordination:8081, nor none")),
    }
}

/// A host alone: the port is the one that is listened on.
fn advertised(text: &str) -> Result<String, ConfigError> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let is_v6 = bare.parse::<std::net::Ipv6Addr>().is_ok();
    let is_name =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    match (is_v6, is_name) {
        (true, _) => Ok(format!("[{bare}]")),
        (false, true) => Ok(text.to_owned()),
        (false, false) => {
            Err(ConfigError::new("VISCOUNT_ADVERTISED_HOST", "is not a host name or an address"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const JWKS: &str = "http://identity:8088/.well-known/jwks.json";

    fn config<const N: usize>(pairs: [(&str, &str); N]) -> CoordinationConfig {
        CoordinationConfig::from_env(&Env::from_pairs(pairs), JWKS).unwrap().unwrap()
    }

    #[test]
    fn an_empty_environment_finds_its_neighbours() {
        let found = config([]);
        assert_eq!((found.url.as_str(), found.lease), (DEFAULT_URL, Duration::from_secs(15)));
        let TokenConfig::Client { url, id, secret } = found.token else { panic!("from identity") };
        assert_eq!((url.as_str(), id.as_str()), ("http://identity:8088/oauth2/token", "viscount-internal"));
        assert!(secret == ClientSecret::File(".viscount/keys/internal-client.secret".into()));
    }

    #[test]
    fn what_is_said_is_taken_and_none_is_none() {
        let found = config([
            ("VISCOUNT_COORDINATION_URL", "http://coordination:8081/"),
            ("VISCOUNT_SERVICE_TOKEN", "abc"),
            ("VISCOUNT_ADVERTISED_HOST", "::1"),
        ]);
        assert_eq!(found.url, "http://coordination:8081");
        assert_eq!(found.token, TokenConfig::Given("abc".to_owned()));
        assert_eq!(found.advertised_host.as_deref(), Some("[::1]"));
        assert!(!format!("{found:?}").contains("abc"));
        let none = Env::from_pairs([("VISCOUNT_COORDINATION_URL", "none")]);
        assert!(CoordinationConfig::from_env(&none, JWKS).unwrap().is_none());
    }

    #[test]
    fn a_wrong_value_is_one_line_with_its_name() {
        for (name, value) in [
            ("VISCOUNT_COORDINATION_URL", "coordination:8081"),
            ("VISCOUNT_COORDINATION_URL", "ftp://coordination"),
            ("VISCOUNT_COORDINATION_LEASE", "1s"),
            ("VISCOUNT_COORDINATION_LEASE", "5500ms"),
            ("VISCOUNT_COORDINATION_LEASE", "1h"),
            ("VISCOUNT_ADVERTISED_HOST", "orders:8084"),
            ("VISCOUNT_ADVERTISED_HOST", "http://orders"),
        ] {
            let env = Env::from_pairs([(name, value)]);
            let error = CoordinationConfig::from_env(&env, JWKS).expect_err(name);
            assert_eq!(error.variable, name);
        }
    }
}
