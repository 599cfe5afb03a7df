//! What the operations API answers, as far as it is shown. What a service does not say (an older one) is taken as absent.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// `/readyz` of the gateway.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Readiness {
    /// `ready`, `degraded`, `unavailable` or `draining`.
    pub status: String,
    /// Each service behind it.
    pub checks: BTreeMap<String, Check>,
}

/// How a service is, as the gateway sees it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Check {
    /// `ready`, `degraded` or `unavailable`.
    pub status: String,
    /// Addresses that the gateway knows.
    pub instances: u64,
    /// Those that take requests.
    pub ready: u64,
}

/// `GET /v1/services`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Registry {
    /// Each instance.
    pub items: Vec<Instance>,
}

/// A registered instance.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Instance {
    /// Its id.
    pub instance_id: String,
    /// Its service.
    pub service: String,
    /// Host and port.
    pub address: String,
    /// Its build.
    pub version: String,
    /// `healthy`, `unhealthy` or `unknown`.
    pub health: String,
}

/// `GET /v1/ops/actors`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Actors {
    /// The root of the service.
    pub tree: Node,
}

/// An actor and those below it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    /// `service/…/name`.
    pub path: String,
    /// The last part of it.
    pub name: String,
    /// `supervisor`, `task`, `actor` or `router`.
    pub kind: String,
    /// `running`, `backing_off` …
    pub state: String,
    /// So far.
    pub restarts: u64,
    /// Why the last incarnation ended.
    pub last_exit: Option<Value>,
    /// Messages accepted and not finished.
    pub mailbox_depth: Option<u64>,
    /// The most of them.
    pub mailbox_capacity: Option<u64>,
    /// Restarts left in the window (supervisors).
    pub restart_budget_remaining: Option<u64>,
    /// How many in which window (supervisors).
    pub intensity: Option<Intensity>,
    /// Entities alive (routers).
    pub live: Option<u64>,
    /// How often it was found without progress.
    pub stuck: u64,
    /// Entities that are kept apart (routers). Only their number is shown.
    pub quarantined: Vec<Value>,
    /// Those below.
    pub children: Vec<Node>,
}

/// How many restarts a supervisor stands.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Intensity {
    /// So many.
    pub max_restarts: u64,
}

/// `GET /v1/ops/actors/exits`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Exits {
    /// The newest first.
    pub items: Vec<Ended>,
}

/// One end of an incarnation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Ended {
    /// Whose.
    pub path: String,
    /// Which entity, when it was one of a router's.
    pub id: Option<String>,
    /// When (RFC 3339).
    pub at: String,
    /// Why.
    pub exit: Value,
    /// The kind of message that it was at.
    pub message_kind: Option<String>,
    /// How long it had been up.
    pub uptime_seconds: f64,
    /// Where in the code.
    pub backtrace: Option<Value>,
}

/// `GET /v1/workflows`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Workflows {
    /// The oldest first.
    pub items: Vec<Workflow>,
}

/// An order on its way.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Workflow {
    /// The order.
    pub order_id: String,
    /// `running`, `stuck` or `finished`.
    pub state: String,
    /// The order's status.
    pub status: String,
    /// What has to come next.
    pub waits_for: Option<Value>,
    /// Since when it waits (RFC 3339).
    pub waiting_since: Option<String>,
    /// Until when it may (RFC 3339).
    pub due_at: Option<String>,
    /// When it was placed (RFC 3339).
    pub started_at: String,
}

/// An exit in a line: `panicked during handler: …`.
pub fn exit_text(exit: &Value) -> String {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(plain) = exit.as_str() {
        return plain.to_owned();
    }
    let kind = text(exit, "kind").unwrap_or_default();
    let detail = exit.get("detail").unwrap_or(&Value::Null);
    match (detail, text(detail, "during"), text(detail, "message")) {
        (_, Some(during), Some(message)) => format!("{kind} during {during}: {message}"),
        (Value::String(detail), ..) => format!("{kind}: {detail}"),
        _ => kind,
    }
}

/// What is waited for: a word, or the `what` of more.
pub fn waited_for(what: &Value) -> String {
    what.as_str().or_else(|| what.get("what")?.as_str()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;
    use viscount_actors::Exit;

    use super::*;

    #[test]
    fn exits_are_told_as_the_actors_tell_them() {
        let panicked = Exit::Panicked { message: "no such price".to_owned(), during: "handle" };
        for exit in [panicked, Exit::Failed("no database".to_owned()), Exit::Normal] {
            assert_eq!(exit_text(&serde_json::to_value(&exit).unwrap()), exit.to_string());
        }
        assert_eq!(exit_text(&json!("killed")), "killed");
        assert_eq!(exit_text(&json!(17)), "");
    }

    #[test]
    fn a_service_that_says_less_is_understood() {
        let tree: Actors = serde_json::from_value(json!({"tree": {"path": "orders", "new": 1}})).unwrap();
        assert_eq!((tree.tree.path.as_str(), tree.tree.restarts), ("orders", 0));
        let page: Workflows = serde_json::from_value(json!({"items": [{"order_id": "1"}]})).unwrap();
        assert_eq!(page.items[0].due_at, None);
    }
}
