//! Reading users.

use sqlx::{PgPool, Row as _};
use uuid::Uuid;
use viscount_chassis::auth::Roles;
use viscount_contracts::UserId;

use crate::domain::{EmailAddress, PasswordHash, RolesText as _};

/// What a login is checked against.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Who.
    pub id: UserId,
    /// The hash of their password.
    pub password: PasswordHash,
    /// What they may do.
    pub roles: Roles,
}

/// What users are told about themselves.
#[derive(Clone)]
pub struct Profile {
    /// Their id.
    pub id: UserId,
    /// Their address, as they wrote it.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// What they may do.
    pub roles: Roles,
}

/// The table of users.
#[derive(Debug, Clone)]
pub struct Users {
    pool: PgPool,
}

impl Users {
    /// Users in this database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// True when somebody has this address, in whatever case.
    pub async fn has(&self, email: &EmailAddress) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("select exists (select from users where email_key = $1)")
            .bind(email.key())
            .fetch_one(&self.pool)
            .await
    }

    /// What a login with this address is checked against; `None` when nobody has it.
    pub async fn credentials(&self, email: &EmailAddress) -> Result<Option<Credentials>, sqlx::Error> {
        let row = sqlx::query("select id, password_hash, roles from users where email_key = $1")
            .bind(email.key())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| {
            Ok(Credentials {
                id: row.try_get::<Uuid, _>("id")?.into(),
                password: PasswordHash::from_phc(row.try_get("password_hash")?),
                roles: Roles::of_names(&row.try_get::<Vec<String>, _>("roles")?),
            })
        })
        .transpose()
    }

    /// A user's own view; `None` when the subject is no user (a program, or somebody deleted).
    pub async fn profile(&self, id: UserId) -> Result<Option<Profile>, sqlx::Error> {
        let row = sqlx::query("select email, name, roles from users where id = $1")
            .bind(id.uuid())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| {
            Ok(Profile {
                id,
                email: row.try_get("email")?,
                name: row.try_get("name")?,
                roles: Roles::of_names(&row.try_get::<Vec<String>, _>("roles")?),
            })
        })
        .transpose()
    }
}
