//! Locks. Each question is one statement on one row, so the database alone decides who holds what.
//!
//! `clock_timestamp()`, not `now()`: a statement may have waited for the row, and the beginning of its transaction is long
//! past then.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{PgPool, Row, postgres::PgRow};

use crate::domain::{LockName, Owner};

/// Names that are kept. They are kept for ever, so there has to be an end.
const MOST_NAMES: i64 = 10_000;

/// A lock as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// What it is called.
    pub name: String,
    /// The newest fencing token.
    pub token: i64,
    /// Who was given it; none when it was given back.
    pub owner: Option<String>,
    /// When.
    pub acquired_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
    /// True when somebody holds it, by the database's clock.
    pub held: bool,
}

macro_rules! columns {
    () => {
        "name, token, owner, acquired_at, expires_at,
         owner is not null and expires_at > clock_timestamp() as held"
    };
}

fn lock(row: &PgRow) -> Result<Lock, sqlx::Error> {
    let time = |column: &str| row.try_get::<SqlTimestamp, _>(column).map(SqlTimestamp::to_jiff);
    Ok(Lock {
        name: row.try_get("name")?,
        token: row.try_get("token")?,
        owner: row.try_get("owner")?,
        acquired_at: time("acquired_at")?,
        expires_at: time("expires_at")?,
        held: row.try_get("held")?,
    })
}

/// Takes a lock that is free, or that this owner has already (its former token is worth nothing then); none when somebody
/// else holds it, or when there are too many names already.
pub async fn acquire(
    pool: &PgPool,
    name: &LockName,
    owner: &Owner,
    ttl: Duration,
) -> Result<Option<Lock>, sqlx::Error> {
    sqlx::query(concat!(
        "insert into locks as l (name, token, owner, acquired_at, expires_at)
         select $1, 1, $2, clock_timestamp(), clock_timestamp() + $3 * interval '1 second'
         where exists (select from locks where name = $1) or (select count(*) from locks) < $4
         on conflict (name) do update set token = l.token + 1, owner = excluded.owner,
             acquired_at = clock_timestamp(), expires_at = clock_timestamp() + $3 * interval '1 second'
         where l.owner is null or l.owner = excluded.owner or l.expires_at <= clock_timestamp()
         returning ",
        columns!()
    ))
    .bind(name.as_str())
    .bind(owner.as_str())
    .bind(ttl.as_secs_f64())
    .bind(MOST_NAMES)
    .try_map(|row| lock(&row))
    .fetch_optional(pool)
    .await
}

/// Keeps a lock for longer; none when this token does not hold it any more.
pub async fn renew(
    pool: &PgPool,
    name: &LockName,
    token: i64,
    ttl: Duration,
) -> Result<Option<Lock>, sqlx::Error> {
    sqlx::query(concat!(
        "update locks set expires_at = clock_timestamp() + $3 * interval '1 second'
         where name = $1 and token = $2 and owner is not null and expires_at > clock_timestamp()
         returning ",
        columns!()
    ))
    .bind(name.as_str())
    .bind(token)
    .bind(ttl.as_secs_f64())
    .try_map(|row| lock(&row))
    .fetch_optional(pool)
    .await
}

/// Gives a lock back; true when nobody was given it since, whether it had expired, or was given back before, or not.
pub async fn release(pool: &PgPool, name: &LockName, token: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("update locks set owner = null where name = $1 and token = $2")
        .bind(name.as_str())
        .bind(token)
        .execute(pool)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// A lock as it is; none when it was never taken.
pub async fn find(pool: &PgPool, name: &LockName) -> Result<Option<Lock>, sqlx::Error> {
    sqlx::query(concat!("select ", columns!(), " from locks where name = $1"))
        .bind(name.as_str())
        .try_map(|row| lock(&row))
        .fetch_optional(pool)
        .await
}
