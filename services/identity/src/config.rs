//! What an operator can set.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use viscount_chassis::{
    config::{ConfigError, Env},
    store::DatabaseConfig,
};

use crate::{
    domain::{EmailAddress, Lifetimes, Password},
    keys::ORDINARY_LIFE,
    passwords::PasswordsSpec,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Configuration of the identity service.
#[derive(Clone)]
pub struct Config {
    /// `IDENTITY_PORT`, default 8088.
    pub port: u16,
    /// The service's database.
    pub database: DatabaseConfig,
    /// `IDENTITY_KEYS_DIR`, default `keys` in `VISCOUNT_DATA_DIR`: where the signing keys are. Replicas share it.
    pub keys_dir: PathBuf,
    /// `IDENTITY_KEY_AGE`, default 30 days: how long a key signs before the next one takes over.
    pub key_age: Duration,
    /// `VISCOUNT_ISSUER`, default `first-viscount`: the `iss` of tokens. Best the shop's public URL.
    pub issuer: String,
    /// `VISCOUNT_AUDIENCE`, default `first-viscount`: the `aud` of tokens.
    pub audience: String,
    /// `IDENTITY_PUBLIC_URL`: where clients reach the endpoints that discovery names. Without it the issuer, when that
    /// is a URL, else the host that the client asked.
    pub public_url: Option<String>,
    /// `IDENTITY_TOKEN_LIFE`, default 15 minutes, an hour at most: how long an access token is good.
    pub token_life: Duration,
    /// `IDENTITY_REFRESH_LIFE`, default 30 days, and `IDENTITY_SESSION_LIFE`, default 90 days: how long a refresh token
    /// may lie unused, and how long a session lasts however often it is renewed.
    pub lifetimes: Lifetimes,
    /// `IDENTITY_PASSWORD_THREADS`, default one per core, `IDENTITY_PASSWORD_WAITING`, default 256, and
    /// `IDENTITY_PASSWORD_WAIT`, default 3 s: how many passwords are hashed at once, how many wait, and how long.
    pub passwords: PasswordsSpec,
    /// `IDENTITY_ADMIN_EMAIL`, default `admin@localhost`: the first administrator.
    pub admin_email: EmailAddress,
    /// `IDENTITY_ADMIN_PASSWORD`: their password. Without it one is made up and told to `on_first_admin`. Both settings
    /// mean nothing any more once the administrator is there.
    pub admin_password: Option<Password>,
    /// Told once, when the first start of all has made an administrator. Without it the administrator is made all the
    /// same, but a later start will make another password, until one can be told.
    pub on_first_admin: Option<OnFirstAdmin>,
    /// `IDENTITY_CLIENT_ID`, default `viscount-internal`: the client that the platform's own services use.
    pub client_id: String,
    /// `IDENTITY_CLIENT_SECRET`, at least 32 characters. Without it the secret is read from `client_secret_file`.
    pub client_secret: Option<ClientSecret>,
    /// `IDENTITY_CLIENT_SECRET_FILE`, default `internal-client.secret` in `keys_dir`: made by the first start.
    pub client_secret_file: PathBuf,
}

/// Hears of the first administrator.
pub type OnFirstAdmin = Arc<dyn Fn(FirstAdmin) + Send + Sync>;

/// The administrator that the first start of all makes.
#[derive(Clone, PartialEq, Eq)]
pub struct FirstAdmin {
    /// What to log in with.
    pub email: String,
    /// The password, told this once.
    pub password: String,
}

impl fmt::Debug for FirstAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstAdmin(…)")
    }
}

/// The secret of a client: long, so that guessing is hopeless and a plain hash of it may be stored.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret(String);

impl ClientSecret {
    /// The shortest secret, in bytes.
    const SHORTEST: usize = 32;

    /// Reads a secret; `None` when it is too short, or not visible ASCII.
    pub fn parse(text: &str) -> Option<Self> {
        let sane =
            (Self::SHORTEST..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        sane.then(|| Self(text.to_owned()))
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

impl Config {
    /// Reads and checks the environment.
    pub fn from_env(env: &Env, database_url: String) -> Result<Self, ConfigError> {
        let data_dir = PathBuf::from(env.get("VISCOUNT_DATA_DIR").unwrap_or(".viscount"));
        let keys_dir = env.get("IDENTITY_KEYS_DIR").map_or_else(|| data_dir.join("keys"), PathBuf::from);
        let secret_file = env.get("IDENTITY_CLIENT_SECRET_FILE");
        Ok(Self {
            port: env.parse_or("IDENTITY_PORT", 8088)?,
            database: DatabaseConfig::new(database_url),
            key_age: at_least(env, "IDENTITY_KEY_AGE", 30 * DAY, MINUTE)?,
            issuer: env.get("VISCOUNT_ISSUER").unwrap_or("first-viscount").to_owned(),
            audience: env.get("VISCOUNT_AUDIENCE").unwrap_or("first-viscount").to_owned(),
            public_url: public_url(env)?,
            token_life: token_life(env)?,
            lifetimes: Lifetimes {
                idle: at_least(env, "IDENTITY_REFRESH_LIFE", 30 * DAY, MINUTE)?,
                session: at_least(env, "IDENTITY_SESSION_LIFE", 90 * DAY, MINUTE)?,
            },
            passwords: passwords(env)?,
            admin_email: admin_email(env)?,
            admin_password: admin_password(env)?,
            on_first_admin: None,
            client_id: client_id(env)?,
            client_secret: client_secret(env)?,
            client_secret_file: secret_file
                .map_or_else(|| keys_dir.join("internal-client.secret"), PathBuf::from),
            keys_dir,
        })
    }
}

fn at_least(
    env: &Env,
    name: &'static str,
    default: Duration,
    least: Duration,
) -> Result<Duration, ConfigError> {
    let value = env.duration_or(name, default)?;
    if value < least {
        return Err(ConfigError::new(name, format!("must be at least {} s", least.as_secs())));
    }
    Ok(value)
}

fn token_life(env: &Env) -> Result<Duration, ConfigError> {
    let life = at_least(env, "IDENTITY_TOKEN_LIFE", 15 * MINUTE, Duration::from_secs(1))?;
    if life > ORDINARY_LIFE {
        let hint = "must be an hour at the most: a withdrawn key is believed for as long";
        return Err(ConfigError::new("IDENTITY_TOKEN_LIFE", hint));
    }
    Ok(life)
}

fn public_url(env: &Env) -> Result<Option<String>, ConfigError> {
    let Some(text) = env.get("IDENTITY_PUBLIC_URL") else { return Ok(None) };
    if !text.starts_with("https://") && !text.starts_with("http://") {
        return Err(ConfigError::new("IDENTITY_PUBLIC_URL", "must begin with https:// or http://"));
    }
    Ok(Some(text.trim_end_matches('/').to_owned()))
}

fn passwords(env: &Env) -> Result<PasswordsSpec, ConfigError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = env.parse_or("IDENTITY_PASSWORD_THREADS", cores)?;
    if !(1..=1024).contains(&threads) {
        return Err(ConfigError::new("IDENTITY_PASSWORD_THREADS", "must be between 1 and 1024"));
    }
    let waiting = env.parse_or("IDENTITY_PASSWORD_WAITING", 256)?;
    if waiting > 100_000 {
        return Err(ConfigError::new("IDENTITY_PASSWORD_WAITING", "must be 100000 at the most"));
    }
    let patience = env.duration_or("IDENTITY_PASSWORD_WAIT", Duration::from_secs(3))?;
    Ok(PasswordsSpec { threads, waiting, patience })
}

fn admin_email(env: &Env) -> Result<EmailAddress, ConfigError> {
    const NAME: &str = "IDENTITY_ADMIN_EMAIL";
    EmailAddress::parse(env.get(NAME).unwrap_or("admin@localhost"))
        .map_err(|problem| ConfigError::new(NAME, problem.to_string()))
}

fn admin_password(env: &Env) -> Result<Option<Password>, ConfigError> {
    const NAME: &str = "IDENTITY_ADMIN_PASSWORD";
    let Some(text) = env.get(NAME) else { return Ok(None) };
    Password::choose(text.to_owned()).map(Some).map_err(|problem| ConfigError::new(NAME, problem.to_string()))
}

fn client_id(env: &Env) -> Result<String, ConfigError> {
    let id = env.get("IDENTITY_CLIENT_ID").unwrap_or("viscount-internal");
    if id.len() > 128 || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ConfigError::new("IDENTITY_CLIENT_ID", "must be at most 128 visible ASCII characters"));
    }
    Ok(id.to_owned())
}

fn client_secret(env: &Env) -> Result<Option<ClientSecret>, ConfigError> {
    let Some(text) = env.get("IDENTITY_CLIENT_SECRET") else { return Ok(None) };
    let refused = || ConfigError::new("IDENTITY_CLIENT_SECRET", "must be 32 to 256 visible ASCII characters");
    ClientSecret::parse(text).map(Some).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_env(&Env::from_pairs(pairs.iter().copied()), "postgres://nobody@localhost/none".into())
    }

    #[test]
    fn nothing_needs_to_be_set() {
        let config = read(&[]).unwrap();
        assert_eq!((config.port, config.token_life), (8088, 15 * MINUTE));
        assert_eq!(config.keys_dir, PathBuf::from(".viscount/keys"));
        assert_eq!(config.client_secret_file, PathBuf::from(".viscount/keys/internal-client.secret"));
        assert_eq!(config.admin_email.as_written(), "admin@localhost");
    }

    #[test]
    fn a_wrong_value_is_named_and_not_repeated() {
        for (name, value) in [
            ("IDENTITY_PORT", "eighty"),
            ("IDENTITY_KEY_AGE", "1s"),
            ("IDENTITY_TOKEN_LIFE", "0s"),
            ("IDENTITY_TOKEN_LIFE", "2h"),
            ("IDENTITY_REFRESH_LIFE", "soon"),
            ("IDENTITY_SESSION_LIFE", "1ms"),
            ("IDENTITY_PASSWORD_THREADS", "0"),
            ("IDENTITY_PASSWORD_WAITING", "1000000"),
            ("IDENTITY_ADMIN_EMAIL", "nobody"),
            ("IDENTITY_ADMIN_PASSWORD", "hunter2"),
            ("IDENTITY_CLIENT_ID", "two words"),
            ("IDENTITY_CLIENT_SECRET", "hunter2"),
            ("IDENTITY_PUBLIC_URL", "shop.example"),
        ] {
            let error = read(&[(name, value)]).err().unwrap();
            assert_eq!(error.variable, name);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn secrets_do_not_show() {
        let secret = ClientSecret::parse(&"s3cret".repeat(8)).unwrap();
        let admin = FirstAdmin { email: "admin@localhost".into(), password: "s3cret".into() };
        assert!(!format!("{secret:?} {admin:?}").contains("s3cret"));
    }
}
