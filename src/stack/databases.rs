//! The database server: a private one, or the one that `DATABASE_URL` names.

use viscount_chassis::{
    config::{ConfigError, Env},
    devpg::{DevPostgres, DevPostgresConfig, provision},
};

use super::{Part, Urls};
use crate::{failure::Failure, home::Home};

/// A database server to make databases on.
pub enum Server {
    /// Ours, under the data directory.
    Private(Box<DevPostgres>),
    /// Somebody else's.
    Given {
        /// Connects as somebody who may make roles and databases.
        admin_url: String,
    },
    /// None: no part that runs here has a database.
    Unneeded,
}

impl Server {
    /// The server that `DATABASE_URL` names, or a private one.
    pub async fn start(env: &Env, home: &Home) -> Result<Self, Failure> {
        match env.get("DATABASE_URL") {
            Some(url) => {
                if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
                    return Err(ConfigError::new("DATABASE_URL", "is not a postgres:// url").into());
                }
                Ok(Server::Given { admin_url: url.to_owned() })
            }
            None => {
                let config =
                    DevPostgresConfig { max_connections: 120, ..DevPostgresConfig::new(home.postgres()) };
                Ok(Server::Private(Box::new(DevPostgres::start(config).await?)))
            }
        }
    }

    /// The same, when one of these parts has a database.
    pub async fn start_for(parts: &[Part], env: &Env, home: &Home) -> Result<Self, Failure> {
        match parts.iter().any(|part| part.database().is_some()) {
            true => Self::start(env, home).await,
            false => Ok(Server::Unneeded),
        }
    }

    /// Connects as somebody who may do everything.
    fn admin_url(&self) -> String {
        match self {
            Server::Private(postgres) => postgres.admin_url(),
            Server::Given { admin_url } => admin_url.clone(),
            Server::Unneeded => String::new(),
        }
    }

    /// Host and port, for people.
    pub fn address(&self) -> String {
        match self {
            Server::Private(postgres) => format!("127.0.0.1:{}", postgres.port()),
            Server::Given { admin_url } => admin_url
                .rsplit('@')
                .next()
                .and_then(|rest| rest.split('/').next())
                .unwrap_or_default()
                .to_owned(),
            Server::Unneeded => String::new(),
        }
    }

    /// Makes each part's role and database where missing, and gives their URLs.
    pub async fn provision(&self, home: &Home, parts: &[Part]) -> Result<Urls, Failure> {
        let admin = self.admin_url();
        let mut urls = Urls::default();
        for part in parts {
            if let Some(database) = part.database() {
                let role = format!("viscount_{}", part.name());
                let password = home.secret(&role)?;
                urls.insert(*part, provision(&admin, database, &role, &password).await?);
            }
        }
        Ok(urls)
    }

    /// Stops a private server; leaves somebody else's alone.
    pub async fn stop(self) -> Result<(), Failure> {
        match self {
            Server::Private(postgres) => Ok(postgres.stop().await?),
            Server::Given { .. } | Server::Unneeded => Ok(()),
        }
    }
}
