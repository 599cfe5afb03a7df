//! Programs that get tokens for themselves.

use sqlx::{PgPool, Row as _};
use uuid::Uuid;
use viscount_chassis::auth::Roles;
use viscount_contracts::UserId;

use crate::domain::{RolesText as _, TokenHash};

/// A program that has proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The subject of its tokens.
    pub subject: UserId,
    /// What it may do.
    pub roles: Roles,
}

/// The table of clients.
#[derive(Debug, Clone)]
pub struct Clients {
    pool: PgPool,
}

impl Clients {
    /// Clients in this database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The client of this name when the secret is its own. The database compares hashes of long random secrets: what
    /// the time of a comparison could tell about a hash is of no use.
    pub async fn prove(&self, name: &str, secret: TokenHash) -> Result<Option<Client>, sqlx::Error> {
        let row = sqlx::query("select subject, roles from clients where client_id = $1 and secret_hash = $2")
            .bind(name)
            .bind(secret.as_bytes().as_slice())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| {
            Ok(Client {
                subject: row.try_get::<Uuid, _>("subject")?.into(),
                roles: Roles::of_names(&row.try_get::<Vec<String>, _>("roles")?),
            })
        })
        .transpose()
    }

    /// Makes sure that this client exists with this secret. It keeps its subject when it is there already.
    pub async fn put(&self, name: &str, secret: TokenHash, roles: Roles) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into clients (client_id, subject, secret_hash, roles) values ($1, $2, $3, $4)
             on conflict (client_id) do update set secret_hash = excluded.secret_hash, roles = excluded.roles
             where (clients.secret_hash, clients.roles) is distinct from (excluded.secret_hash, excluded.roles)",
        )
        .bind(name)
        .bind(UserId::new().uuid())
        .bind(secret.as_bytes().as_slice())
        .bind(roles.names())
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
