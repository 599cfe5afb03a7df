//! Who is to be asked how it is, and what it answered.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use super::instances::{Instance, columns, instance};
use crate::domain::Probe;

/// Takes up to `limit` instances that are due to be asked, the longest due first, and puts off when they are due again by
/// `meanwhile`. So replicas share the work, and what a replica took before it died is asked by another.
pub async fn take_due(pool: &PgPool, limit: i64, meanwhile: Duration) -> Result<Vec<Instance>, sqlx::Error> {
    sqlx::query(concat!(
        "update instances set probe_at = now() + $2 * interval '1 millisecond' where instance_id in (
             select instance_id from instances where probe_at <= now() and not expired
             order by probe_at limit $1 for update skip locked
         ) returning ",
        columns!()
    ))
    .bind(limit)
    .bind(millis(meanwhile))
    .try_map(|row| instance(&row))
    .fetch_all(pool)
    .await
}

/// What an instance answered.
#[derive(Debug)]
pub struct Outcome {
    /// The instance as it was when it was asked.
    pub instance: Instance,
    /// What follows.
    pub probe: Probe,
    /// What it told, as JSON.
    pub checks: Option<String>,
    /// What is wrong, in few words; empty when nothing is.
    pub detail: String,
}

/// Keeps what was answered. An instance that has registered anew meanwhile, at another address, is left alone.
pub async fn save(pool: &PgPool, outcomes: &[Outcome]) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = outcomes.iter().map(|outcome| outcome.instance.id.uuid()).collect();
    let addresses: Vec<&str> = outcomes.iter().map(|outcome| outcome.instance.address.as_str()).collect();
    let failures: Vec<i32> =
        outcomes.iter().map(|outcome| i32::try_from(outcome.probe.failures).unwrap_or(i32::MAX)).collect();
    let checks: Vec<Option<&str>> = outcomes.iter().map(|outcome| outcome.checks.as_deref()).collect();
    let again: Vec<f64> = outcomes.iter().map(|outcome| millis(outcome.probe.again)).collect();
    sqlx::query(
        "update instances i set failures = u.failures, checks = u.checks, checked_at = now(),
             probe_at = now() + u.again * interval '1 millisecond'
         from unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::float8[])
             as u (id, address, failures, checks, again)
         where i.instance_id = u.id and i.address = u.address",
    )
    .bind(ids)
    .bind(addresses)
    .bind(failures)
    .bind(checks)
    .bind(again)
    .execute(pool)
    .await
    .map(drop)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
