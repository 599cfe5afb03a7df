//! What goes over the wire, and its schemas.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    domain::{Health, ServiceName},
    store::{Configuration, Instance, Lock},
};

/// An instance that comes, or renews its lease.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Registration)]
pub struct RegistrationBody {
    /// What it serves.
    #[schema(example = "orders", max_length = 63)]
    pub service: String,
    /// Itself: a new id for each start.
    pub instance_id: Uuid,
    /// Where it listens: host:port.
    #[schema(example = "10.0.0.7:8084")]
    pub address: String,
    /// The version of its program.
    #[schema(example = "0.1.0", min_length = 1, max_length = 64)]
    pub version: String,
    /// How long it is believed to be there without another word from it, in seconds; 15 unless given.
    #[serde(default)]
    #[schema(minimum = 5, maximum = 300)]
    pub lease_seconds: Option<i64>,
    /// Whatever else it tells; at most 16 entries.
    #[serde(default)]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// A registered instance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Instance)]
pub struct InstanceBody {
    /// Itself.
    pub instance_id: Uuid,
    /// What it serves.
    pub service: String,
    /// Where it listens.
    pub address: String,
    /// The version of its program.
    pub version: String,
    /// How long its lease is, in seconds.
    pub lease_seconds: i32,
    /// Whatever else it told.
    pub metadata: BTreeMap<String, String>,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    pub registered_at: Timestamp,
    /// When its lease is over, unless it is renewed.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// How it is.
    pub health: Health,
}

impl From<Instance> for InstanceBody {
    fn from(instance: Instance) -> Self {
        Self {
            instance_id: instance.id.uuid(),
            service: instance.service,
            address: instance.address,
            version: instance.build,
            lease_seconds: instance.lease_seconds,
            metadata: instance.metadata,
            registered_at: instance.registered_at,
            expires_at: instance.expires_at,
            health: instance.health,
        }
    }
}

/// How an instance is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InstanceHealth)]
pub struct HealthBody {
    /// How it is.
    pub health: Health,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it was asked last; null when it was not yet.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub checked_at: Option<Timestamp>,
    /// The checks of its last answer, as it told them; null when it did not.
    #[schema(value_type = Option<Vec<Object>>)]
    pub checks: Value,
    /// How often in a row it has not answered well.
    pub failures: u32,
}

impl From<Instance> for HealthBody {
    fn from(instance: Instance) -> Self {
        let checks = instance.checks.and_then(|checks| serde_json::from_str(&checks).ok());
        Self {
            health: instance.health,
            since: instance.health_since,
            checked_at: instance.checked_at,
            checks: checks.unwrap_or_default(),
            failures: instance.failures,
        }
    }
}

/// Which instances, and how long to wait for news. Beside these: `limit` and `cursor`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Of this service.
    pub service: Option<String>,
    /// That are like this.
    #[param(inline)]
    pub health: Option<Health>,
    /// With `If-None-Match`: how long to wait for news, in seconds, at most 30.
    pub wait: Option<u64>,
}

/// How long to wait for news.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// With `If-None-Match`: how long to wait for news, in seconds, at most 30.
    pub wait: Option<u64>,
}

/// Settings as they are to be. What is left out is not set any more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Settings)]
pub struct SettingsBody {
    /// `log_filter`: which log lines, as in RUST_LOG. `limits` (of the gateway): a rate and a burst for `read`, `write`,
    /// `auth`, `stream` and `address`. `faults`: a list of faults.
    #[schema(value_type = Object)]
    pub settings: Map<String, Value>,
}

/// Settings at one version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Configuration)]
pub struct ConfigurationBody {
    /// Whose.
    pub service: String,
    /// Goes up by one with each replacement; 0 when nothing was ever set.
    pub version: i32,
    /// What is set.
    #[schema(value_type = Object)]
    pub settings: Map<String, Value>,
    /// Since when; null when nothing was ever set.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub updated_at: Option<Timestamp>,
    /// The user who replaced them.
    pub updated_by: Option<Uuid>,
}

impl ConfigurationBody {
    /// Nothing was ever set.
    pub fn nothing(service: &ServiceName) -> Self {
        let service = service.to_string();
        Self { service, version: 0, settings: Map::new(), updated_at: None, updated_by: None }
    }
}

impl From<Configuration> for ConfigurationBody {
    fn from(configuration: Configuration) -> Self {
        Self {
            service: configuration.service,
            version: configuration.version,
            settings: configuration.settings.into_map(),
            updated_at: Some(configuration.updated_at),
            updated_by: Some(configuration.updated_by.uuid()),
        }
    }
}

/// A lock that somebody wants.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LockRequest)]
pub struct AcquireBody {
    /// Who: a name that nobody else uses, such as an instance's id.
    #[schema(min_length = 1, max_length = 200)]
    pub owner: String,
    /// For how long without being renewed, in seconds.
    #[schema(minimum = 1, maximum = 300)]
    pub ttl_seconds: i64,
    /// How long to wait while another holds it, in seconds; not at all unless given.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 30)]
    pub wait_seconds: Option<i64>,
}

/// A lock that is to be kept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LockRenewal)]
pub struct RenewBody {
    /// The token that it was given with.
    pub token: i64,
    /// For how long from now on, in seconds.
    #[schema(minimum = 1, maximum = 300)]
    pub ttl_seconds: i64,
}

/// Which holding of a lock.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TokenQuery {
    /// The token that the lock was given with.
    pub token: i64,
}

/// A lock that was given.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lock)]
pub struct LockBody {
    /// What it is called.
    pub name: String,
    /// To whom.
    pub owner: String,
    /// The fencing token: larger than any that this lock was given with before. Whatever the lock protects refuses a
    /// smaller one than it has seen.
    pub token: i64,
    /// Until when, unless it is renewed.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl From<Lock> for LockBody {
    fn from(lock: Lock) -> Self {
        let Lock { name, token, owner, expires_at, .. } = lock;
        Self { name, owner: owner.unwrap_or_default(), token, expires_at }
    }
}

/// A lock as it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LockState)]
pub struct LockStateBody {
    /// What it is called.
    pub name: String,
    /// True when somebody holds it.
    pub held: bool,
    /// Who holds it, or held it until it expired; null when it was given back.
    pub owner: Option<String>,
    /// The newest token.
    pub token: i64,
    /// When it was given last.
    #[schema(value_type = String, format = DateTime)]
    pub acquired_at: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl From<Lock> for LockStateBody {
    fn from(lock: Lock) -> Self {
        let Lock { name, token, owner, acquired_at, expires_at, held } = lock;
        Self { name, held, owner, token, acquired_at, expires_at }
    }
}
