//! Whether this installation has its first administrator, asked by one replica at a time.

use sqlx::{PgPool, Postgres, Row as _, Transaction};
use uuid::Uuid;
use viscount_contracts::UserId;

use crate::domain::PasswordHash;

/// The key of the advisory lock; advisory locks are per database, so that any number of ours will do.
const LOCK: i64 = 0x0066_6972_7374;

/// What is known of the first administrator.
pub enum FirstStart {
    /// Nobody has made one.
    Nobody,
    /// Made, but whoever made it died before the password was told.
    Untold(UserId),
    /// Made and told.
    Done,
}

/// The right to make the first administrator. Other replicas wait until it is given back.
pub struct Turn {
    transaction: Transaction<'static, Postgres>,
}

impl Turn {
    /// Waits for the right.
    pub async fn take(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut transaction = pool.begin().await?;
        sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
        Ok(Self { transaction })
    }

    /// How things stand.
    pub async fn state(&mut self) -> Result<FirstStart, sqlx::Error> {
        let row = sqlx::query("select admin_id, announced_at is not null as told from first_start")
            .fetch_optional(&mut *self.transaction)
            .await?;
        let Some(row) = row else { return Ok(FirstStart::Nobody) };
        Ok(if row.try_get("told")? {
            FirstStart::Done
        } else {
            FirstStart::Untold(row.try_get::<Uuid, _>("admin_id")?.into())
        })
    }

    /// Gives the administrator another password.
    pub async fn replace_password(
        &mut self,
        admin: UserId,
        password: &PasswordHash,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("update users set password_hash = $2 where id = $1")
            .bind(admin.uuid())
            .bind(password.as_phc())
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// The password has been told. Ends the turn.
    pub async fn told(mut self) -> Result<(), sqlx::Error> {
        sqlx::query("update first_start set announced_at = now()").execute(&mut *self.transaction).await?;
        self.transaction.commit().await
    }
}
