//! Sessions: opened by a login, renewed by each refresh token once, ended by a logout or by a token shown twice.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;
use viscount_chassis::auth::Roles;
use viscount_contracts::UserId;

use crate::domain::{Lifetimes, RefreshToken, RolesText as _};

/// How many ended sessions one sweep deletes at the most.
const SWEEP: i64 = 5_000;

/// What a refresh token led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// It was the newest of its session, which goes on with the token that replaced it.
    Renewed(Renewed),
    /// It was an older one of a session that was open until now. Somebody else may have it: the session is ended.
    Reused {
        /// Whose session it was.
        user: UserId,
    },
    /// Unknown, expired, or of a session that has ended.
    Refused,
}

/// A session that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// Whose session it is.
    pub user: UserId,
    /// What they may do now; it may differ from what it was at login.
    pub roles: Roles,
}

/// The table of sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    pool: PgPool,
    lifetimes: Lifetimes,
}

impl Sessions {
    /// Sessions in this database.
    pub fn new(pool: PgPool, lifetimes: Lifetimes) -> Self {
        Self { pool, lifetimes }
    }

    /// Opens a session, which this token can renew.
    pub async fn open(&self, user: UserId, token: &RefreshToken, now: Timestamp) -> Result<(), sqlx::Error> {
        let ends_at = self.lifetimes.ends_at(now);
        sqlx::query(
            "insert into sessions (id, user_id, token_hash, created_at, expires_at, ends_at)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(token.session().uuid())
        .bind(user.uuid())
        .bind(token.hash().as_bytes().as_slice())
        .bind(now.to_sqlx())
        .bind(self.lifetimes.expires_at(now, ends_at).to_sqlx())
        .bind(ends_at.to_sqlx())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Shows a token: replaces it by `next` when it is the newest of its session, ends the session when it is not.
    ///
    /// One statement decides both, on the newest state of the row: of several requests with one token the first to
    /// lock the row renews, the next one finds another hash there and ends the session.
    pub async fn renew(
        &self,
        shown: &RefreshToken,
        next: &RefreshToken,
        now: Timestamp,
    ) -> Result<Renewal, sqlx::Error> {
        let row = sqlx::query(
            "update sessions s set
                 token_hash = case when s.token_hash = $2 then $3 else s.token_hash end,
                 renewals = s.renewals + (s.token_hash = $2)::int,
                 expires_at = case when s.token_hash = $2 then least($5, s.ends_at) else s.expires_at end,
                 revoked_at = case when s.token_hash = $2 then null else $4 end,
                 revoked_for = case when s.token_hash = $2 then null else 'reuse' end
             from users u
             where s.id = $1 and u.id = s.user_id and s.revoked_at is null and s.expires_at > $4
             returning s.user_id, u.roles, s.revoked_at is null as renewed",
        )
        .bind(shown.session().uuid())
        .bind(shown.hash().as_bytes().as_slice())
        .bind(next.hash().as_bytes().as_slice())
        .bind(now.to_sqlx())
        .bind(self.lifetimes.expires_at(now, Timestamp::MAX).to_sqlx())
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(Renewal::Refused) };
        let user = UserId::from(row.try_get::<Uuid, _>("user_id")?);
        Ok(if row.try_get("renewed")? {
            Renewal::Renewed(Renewed {
                user,
                roles: Roles::of_names(&row.try_get::<Vec<String>, _>("roles")?),
            })
        } else {
            Renewal::Reused { user }
        })
    }

    /// Ends the session that a token belongs to, also when the token is not its newest. True when it was open.
    pub async fn end(&self, shown: &RefreshToken, now: Timestamp) -> Result<bool, sqlx::Error> {
        let ended = sqlx::query(
            "update sessions set revoked_at = $2, revoked_for = 'logout'
             where id = $1 and revoked_at is null and expires_at > $2",
        )
        .bind(shown.session().uuid())
        .bind(now.to_sqlx())
        .execute(&self.pool)
        .await?;
        Ok(ended.rows_affected() > 0)
    }

    /// Deletes sessions whose newest token has expired before `before`. Returns how many.
    pub async fn sweep(&self, before: Timestamp) -> Result<u64, sqlx::Error> {
        let swept = sqlx::query(
            "delete from sessions where id in (select id from sessions where expires_at < $1 limit $2 for update skip locked)",
        )
        .bind(before.to_sqlx())
        .bind(SWEEP)
        .execute(&self.pool)
        .await?;
        Ok(swept.rows_affected())
    }
}
