//! Settings as they are, and as they were.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sha2::{Digest, Sha256};
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::{Builder, Uuid};
use viscount_contracts::UserId;

use crate::domain::{ServiceName, Settings};

/// The settings of a service at one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// Whose.
    pub service: String,
    /// Goes up by one with each replacement.
    pub version: i32,
    /// What is set.
    pub settings: Settings,
    /// Since when.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: UserId,
}

fn read(row: &PgRow) -> Result<Configuration, sqlx::Error> {
    let settings = Settings::stored(row.try_get("settings")?);
    Ok(Configuration {
        service: row.try_get("service")?,
        version: row.try_get("version")?,
        settings: settings.map_err(|error| sqlx::Error::ColumnDecode {
            index: "settings".to_owned(),
            source: error.into(),
        })?,
        updated_at: row.try_get::<SqlTimestamp, _>("updated_at")?.to_jiff(),
        updated_by: row.try_get::<Uuid, _>("updated_by")?.into(),
    })
}

/// The settings as they are; none when nothing was ever set.
pub async fn configuration(
    pool: &PgPool,
    service: &ServiceName,
) -> Result<Option<Configuration>, sqlx::Error> {
    sqlx::query(
        "select service, version, settings, updated_at, updated_by from configurations where service = $1",
    )
    .bind(service.as_str())
    .try_map(|row| read(&row))
    .fetch_optional(pool)
    .await
}

/// The settings as they were, the newest first, at most `limit` of those with a version below `before`.
pub async fn history(
    pool: &PgPool,
    service: &ServiceName,
    before: Option<i32>,
    limit: u32,
) -> Result<Vec<Configuration>, sqlx::Error> {
    sqlx::query(
        "select service, version, settings, updated_at, updated_by from configuration_history
         where service = $1 and ($2::int is null or version < $2) order by version desc limit $3",
    )
    .bind(service.as_str())
    .bind(before)
    .bind(i64::from(limit))
    .try_map(|row| read(&row))
    .fetch_all(pool)
    .await
}

/// The stream of a service's settings: the same name, the same id, at every replica (a UUID of version 8, RFC 9562 §5.8).
pub fn stream_of(service: &ServiceName) -> Uuid {
    let digest = Sha256::new().chain_update(b"configuration:").chain_update(service.as_str()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}
