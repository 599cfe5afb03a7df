//! What may be set while services run. What nobody would read is refused: a setting with a typing error in its name would
//! do nothing, and nobody would see it.

use serde_json::{Map, Value};
use tracing_subscriber::EnvFilter;

use super::{ServiceName, faults};

/// How long all settings of a service may be, as JSON, in bytes.
pub const LONGEST_SETTINGS: usize = 32 * 1024;
/// The largest rate or burst that means anything.
const MOST: f64 = 10_000_000.0;
/// The longest time in which a burst may be had again, in seconds.
const LONGEST_WINDOW: f64 = 86_400.0;
/// The gateway's limits.
const CLASSES: [&str; 5] = ["read", "write", "auth", "stream", "address"];

/// One thing that is wrong with settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Where: a JSON pointer (RFC 6901) into the settings.
    pub pointer: String,
    /// What.
    pub detail: String,
}

impl Wrong {
    pub(super) fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// The settings of one service: known keys, with values that can be used.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings(Map<String, Value>);

impl Settings {
    /// Checks the settings of this service; everything that is wrong is told at once.
    pub fn new(service: &ServiceName, settings: Map<String, Value>) -> Result<Self, Vec<Wrong>> {
        let mut wrong = Vec::new();
        for (key, value) in &settings {
            match key.as_str() {
                "log_filter" => log_filter(value, &mut wrong),
                "limits" if matches!(service.as_str(), "gateway" | ServiceName::ALL) => {
                    limits(value, &mut wrong)
                }
                "limits" => wrong.push(Wrong::at("/limits", "only the gateway has limits")),
                "faults" => faults::check(value, &mut wrong),
                _ => wrong.push(Wrong::at(
                    format!("/{}", escaped(key)),
                    "is not a setting; known are log_filter, limits and faults",
                )),
            }
        }
        let settings = Self(settings);
        if settings.to_json().len() > LONGEST_SETTINGS {
            wrong.push(Wrong::at("", format!("all settings together have at most {LONGEST_SETTINGS} bytes")));
        }
        if wrong.is_empty() { Ok(settings) } else { Err(wrong) }
    }

    /// As stored before.
    pub fn stored(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json).map(Self)
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        // A map of JSON is always JSON.
        serde_json::to_string(&self.0).unwrap_or_else(|_| "{}".to_owned())
    }

    /// What is set.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

fn log_filter(value: &Value, wrong: &mut Vec<Wrong>) {
    let detail = match value.as_str() {
        None => "must be a text, such as info,access=warn".to_owned(),
        Some(text) if text.len() > 1_000 => "must have at most 1000 characters".to_owned(),
        Some(text) => match EnvFilter::try_new(text) {
            Ok(_) => return,
            Err(error) => format!("is not a filter such as info,access=warn: {error}"),
        },
    };
    wrong.push(Wrong::at("/log_filter", detail));
}

fn limits(value: &Value, wrong: &mut Vec<Wrong>) {
    let Some(classes) = value.as_object() else {
        wrong.push(Wrong::at("/limits", "must be an object"));
        return;
    };
    for (class, limit) in classes {
        let at = format!("/limits/{}", escaped(class));
        if !CLASSES.contains(&class.as_str()) {
            let known = CLASSES.join(", ");
            wrong.push(Wrong::at(at, format!("is not a limit; known are {known}")));
            continue;
        }
        let Some(limit) = limit.as_object() else {
            wrong.push(Wrong::at(at, "must be an object with per_second and burst"));
            continue;
        };
        if let Some(other) = limit.keys().find(|key| !matches!(key.as_str(), "per_second" | "burst")) {
            wrong.push(Wrong::at(format!("{at}/{}", escaped(other)), "is not known here"));
        }
        let per_second = limit.get("per_second").and_then(Value::as_f64);
        if per_second.is_none_or(|rate| !(0.001..=MOST).contains(&rate)) {
            wrong.push(Wrong::at(format!("{at}/per_second"), "must be a number from 0.001 to 10000000"));
        }
        let burst = limit.get("burst").and_then(Value::as_u64);
        if burst.is_none_or(|burst| !(1..=10_000_000).contains(&burst)) {
            wrong.push(Wrong::at(format!("{at}/burst"), "must be a whole number from 1 to 10000000"));
        } else if let (Some(burst), Some(rate)) = (burst, per_second)
            && rate > 0.0
            && burst as f64 / rate > LONGEST_WINDOW
        {
            wrong.push(Wrong::at(at, "burst / per_second must be at most a day, 86400"));
        }
    }
}

/// A member's name in a pointer (RFC 6901 §3).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn pointers(service: &str, settings: Value) -> Vec<String> {
        let service = ServiceName::new(service).unwrap();
        let Value::Object(settings) = settings else { return vec!["not an object".to_owned()] };
        let wrong = Settings::new(&service, settings).err().unwrap_or_default();
        wrong.into_iter().map(|wrong| wrong.pointer).collect()
    }

    #[test]
    fn what_is_known_is_taken() {
        let limit = json!({ "per_second": 0.5, "burst": 10 });
        let faults = json!([
            { "kind": "panic", "actor": "order", "every": 50, "expires_in_seconds": 60 },
            { "id": "f1", "kind": "slow", "actor": "order", "delay_ms": 200 },
            { "kind": "provider_down" },
        ]);
        let settings =
            json!({ "log_filter": "info,sqlx=warn", "limits": { "read": limit }, "faults": faults });
        assert_eq!(pointers("gateway", settings.clone()), [""; 0]);
        assert_eq!(pointers("all", settings.clone()), [""; 0]);
        assert_eq!(pointers("orders", settings), ["/limits"]);
        assert_eq!(pointers("orders", json!({})), [""; 0]);
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let settings = json!({
            "log_fiter": "info",
            "a/b": 1,
            "log_filter": "orders=notalevel",
            "limits": {
                "reads": {},
                "read": { "per_second": 0, "burst": 1.5 },
                "write": { "per_second": "1", "burst": 0, "x": 1 },
                "auth": 7,
                "stream": { "per_second": 0.001, "burst": 1000 },
            },
            "faults": [
                { "kind": "earthquake" },
                { "kind": "panic" },
                { "kind": "slow", "actor": "order", "delay_ms": 0 },
                { "kind": "panic", "actor": "order", "evry": 5 },
                7,
            ],
        });
        let mut found = pointers("gateway", settings);
        found.sort();
        let mut wanted = [
            "/log_fiter",
            "/a~1b",
            "/log_filter",
            "/limits/reads",
            "/limits/read/per_second",
            "/limits/read/burst",
            "/limits/write/per_second",
            "/limits/write/burst",
            "/limits/write/x",
            "/limits/auth",
            "/faults/0",
            "/limits/stream",
            "/faults/1/actor",
            "/faults/2/delay_ms",
            "/faults/3",
            "/faults/4",
        ];
        wanted.sort_unstable();
        assert_eq!(found, wanted);
        assert_eq!(pointers("all", json!({ "limits": [], "faults": {} })).len(), 2);
    }

    #[test]
    fn settings_have_a_size() {
        let fault = json!({ "kind": "panic", "entity": "x".repeat(64), "actor": "y".repeat(64), "id": "z".repeat(64) });
        assert_eq!(pointers("all", json!({ "faults": vec![fault; 65] })), ["/faults"]);
        assert_eq!(pointers("all", json!({ "log_filter": "x".repeat(40_000) })), ["/log_filter", ""]);
    }
}
