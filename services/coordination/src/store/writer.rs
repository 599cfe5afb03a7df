//! A batch of changes as one statement.
//!
//! Each change was decided on a row that was read, and takes the next version of its stream: two changes of one row can
//! not be in one batch, because the second would need the version of the first.

use std::sync::Arc;

use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;
use viscount_chassis::store::{Batch, Writer, bind_events, statement};

use super::Configuration;
use crate::domain::{Health, InstanceId, Registration};

/// What coordination's own tables need to know of one entry.
#[derive(Debug)]
pub enum Projection {
    /// An instance came, or came back, or is elsewhere; and the version after the entry's events.
    Registered(Box<Registration>, i32),
    /// An instance is like this; and the version after the entry's event.
    Health(InstanceId, i32, Health),
    /// An instance is gone.
    Gone(InstanceId),
    /// Settings were replaced.
    Configured(Box<Configuration>),
}

/// Writes batches of [`Projection`]s.
pub struct CoordinationWriter {
    sql: Arc<str>,
}

const REGISTERED: &str = "insert into instances (instance_id, version, service, address, build, metadata, lease_seconds,
        registered_at, expires_at, health_since, probe_at)
    select id, version, service, address, build, metadata, lease, now(), now() + lease * interval '1 second', now(), now()
    from unnest($9::uuid[], $10::int[], $11::text[], $12::text[], $13::text[], $14::text[], $15::int[])
        as u (id, version, service, address, build, metadata, lease)
    on conflict (instance_id) do update set
        version = excluded.version, service = excluded.service, address = excluded.address, build = excluded.build,
        metadata = excluded.metadata, lease_seconds = excluded.lease_seconds, registered_at = excluded.registered_at,
        expires_at = excluded.expires_at, expired = false, health = 'unknown', health_since = excluded.health_since,
        failures = 0, checks = null, checked_at = null, probe_at = excluded.probe_at
    returning 1";

const HEALTH: &str = "update instances i set version = u.version, health = u.health, health_since = now()
    from unnest($16::uuid[], $17::int[], $18::text[]) as u (id, version, health)
    where i.instance_id = u.id returning 1";

const GONE: &str = "delete from instances where instance_id = any($19::uuid[]) returning 1";

const CONFIGURED: &str = "insert into configurations (service, version, settings, updated_at, updated_by)
    select * from unnest($20::text[], $21::int[], $22::text[], $23::timestamptz[], $24::uuid[])
    on conflict (service) do update set version = excluded.version, settings = excluded.settings,
        updated_at = excluded.updated_at, updated_by = excluded.updated_by
    returning 1";

const KEPT: &str = "insert into configuration_history (service, version, settings, updated_at, updated_by)
    select * from unnest($20::text[], $21::int[], $22::text[], $23::timestamptz[], $24::uuid[])
    returning 1";

impl CoordinationWriter {
    /// Puts the statement together.
    pub fn new() -> Self {
        let own = [
            ("registered", REGISTERED),
            ("health", HEALTH),
            ("gone", GONE),
            ("configured", CONFIGURED),
            ("kept", KEPT),
        ];
        Self { sql: statement(&own).into() }
    }
}

#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    versions: Vec<i32>,
    services: Vec<String>,
    addresses: Vec<String>,
    builds: Vec<String>,
    metadata: Vec<String>,
    leases: Vec<i32>,
    changed: Vec<Uuid>,
    changed_versions: Vec<i32>,
    healths: Vec<&'static str>,
    gone: Vec<Uuid>,
    configured: Vec<String>,
    configured_versions: Vec<i32>,
    settings: Vec<String>,
    updated: Vec<SqlTimestamp>,
    by: Vec<Uuid>,
}

impl Columns {
    fn push(&mut self, projection: &Projection) {
        match projection {
            Projection::Registered(registration, version) => {
                self.ids.push(registration.id.uuid());
                self.versions.push(*version);
                self.services.push(registration.service.to_string());
                self.addresses.push(registration.address.as_str().to_owned());
                self.builds.push(registration.build.clone());
                self.metadata.push(super::instances::metadata_text(registration));
                self.leases.push(i32::from(registration.lease.seconds()));
            }
            Projection::Health(id, version, health) => {
                self.changed.push(id.uuid());
                self.changed_versions.push(*version);
                self.healths.push(health.as_str());
            }
            Projection::Gone(id) => self.gone.push(id.uuid()),
            Projection::Configured(configuration) => {
                self.configured.push(configuration.service.clone());
                self.configured_versions.push(configuration.version);
                self.settings.push(configuration.settings.to_json());
                self.updated.push(configuration.updated_at.to_sqlx());
                self.by.push(configuration.updated_by.uuid());
            }
        }
    }
}

impl Writer for CoordinationWriter {
    type Projection = Projection;

    async fn write(
        &self,
        connection: &mut PgConnection,
        batch: &Batch<'_, Projection>,
    ) -> Result<i64, sqlx::Error> {
        let mut columns = Columns::default();
        batch.projections().for_each(|projection| columns.push(projection));
        let query = bind_events(sqlx::query(AssertSqlSafe(self.sql.clone())), batch)
            .bind(columns.ids)
            .bind(columns.versions)
            .bind(columns.services)
            .bind(columns.addresses)
            .bind(columns.builds)
            .bind(columns.metadata)
            .bind(columns.leases)
            .bind(columns.changed)
            .bind(columns.changed_versions)
            .bind(columns.healths)
            .bind(columns.gone)
            .bind(columns.configured)
            .bind(columns.configured_versions)
            .bind(columns.settings)
            .bind(columns.updated)
            .bind(columns.by);
        query.fetch_one(connection).await?.try_get(0)
    }
}
