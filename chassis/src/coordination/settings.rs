//! Live settings: what coordination keeps for this service and for everyone, applied while the process runs.
//!
//! A setting of the service itself goes before the same one of `all`. What is taken away again goes back to what the process
//! was started with. A value that cannot be used is one line in the log, and what was in force stays in force.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use serde_json::{Map, Value};
use tokio::time::sleep;

use super::client::{Client, Failure};
use super::pause::Pauses;
use super::wire::Settings;
use crate::http::Health;
use crate::metrics::CONFIG_VERSION;
use crate::seldom::Seldom;
use crate::telemetry::log_filter;

/// The settings that count for every service.
const ALL: &str = "all";
/// How long one question may hang; coordination allows 30 s.
const WAIT: Duration = Duration::from_secs(25);

/// One thing that can be set while the process runs.
pub trait Setting: Send + Sync {
    /// Its name among the settings.
    fn key(&self) -> &'static str;

    /// Takes a value, or with `None` goes back to what the process was started with. An error says what is wrong with the
    /// value and has changed nothing.
    ///
    /// # Errors
    /// One line for the log, without the value.
    fn apply(&self, value: Option<&Value>) -> Result<(), String>;
}

/// Keeps settings in force for ever.
pub async fn follow_settings(
    client: Arc<Client>,
    service: &'static str,
    settings: Vec<Arc<dyn Setting>>,
    health: Option<Health>,
) {
    let applied = Applied { service, settings, health, state: parking_lot::Mutex::default() };
    tokio::join!(follow(&client, ALL, &applied), follow(&client, service, &applied));
}

/// Asks for one document again and again. While coordination is away, what was applied stays.
async fn follow(client: &Client, whose: &'static str, applied: &Applied) {
    let (mut etag, mut pauses, mut refused) = (None, Pauses::default(), Seldom::default());
    loop {
        match client.settings(whose, etag.as_deref(), WAIT).await {
            Ok(Some(found)) => {
                pauses.reset();
                applied.take(whose, found.value);
                etag = found.etag;
                if etag.is_none() {
                    sleep(Duration::from_secs(1)).await;
                }
            }
            Ok(None) => pauses.reset(),
            Err(failure) => {
                if let Failure::Status(status) = failure
                    && refused.is_due()
                {
                    tracing::warn!(service = whose, status, "coordination does not tell the settings");
                }
                etag = None;
                sleep(pauses.next()).await;
            }
        }
    }
}

/// What is in force.
struct Applied {
    service: &'static str,
    settings: Vec<Arc<dyn Setting>>,
    health: Option<Health>,
    state: parking_lot::Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By whose they are.
    documents: BTreeMap<&'static str, Settings>,
    /// What each setting was last given, whether it took it or not: nothing is tried twice.
    given: BTreeMap<&'static str, Value>,
}

impl Applied {
    fn take(&self, whose: &'static str, document: Settings) {
        let mut state = self.state.lock();
        gauge!(CONFIG_VERSION, "service" => whose).set(document.version as f64);
        if let Some(health) = &self.health {
            let name = if whose == ALL { "config_version_all" } else { "config_version" };
            health.tell(name, document.version.to_string());
        }
        state.documents.insert(whose, document);
        let merged = merged(&state.documents, self.service);
        for setting in &self.settings {
            let key = setting.key();
            let value = merged.get(key).filter(|value| !value.is_null());
            if value == state.given.get(key) {
                continue;
            }
            match setting.apply(value) {
                Ok(()) => tracing::info!(service = self.service, setting = key, "live setting applied"),
                Err(problem) => tracing::warn!(
                    service = self.service,
                    setting = key,
                    problem,
                    "live setting refused; what was in force stays"
                ),
            }
            match value {
                Some(value) => state.given.insert(key, value.clone()),
                None => state.given.remove(key),
            };
        }
    }
}

/// Everyone's settings, and the service's own in their place.
fn merged(documents: &BTreeMap<&'static str, Settings>, service: &str) -> Map<String, Value> {
    let mut merged = Map::new();
    for whose in [ALL, service] {
        if let Some(document) = documents.get(whose) {
            let set = document.settings.iter().filter(|(_, value)| !value.is_null());
            merged.extend(set.map(|(key, value)| (key.clone(), value.clone())));
        }
    }
    merged
}

/// `log_filter`: what is logged, in the syntax of `RUST_LOG`.
pub struct LogFilterSetting(pub &'static str);

impl Setting for LogFilterSetting {
    fn key(&self) -> &'static str {
        "log_filter"
    }

    fn apply(&self, value: Option<&Value>) -> Result<(), String> {
        match value {
            None => log_filter::set(self.0, None),
            Some(Value::String(text)) => log_filter::set(self.0, Some(text)),
            Some(_) => Err("is not a text in the syntax of RUST_LOG".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parking_lot::Mutex;
    use serde_json::json;

    use super::*;

    /// Takes numbers only.
    #[derive(Default)]
    struct Level(Mutex<Vec<Option<Value>>>);

    impl Setting for Level {
        fn key(&self) -> &'static str {
            "level"
        }

        fn apply(&self, value: Option<&Value>) -> Result<(), String> {
            if value.is_some_and(|value| !value.is_number()) {
                return Err("is no number".to_owned());
            }
            self.0.lock().push(value.cloned());
            Ok(())
        }
    }

    fn document(version: u64, settings: Value) -> Settings {
        Settings { version, settings: settings.as_object().cloned().unwrap() }
    }

    #[test]
    fn the_services_own_goes_first_and_what_is_taken_away_goes_back() {
        let level = Arc::new(Level::default());
        let health = Health::new();
        let applied = Applied {
            service: "orders",
            settings: vec![level.clone()],
            health: Some(health.clone()),
            state: Mutex::default(),
        };
        applied.take(ALL, document(1, json!({"level": 1, "unknown": true})));
        applied.take("orders", document(1, json!({})));
        applied.take("orders", document(2, json!({"level": 2})));
        applied.take(ALL, document(2, json!({"level": 3})));
        applied.take("orders", document(3, json!({"level": "high"})));
        applied.take("orders", document(4, json!({})));
        applied.take(ALL, document(3, json!({"level": null})));
        assert_eq!(*level.0.lock(), [Some(json!(1)), Some(json!(2)), Some(json!(3)), None]);
        assert_eq!(health.told()["config_version"], "4");
        assert_eq!(health.told()["config_version_all"], "3");
    }
}
