//! The whole platform on a real broker with a real schema registry.

use std::{path::Path, process::Output};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use viscount_chassis::devkafka::testing::{prefix, test_brokers, test_registry, wanted};

use crate::platform::{Platform, basket, block_on, viscount};

type Variables = [(&'static str, String); 3];

async fn variables() -> Variables {
    [
        ("KAFKA_BROKERS", test_brokers().await),
        ("KAFKA_TOPIC_PREFIX", prefix()),
        ("SCHEMA_REGISTRY_URL", test_registry().await),
    ]
}

async fn migrate(home: &Path, variables: &Variables) -> Output {
    let mut command = viscount(home);
    command.arg("migrate").envs(variables.iter().map(|(name, value)| (*name, value)));
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[test]
fn migrate_registers_the_schemas_and_orders_are_completed_with_framed_events() {
    if !wanted("the platform with a schema registry") {
        return;
    }
    block_on(async {
        let (home, mut variables) = (tempfile::tempdir().unwrap(), variables().await.to_vec());
        let three: Variables = variables.clone().try_into().unwrap();
        let migrated = migrate(home.path(), &three).await;
        let said = String::from_utf8_lossy(&migrated.stdout);
        assert!(migrated.status.success(), "{said}{}", String::from_utf8_lossy(&migrated.stderr));
        let subject = format!("{}orders.events.v1-value", three[1].1);
        let registered = |line: &str| {
            line.starts_with(&subject) && line.ends_with("registered now") && line.contains("version 1")
        };
        assert!(said.lines().any(registered), "{said}");

        variables.push(("SCHEMA_REGISTRY_AUTO_REGISTER", "false".to_owned()));
        let four: [_; 4] = variables.try_into().unwrap();
        let platform = Platform::start_with(four).await;
        let product = platform.product(&platform.token("admin").await, 10).await;
        let buyer = platform.token("customer").await;
        let answer = platform.post("/v1/orders", &buyer, "one", &basket(&product, 1)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        let order: Value = answer.json().await.unwrap();
        assert_eq!(platform.until_final(&buyer, order["id"].as_str().unwrap()).await, "completed");
        platform.audit().await;
    });
}

#[test]
fn migrate_fails_and_says_which_schema_is_refused() {
    if !wanted("a migration whose schema is refused") {
        return;
    }
    block_on(async {
        let (home, variables) = (tempfile::tempdir().unwrap(), variables().await);
        let subject = format!("{}identity.events.v1-value", variables[1].1);
        let theirs = "syntax = \"proto3\"; package viscount.identity.v1; message UserRegistered { int64 user_id = 1; }";
        let http = Client::new();
        let register = http.post(format!("{}/subjects/{subject}/versions", variables[2].1));
        let schema = json!({ "schemaType": "PROTOBUF", "schema": theirs });
        assert_eq!(register.json(&schema).send().await.unwrap().status(), StatusCode::OK);
        let level = http.put(format!("{}/config/{subject}", variables[2].1));
        let level = level.json(&json!({ "compatibility": "BACKWARD_TRANSITIVE" })).send().await.unwrap();
        assert_eq!(level.status(), StatusCode::OK);

        let migrated = migrate(home.path(), &variables).await;
        let said = String::from_utf8_lossy(&migrated.stderr);
        assert_eq!(migrated.status.code(), Some(1), "{said}");
        let line = format!("the schemas: the schema registry refuses {subject} with status 409");
        assert!(said.contains(&line), "{said}");
    });
}
