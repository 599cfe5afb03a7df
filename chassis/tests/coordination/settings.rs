//! Settings that change while the process runs.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use viscount_chassis::coordination::{Setting, follow_settings};
use viscount_chassis::http::Health;
use viscount_chassis::testing::eventually;

use super::registry::Registry;

#[derive(Default)]
struct Level(Mutex<Vec<Option<Value>>>);

impl Setting for Level {
    fn key(&self) -> &'static str {
        "level"
    }

    fn apply(&self, value: Option<&Value>) -> Result<(), String> {
        match value {
            Some(value) if !value.is_number() => Err("is no number".to_owned()),
            value => {
                self.0.lock().push(value.cloned());
                Ok(())
            }
        }
    }
}

#[actix_web::test]
async fn settings_are_followed_and_kept_while_coordination_is_away() {
    let mut registry = Registry::start();
    let (level, health) = (Arc::new(Level::default()), Health::new());
    registry.set("all", json!({"level": 1}));
    let own: Vec<Arc<dyn Setting>> = vec![level.clone()];
    let client = registry.coordination().client();
    let following = actix_web::rt::spawn(follow_settings(client, "orders", own, Some(health.clone())));
    let until_last = async |wanted: Option<Value>| {
        eventually(|| async { (level.0.lock().last() == Some(&wanted)).then_some(()) }).await;
    };
    until_last(Some(json!(1))).await;
    registry.set("orders", json!({"level": 2}));
    until_last(Some(json!(2))).await;
    registry.set("orders", json!({"level": "high"}));
    eventually(|| async { (health.told().get("config_version")? == "2").then_some(()) }).await;
    assert_eq!(*level.0.lock(), [Some(json!(1)), Some(json!(2))], "what was in force stays");

    registry.go_away().await;
    registry.set("orders", json!({"level": 4}));
    assert_eq!(level.0.lock().last(), Some(&Some(json!(2))));
    registry.come_back();
    until_last(Some(json!(4))).await;
    registry.set("orders", json!({}));
    until_last(Some(json!(1))).await;
    registry.set("all", json!({}));
    until_last(None).await;
    following.abort();
}
