//! What travels between a process and coordination. Members that are not known here are passed over: the service may say
//! more than this process knows to ask.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// An instance that wants to be listed (`POST /v1/services/register`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Registration {
    /// Which service it is one of.
    pub service: String,
    /// This start of this process: made anew with each.
    pub instance_id: Uuid,
    /// Where others reach it, `host:port`.
    pub address: String,
    /// The program's version.
    pub version: String,
    /// How long it is listed after its last heartbeat.
    pub lease_seconds: u64,
    /// What an operator may want to know: process id, start.
    pub metadata: BTreeMap<String, String>,
}

/// An instance that is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Which service it is one of.
    pub service: String,
    /// Its name for life.
    pub instance_id: Uuid,
    /// Where it is reached, `host:port`.
    pub address: String,
    /// What coordination found when it asked the instance.
    #[serde(default)]
    pub health: HealthState,
}

/// How an instance is, in coordination's eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// It says that it is ready.
    Healthy,
    /// It says that it is not, or says nothing.
    Unhealthy,
    /// Not asked yet.
    #[default]
    #[serde(other)]
    Unknown,
}

/// One page of instances.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub items: Vec<Instance>,
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// The live settings of a service, or of everyone.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Settings {
    /// Grows with each change; 0 where nothing was ever set.
    #[serde(default)]
    pub version: u64,
    /// By name.
    #[serde(default)]
    pub settings: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_not_known_is_passed_over() {
        let instance: Instance = serde_json::from_value(serde_json::json!({
            "service": "orders", "instance_id": "0192d3f0-0000-7000-8000-000000000001", "address": "10.0.0.1:8084",
            "version": "0.1.0", "health": "draining", "expires_at": "2026-01-01T00:00:00Z",
        }))
        .unwrap();
        assert_eq!(instance.health, HealthState::Unknown);
        let settings: Settings =
            serde_json::from_str(r#"{"service":"all","version":0,"settings":{}}"#).unwrap();
        assert_eq!(settings, Settings::default());
    }
}
