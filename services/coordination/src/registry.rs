//! Which instances run: registration, leases, the end.

use std::time::Duration;

use jiff::Timestamp;
use metrics::{counter, gauge};
use sqlx::PgPool;
use viscount_chassis::{
    store::{CommitError, Committer, Entry, NewEvent},
    telemetry::current_traceparent,
};

use crate::{
    domain::{Health, InstanceId, Registration},
    metrics::{INSTANCES, REGISTRATIONS},
    refusal::Refusal,
    store::{self, Instance, Projection},
};

/// Instances at once.
const MOST: i64 = 1_000;
/// When nobody has looked for leases that are over for so long, nobody could renew one.
const UNWATCHED: Duration = Duration::from_secs(5);
/// How often a change is decided again when another replica was faster.
const TRIES: usize = 8;

/// The registry. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    pool: PgPool,
    committer: Committer<Projection>,
}

/// What became of a registration.
#[derive(Debug)]
pub enum Registered {
    /// The instance is new, or had been gone.
    New(Instance),
    /// It was there already: its lease is renewed, and what it tells is taken over.
    Known(Instance),
}

impl Registry {
    /// The registry in this database.
    pub fn new(pool: PgPool, committer: Committer<Projection>) -> Self {
        Self { pool, committer }
    }

    /// Where it is kept.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Takes up an instance, or renews its lease when it is known.
    pub async fn register(&self, told: Registration) -> Result<Registered, Refusal> {
        for _ in 0..TRIES {
            if let Some(known) = store::renew_same(&self.pool, &told).await? {
                return Ok(Registered::Known(known));
            }
            let before = store::find(&self.pool, told.id).await?;
            let alive = before.as_ref().is_some_and(|instance| !instance.expired);
            if let Some(instance) = &before
                && alive
                && instance.service != told.service.as_str()
            {
                return Err(Refusal::OtherService);
            }
            let version = match &before {
                Some(instance) => instance.version,
                None if store::count(&self.pool).await? >= MOST => {
                    return Err(Refusal::TooManyInstances { most: MOST });
                }
                None => store::newest_version(&self.pool, told.id).await?,
            };
            let now = Timestamp::now();
            let mut events = Vec::with_capacity(2);
            if let Some(instance) = before.as_ref().filter(|instance| instance.expired) {
                let event = store::deregistered(instance, "expired");
                events.push(NewEvent::new(told.id.uuid(), version + 1, &event, now));
            }
            let version = version + 1 + i32::try_from(events.len()).unwrap_or(0);
            events.push(NewEvent::new(told.id.uuid(), version, &store::registered(&told), now));
            let projection = Projection::Registered(Box::new(told.clone()), version);
            match self.commit(events, projection).await {
                Ok(()) => {
                    counter!(REGISTRATIONS, "outcome" => "registered").increment(1);
                    let (service, address) = (told.service.as_str(), told.address.as_str());
                    tracing::info!(instance = %told.id, of = service, address, "instance registered");
                    let Some(instance) = store::find(&self.pool, told.id).await? else { continue };
                    return Ok(if alive { Registered::Known(instance) } else { Registered::New(instance) });
                }
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Overloaded.into())
    }

    /// Renews an instance's lease.
    pub async fn renew(&self, id: InstanceId) -> Result<Instance, Refusal> {
        store::renew(&self.pool, id).await?.ok_or(Refusal::UnknownInstance)
    }

    /// One registered instance.
    pub async fn find(&self, id: InstanceId) -> Result<Instance, Refusal> {
        let found = store::find(&self.pool, id).await?.filter(|instance| !instance.expired);
        found.ok_or(Refusal::UnknownInstance)
    }

    /// An instance says that it leaves.
    pub async fn leave(&self, id: InstanceId) -> Result<(), Refusal> {
        for _ in 0..TRIES {
            let instance = store::find(&self.pool, id).await?.ok_or(Refusal::UnknownInstance)?;
            if self.end(&instance, "left").await? {
                return Ok(());
            }
        }
        Err(CommitError::Overloaded.into())
    }

    /// Ends registrations whose lease is over; how many there were.
    pub async fn sweep(&self, at_most: i64) -> Result<usize, Refusal> {
        let renewed = store::watch(&self.pool, UNWATCHED).await?;
        if renewed > 0 {
            tracing::info!(
                instances = renewed,
                "leases could not be renewed for a while: all are good for their time again"
            );
        }
        let expired = store::claim_expired(&self.pool, at_most).await?;
        let ends = expired.iter().map(|instance| self.end(instance, "expired"));
        for ended in futures_util::future::join_all(ends).await {
            // Not ended: another replica, or the instance itself, was faster.
            ended?;
        }
        Ok(expired.len())
    }

    /// Keeps that an instance is like this now; false when it changed meanwhile, so that it must be asked again.
    pub async fn is(&self, instance: &Instance, health: Health, detail: &str) -> Result<bool, Refusal> {
        let version = instance.version + 1;
        let event = store::health_changed(instance, health, detail);
        let event = NewEvent::new(instance.id.uuid(), version, &event, Timestamp::now());
        let projection = Projection::Health(instance.id, version, health);
        match self.commit(vec![event], projection).await {
            Ok(()) => Ok(true),
            Err(CommitError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Shows how many instances there are, by health.
    pub async fn show(&self) -> Result<(), Refusal> {
        let counts = store::by_health(&self.pool).await?;
        for health in [Health::Unknown, Health::Healthy, Health::Unhealthy] {
            let count = counts.iter().find(|(of, _)| *of == health.as_str()).map_or(0, |(_, count)| *count);
            gauge!(INSTANCES, "health" => health.as_str()).set(count as f64);
        }
        Ok(())
    }

    async fn end(&self, instance: &Instance, reason: &'static str) -> Result<bool, Refusal> {
        let event = store::deregistered(instance, reason);
        let event = NewEvent::new(instance.id.uuid(), instance.version + 1, &event, Timestamp::now());
        match self.commit(vec![event], Projection::Gone(instance.id)).await {
            Ok(()) => {
                counter!(REGISTRATIONS, "outcome" => reason).increment(1);
                let (service, address) = (&instance.service, &instance.address);
                tracing::info!(instance = %instance.id, of = service, address, reason, "instance is gone");
                Ok(true)
            }
            Err(CommitError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn commit(&self, events: Vec<NewEvent>, projection: Projection) -> Result<(), CommitError> {
        let traceparent = current_traceparent();
        let events = events.into_iter().map(|event| event.traced(traceparent.clone())).collect();
        self.committer.commit(Entry { events, inbox: None, projection }).await.map(drop)
    }
}
