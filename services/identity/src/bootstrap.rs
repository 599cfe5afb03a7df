//! What the first start of all makes: an administrator, and the client that the platform's own services use.

use std::{io, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use sqlx::PgPool;
use viscount_chassis::{auth::Role, config::ConfigError, service::ServiceError, store::CommitError};
use viscount_contracts::UserId;

use crate::{
    config::{ClientSecret, Config, FirstAdmin},
    domain::{DisplayName, NewUser, Password, TokenHash},
    error::IdentityError,
    identity::Identity,
    keys::files::{lock, write_private},
    store::{FirstStart, Turn},
};

/// The secret of the internal client: as configured, else from its file, which is made when it is not there.
/// Works on files.
pub fn client_secret(config: &Config) -> Result<ClientSecret, ConfigError> {
    if let Some(secret) = &config.client_secret {
        return Ok(secret.clone());
    }
    let path = &config.client_secret_file;
    read_or_make(path).map_err(|error| {
        ConfigError::new("IDENTITY_CLIENT_SECRET_FILE", format!("{}: {error}", path.display()))
    })
}

fn read_or_make(path: &Path) -> io::Result<ClientSecret> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let _lock = lock(&path.with_extension("lock"))?;
    match std::fs::read_to_string(path) {
        Ok(text) => ClientSecret::parse(text.trim()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "not 32 to 256 visible ASCII characters")
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
            write_private(path, format!("{text}\n").as_bytes())?;
            ClientSecret::parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
        }
        Err(error) => Err(error),
    }
}

/// Makes sure that the internal client has this secret.
pub async fn client(identity: &Identity, config: &Config, secret: &ClientSecret) -> Result<(), ServiceError> {
    let hash = TokenHash::of(secret.reveal().as_bytes());
    Ok(identity.clients.put(&config.client_id, hash, Role::Service.into()).await?)
}

/// Makes the first administrator, once in the life of the database, however many replicas start.
///
/// The password is told before it is noted as told. A process that dies in between has told a password nobody may have
/// read: the next start makes and tells another one.
pub async fn administrator(identity: &Identity, config: &Config, pool: &PgPool) -> Result<(), ServiceError> {
    let mut turn = Turn::take(pool).await?;
    let state = turn.state().await?;
    if matches!(state, FirstStart::Done) {
        return Ok(());
    }
    let text = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 18]>());
    let password = config.admin_password.clone().unwrap_or_else(|| Password::attempt(text.clone()));
    let hash = identity.passwords.hash(password).await.map_err(not_now)?;
    match state {
        FirstStart::Nobody => {
            let name = DisplayName::parse("Administrator").map_err(|error| impossible(error.to_string()))?;
            let email = config.admin_email.clone();
            let admin = NewUser::administrator(UserId::new(), email, name, hash, Timestamp::now());
            identity.commit(admin).await.map_err(|error| match error {
                IdentityError::EmailTaken => impossible("belongs to a customer; set another address".into()),
                other => not_now(other),
            })?;
        }
        FirstStart::Untold(admin) => turn.replace_password(admin, &hash).await?,
        FirstStart::Done => {}
    }
    match &config.on_first_admin {
        _ if config.admin_password.is_some() => turn.told().await?,
        Some(tell) => {
            tell(FirstAdmin { email: config.admin_email.as_written().to_owned(), password: text });
            turn.told().await?;
        }
        None => tracing::warn!(
            "nobody to tell the first administrator's password to; set IDENTITY_ADMIN_PASSWORD"
        ),
    }
    tracing::info!("first administrator made");
    Ok(())
}

/// What another try may cure is tried again by whoever boots the service.
fn not_now(error: impl Into<IdentityError>) -> ServiceError {
    match error.into() {
        IdentityError::Sql(error) => error.into(),
        IdentityError::Commit(CommitError::Refused { constraint }) => {
            impossible(format!("the database refused the administrator ({constraint})"))
        }
        error => {
            tracing::warn!(%error, "the first administrator could not be made yet");
            sqlx::Error::PoolTimedOut.into()
        }
    }
}

fn impossible(problem: String) -> ServiceError {
    ConfigError::new("IDENTITY_ADMIN_EMAIL", problem).into()
}
