//! What runs: registrations and their leases.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use crate::domain::{Health, InstanceId, Registration, ServiceName};

/// A registered instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Itself.
    pub id: InstanceId,
    /// The version of its stream.
    pub version: i32,
    /// What it serves.
    pub service: String,
    /// Where it listens.
    pub address: String,
    /// The version of its program.
    pub build: String,
    /// What else it told.
    pub metadata: BTreeMap<String, String>,
    /// How long its lease is, in seconds.
    pub lease_seconds: i32,
    /// When it came.
    pub registered_at: Timestamp,
    /// Until when it is believed to be there.
    pub expires_at: Timestamp,
    /// Its lease was found expired and cannot be renewed.
    pub expired: bool,
    /// How it is.
    pub health: Health,
    /// Since when.
    pub health_since: Timestamp,
    /// How often in a row it did not answer well.
    pub failures: u32,
    /// What it answered last, as JSON.
    pub checks: Option<String>,
    /// When it was asked last.
    pub checked_at: Option<Timestamp>,
}

macro_rules! columns {
    () => {
        "instance_id, version, service, address, build, metadata, lease_seconds, registered_at, expires_at, expired,
         health, health_since, failures, checks, checked_at"
    };
}
pub(super) use columns;

pub(super) fn instance(row: &PgRow) -> Result<Instance, sqlx::Error> {
    let time = |column: &str| row.try_get::<SqlTimestamp, _>(column).map(SqlTimestamp::to_jiff);
    let unreadable = |column: &str, source: Box<dyn std::error::Error + Send + Sync>| {
        sqlx::Error::ColumnDecode { index: column.to_owned(), source }
    };
    let metadata = serde_json::from_str(row.try_get("metadata")?);
    let health = row.try_get::<&str, _>("health")?.parse();
    Ok(Instance {
        id: row.try_get::<Uuid, _>("instance_id")?.into(),
        version: row.try_get("version")?,
        service: row.try_get("service")?,
        address: row.try_get("address")?,
        build: row.try_get("build")?,
        metadata: metadata.map_err(|error| unreadable("metadata", error.into()))?,
        lease_seconds: row.try_get("lease_seconds")?,
        registered_at: time("registered_at")?,
        expires_at: time("expires_at")?,
        expired: row.try_get("expired")?,
        health: health.map_err(|error: crate::domain::UnknownHealth| unreadable("health", error.into()))?,
        health_since: time("health_since")?,
        failures: u32::try_from(row.try_get::<i32, _>("failures")?).unwrap_or(0),
        checks: row.try_get("checks")?,
        checked_at: row.try_get::<Option<SqlTimestamp>, _>("checked_at")?.map(SqlTimestamp::to_jiff),
    })
}

/// Metadata as it is kept: the same entries are the same text.
pub(super) fn metadata_text(registration: &Registration) -> String {
    // A map of texts is always JSON.
    serde_json::to_string(registration.metadata.entries()).unwrap_or_else(|_| "{}".to_owned())
}

/// Renews the lease of an instance; none when it is not registered, or when its lease was found expired.
pub async fn renew(pool: &PgPool, id: InstanceId) -> Result<Option<Instance>, sqlx::Error> {
    sqlx::query(concat!(
        "update instances set expires_at = now() + lease_seconds * interval '1 second'
         where instance_id = $1 and not expired returning ",
        columns!()
    ))
    .bind(id.uuid())
    .try_map(|row| instance(&row))
    .fetch_optional(pool)
    .await
}

/// The same for one that tells what it told before, word for word.
pub async fn renew_same(pool: &PgPool, told: &Registration) -> Result<Option<Instance>, sqlx::Error> {
    sqlx::query(concat!(
        "update instances set expires_at = now() + lease_seconds * interval '1 second'
         where instance_id = $1 and service = $2 and address = $3 and build = $4 and metadata = $5
             and lease_seconds = $6 and not expired
         returning ",
        columns!()
    ))
    .bind(told.id.uuid())
    .bind(told.service.as_str())
    .bind(told.address.as_str())
    .bind(&told.build)
    .bind(metadata_text(told))
    .bind(i32::from(told.lease.seconds()))
    .try_map(|row| instance(&row))
    .fetch_optional(pool)
    .await
}

/// One instance, whether its lease is good or not.
pub async fn find(pool: &PgPool, id: InstanceId) -> Result<Option<Instance>, sqlx::Error> {
    sqlx::query(concat!("select ", columns!(), " from instances where instance_id = $1"))
        .bind(id.uuid())
        .try_map(|row| instance(&row))
        .fetch_optional(pool)
        .await
}

/// The version of an instance's newest event; 0 when nothing was ever told of it.
pub async fn newest_version(pool: &PgPool, id: InstanceId) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("select coalesce(max(version), 0) from events where stream = $1")
        .bind(id.uuid())
        .fetch_one(pool)
        .await
}

/// Instances whose lease was not found expired, by service and id, at most `limit` of those behind `after`.
pub async fn list(
    pool: &PgPool,
    service: Option<&ServiceName>,
    health: Option<Health>,
    after: Option<&(String, Uuid)>,
    limit: u32,
) -> Result<Vec<Instance>, sqlx::Error> {
    sqlx::query(concat!(
        "select ",
        columns!(),
        " from instances
         where not expired and ($1::text is null or service = $1)
             and ($2::text is null or health = $2) and ($3::text is null or (service, instance_id) > ($3, $4::uuid))
         order by service, instance_id limit $5"
    ))
    .bind(service.map(ServiceName::as_str))
    .bind(health.map(Health::as_str))
    .bind(after.map(|(service, _)| service.as_str()))
    .bind(after.map(|(_, id)| *id))
    .bind(i64::from(limit))
    .try_map(|row| instance(&row))
    .fetch_all(pool)
    .await
}

/// How many are registered.
pub async fn count(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from instances").fetch_one(pool).await
}

/// How many there are of each health.
pub async fn by_health(pool: &PgPool) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as("select health, count(*) from instances group by health").fetch_all(pool).await
}

/// Says that somebody looks for leases that are over. When nobody has for longer than `gap`, nobody could renew one
/// either: then all are renewed, once. How many.
pub async fn watch(pool: &PgPool, gap: Duration) -> Result<u64, sqlx::Error> {
    let renewed = sqlx::query(
        "with before as (select looked_at from lease_watch for update),
             looked as (update lease_watch set looked_at = now() from before)
         update instances set expires_at = greatest(expires_at, now() + lease_seconds * interval '1 second')
         from before where not expired and before.looked_at < now() - $1 * interval '1 second'",
    )
    .bind(gap.as_secs_f64())
    .execute(pool)
    .await?;
    Ok(renewed.rows_affected())
}

/// Instances whose lease is over. From now on they cannot renew it; those found before, whose end was not told yet, are
/// among them.
pub async fn claim_expired(pool: &PgPool, limit: i64) -> Result<Vec<Instance>, sqlx::Error> {
    sqlx::query(concat!(
        "update instances set expired = true where instance_id in (
             select instance_id from instances where expired or expires_at <= now()
             order by expires_at limit $1 for update skip locked
         ) returning ",
        columns!()
    ))
    .bind(limit)
    .try_map(|row| instance(&row))
    .fetch_all(pool)
    .await
}
