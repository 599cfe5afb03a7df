//! Writes new users together with their events, many at a time.

use std::{collections::HashSet, sync::Arc};

use jiff_sqlx::ToSqlx as _;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _};
use uuid::Uuid;
use viscount_chassis::store::{Batch, Writer, bind_events, statement};

use crate::domain::{NewUser, RolesText as _};

/// The constraint that keeps addresses apart.
pub const EMAIL_TAKEN: &str = "users_email";

/// Roles travel as one text per user: PostgreSQL has no arrays of arrays of different lengths.
const REGISTERED: &str = "insert into users (id, email, email_key, name, password_hash, roles, created_at)
    select u.id, u.email, u.email_key, u.name, u.password_hash, string_to_array(u.roles, ' '), u.at
    from unnest($9::uuid[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::timestamptz[])
        as u (id, email, email_key, name, password_hash, roles, at)
    returning 1";

const FIRST: &str = "insert into first_start (admin_id) select unnest($16::uuid[]) returning 1";

/// Writes users.
pub struct UserWriter {
    sql: Arc<str>,
}

impl UserWriter {
    /// Puts the statement together.
    pub fn new() -> Self {
        Self { sql: statement(&[("registered", REGISTERED), ("first", FIRST)]).into() }
    }
}

impl Default for UserWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer for UserWriter {
    type Projection = NewUser;

    async fn write(
        &self,
        connection: &mut PgConnection,
        batch: &Batch<'_, NewUser>,
    ) -> Result<i64, sqlx::Error> {
        let users = || batch.projections();
        let texts = |field: fn(&NewUser) -> String| users().map(field).collect::<Vec<_>>();
        let ids: Vec<Uuid> = users().map(|user| user.id.uuid()).collect();
        let times: Vec<_> = users().map(|user| user.at.to_sqlx()).collect();
        let first: Vec<Uuid> = users().filter(|user| user.first_admin).map(|user| user.id.uuid()).collect();
        let query = bind_events(sqlx::query(AssertSqlSafe(self.sql.clone())), batch)
            .bind(ids)
            .bind(texts(|user| user.email.as_written().to_owned()))
            .bind(texts(|user| user.email.key().to_owned()))
            .bind(texts(|user| user.name.as_str().to_owned()))
            .bind(texts(|user| user.password.as_phc().to_owned()))
            .bind(texts(|user| user.roles.names().join(" ")))
            .bind(times)
            .bind(first);
        query.fetch_one(connection).await?.try_get(0)
    }

    /// One taken address must not hold up the others of its batch.
    async fn blame(&self, pool: &PgPool, batch: &Batch<'_, NewUser>) -> Result<Vec<bool>, sqlx::Error> {
        let keys: Vec<String> = batch.projections().map(|user| user.email.key().to_owned()).collect();
        let taken: Vec<String> = sqlx::query_scalar("select email_key from users where email_key = any($1)")
            .bind(&keys)
            .fetch_all(pool)
            .await?;
        let mut taken: HashSet<_> = taken.into_iter().collect();
        // Who comes second with an address of the same batch is refused too.
        Ok(keys.into_iter().map(|key| !taken.insert(key)).collect())
    }
}
