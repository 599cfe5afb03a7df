//! The API's own description, as the gateway serves it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::platform::{Platform, block_on};

/// Every `$ref` and every `{parameter}` of the merged document is defined in it.
#[test]
fn the_merged_openapi_document_is_whole() {
    block_on(async {
        let platform = Platform::start().await;
        let document: Value = platform
            .http
            .get(format!("{}/openapi.json", platform.url))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut missing = BTreeSet::new();
        references(&document, &mut |reference| {
            if let Some(name) = reference.strip_prefix("#/components/schemas/")
                && !schemas.contains_key(name)
            {
                missing.insert(format!("schema {name}"));
            }
        });
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                for name in path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
                    let defined = |at: &Value| {
                        at["parameters"].as_array().is_some_and(|all| all.iter().any(|p| p["name"] == name))
                    };
                    if !defined(operation) && !defined(operations) {
                        missing.insert(format!("{method} {path}: {name}"));
                    }
                }
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
        assert!(document["paths"].as_object().unwrap().len() >= 25);
    });
}

/// A name in the merged document means one thing, whichever service says it.
#[test]
fn no_two_services_have_different_things_under_one_name() {
    block_on(async {
        let platform = Platform::start().await;
        let mut known: BTreeMap<String, (&str, Value)> = BTreeMap::new();
        let mut twice = Vec::new();
        for service in ["orders", "inventory", "payments", "catalog", "identity", "coordination"] {
            let url = format!("{}/openapi.json", platform.service(service));
            let document: Value = platform.http.get(url).send().await.unwrap().json().await.unwrap();
            for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
                let (first, was) = known.entry(name.clone()).or_insert_with(|| (service, schema.clone()));
                if was != schema {
                    twice.push(format!("{name}: {first} and {service}"));
                }
            }
        }
        assert!(twice.is_empty(), "{twice:#?}");
        for name in ["View", "Told", "Why", "Moment", "State", "What"] {
            assert!(!known.contains_key(name), "{name} says nothing by itself");
        }
    });
}

fn references(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member.as_str() {
                    Some(reference) if key == "$ref" => see(reference),
                    _ => references(member, see),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, see)),
        _ => {}
    }
}
