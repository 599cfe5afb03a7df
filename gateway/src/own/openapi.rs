//! `/openapi.json`: the documents of all services in one, with only what the door leads to.
//!
//! Each service describes itself; the gateway puts the descriptions together, on demand and at most every few
//! seconds. Two services may use one name for different schemas: the later one is then renamed, references included.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Method;
use http::uri::PathAndQuery;
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::routes::{ROUTES, Route, Service, Target};
use crate::upstream::Upstream;
use crate::upstream::pool::Pool;

/// A whole document is good for so long.
const FRESH: Duration = Duration::from_secs(10);
/// One with a hole only for so long: the service may be back at once, but not everybody has to look for it.
const HOLED: Duration = Duration::from_secs(1);
/// How long an instance may take, and its body again.
const WITHIN: Duration = Duration::from_secs(2);
/// How long all instances of a service may take together.
const ALL_WITHIN: Duration = Duration::from_secs(4);
/// How long to wait for what somebody else is asking for.
const WAIT: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The merged document, for a while.
pub(super) struct Cache {
    known: Mutex<Option<Known>>,
    /// Held by whoever asks the services.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Known {
    until: Instant,
    document: Bytes,
}

impl Cache {
    pub(super) fn new() -> Self {
        Cache { known: Mutex::new(None), asking: tokio::sync::Mutex::new(()) }
    }

    /// One asks, the others wait for what it brings; not for long.
    pub(super) async fn get(&self, upstream: &Upstream) -> Bytes {
        if let Some(document) = self.fresh() {
            return document;
        }
        let Ok(_asking) = tokio::time::timeout(WAIT, self.asking.lock()).await else {
            // What was known before is better than nothing; and nothing is a document too.
            return self.known().map_or_else(
                || {
                    merge(upstream.pools().iter().map(|pool| (pool.service, None)).collect())
                        .to_string()
                        .into()
                },
                |known| known.document,
            );
        };
        if let Some(document) = self.fresh() {
            return document;
        }
        let parts = join_all(upstream.pools().iter().map(|pool| async move {
            let fetched = tokio::time::timeout(ALL_WITHIN, fetch(upstream, pool)).await;
            (pool.service, fetched.ok().flatten())
        }))
        .await;
        let whole = parts.iter().all(|(_, document)| document.is_some());
        let document = Bytes::from(merge(parts).to_string());
        let until = Instant::now() + if whole { FRESH } else { HOLED };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Known { until, document: document.clone() });
        document
    }

    fn fresh(&self) -> Option<Bytes> {
        self.known().filter(|known| Instant::now() < known.until).map(|known| known.document)
    }

    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn fetch(upstream: &Upstream, pool: &Pool) -> Option<Value> {
    for instance in pool.members().iter() {
        let Some(answer) = upstream.ask(instance, PathAndQuery::from_static("/openapi.json"), WITHIN).await
        else {
            continue;
        };
        if !answer.status().is_success() {
            continue;
        }
        let body = tokio::time::timeout(WITHIN, Limited::new(answer.into_body(), MAX_BYTES).collect()).await;
        if let Ok(Ok(body)) = body
            && let Ok(document) = serde_json::from_slice(&body.to_bytes())
        {
            return Some(document);
        }
    }
    None
}

fn merge(parts: Vec<(Service, Option<Value>)>) -> Value {
    let (mut paths, mut components, mut tags, mut missing) = (Map::new(), Map::new(), Vec::new(), Vec::new());
    for (service, document) in parts {
        let Some(mut document) = document else {
            missing.push(service.name());
            continue;
        };
        rename_clashes(service, &mut document, &components);
        if let Some(Value::Object(theirs)) = document.get_mut("paths").map(Value::take) {
            merge_paths(service, theirs, &mut paths);
        }
        if let Some(Value::Object(theirs)) = document.get_mut("components").map(Value::take) {
            for (kind, entries) in theirs {
                let Value::Object(entries) = entries else { continue };
                if let Value::Object(ours) = components.entry(kind).or_insert_with(|| json!({})) {
                    ours.extend(entries);
                }
            }
        }
        if let Some(Value::Array(theirs)) = document.get_mut("tags").map(Value::take) {
            tags.extend(theirs.into_iter().filter(|tag| !tags.contains(tag)).collect::<Vec<_>>());
        }
    }
    let mut merged = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "First Viscount",
            "description": "The public API: every service, through one door.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": components,
        "tags": tags,
    });
    if !missing.is_empty() {
        merged["x-unavailable-services"] = json!(missing);
    }
    merged
}

/// Takes over the operations that the door leads to, for this service.
fn merge_paths(service: Service, theirs: Map<String, Value>, paths: &mut Map<String, Value>) {
    for (path, item) in theirs {
        let Value::Object(item) = item else { continue };
        let public: Vec<&Route> = ROUTES.iter().filter(|route| leads_to(route, service, &path)).collect();
        let is_public = |key: &str| match Method::from_bytes(key.to_ascii_uppercase().as_bytes()) {
            Ok(method) if is_operation(key) => public.iter().any(|route| route.method == method),
            // Parameters and descriptions of the whole path.
            _ => true,
        };
        let kept: Map<String, Value> = item.into_iter().filter(|(key, _)| is_public(key)).collect();
        if kept.keys().any(|key| is_operation(key))
            && let Value::Object(ours) = paths.entry(path).or_insert_with(|| json!({}))
        {
            // The first service's word stands where several serve one path (the supervision tree).
            for (key, value) in kept {
                ours.entry(key).or_insert(value);
            }
        }
    }
}

fn is_operation(key: &str) -> bool {
    matches!(key, "get" | "put" | "post" | "delete" | "patch" | "head" | "options" | "trace")
}

/// The row of the table that a path of a service's document stands for, whatever its parameters are called.
fn leads_to(route: &Route, service: Service, path: &str) -> bool {
    let same =
        |ours: &str, theirs: &str| ours == theirs || (ours.starts_with('{') && theirs.starts_with('{'));
    let target = match route.target {
        Target::Service(to) => to == service,
        Target::NamedService | Target::NamedServiceOr(_) => true,
        Target::Own(_) => false,
    };
    target
        && route.path.split('/').count() == path.split('/').count()
        && route.path.split('/').zip(path.split('/')).all(|(ours, theirs)| same(ours, theirs))
}

/// Renames the components of a document that would replace a different one of the same name.
fn rename_clashes(service: Service, document: &mut Value, taken: &Map<String, Value>) {
    let Some(Value::Object(theirs)) = document.get("components") else { return };
    let mut renamed = Vec::new();
    for (kind, entries) in theirs {
        let (Value::Object(entries), Some(Value::Object(taken))) = (entries, taken.get(kind)) else {
            continue;
        };
        for (name, entry) in entries {
            if taken.get(name).is_some_and(|known| known != entry) {
                renamed.push((kind.clone(), name.clone(), format!("{}_{name}", service.name())));
            }
        }
    }
    for (kind, old, new) in &renamed {
        if let Some(Value::Object(entries)) = document.pointer_mut(&format!("/components/{kind}"))
            && let Some(entry) = entries.remove(old)
        {
            entries.insert(new.clone(), entry);
        }
        rewrite(document, &format!("#/components/{kind}/{old}"), &format!("#/components/{kind}/{new}"));
    }
}

fn rewrite(value: &mut Value, old: &str, new: &str) {
    match value {
        Value::String(text) if text == old => new.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, old, new)),
        Value::Object(members) => members.values_mut().for_each(|member| rewrite(member, old, new)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, schema: Value) -> Value {
        json!({
            "paths": {
                path: {
                    "get": {"responses": {"200": {"$ref": "#/components/schemas/Thing"}}},
                    "patch": {},
                    "parameters": [],
                },
                "/livez": {"get": {}},
            },
            "components": {"schemas": {"Thing": schema}},
        })
    }

    #[test]
    fn documents_become_one_with_public_paths_alone() {
        let merged = merge(vec![
            (Service::Catalog, Some(document("/v1/products/{product}", json!({"type": "object"})))),
            (Service::Orders, Some(document("/v1/orders/{id}", json!({"type": "string"})))),
            (Service::Payments, None),
        ]);
        let paths = merged["paths"].as_object().map(|paths| paths.keys().cloned().collect::<Vec<_>>());
        assert_eq!(paths, Some(vec!["/v1/orders/{id}".to_owned(), "/v1/products/{product}".to_owned()]));
        let item = &merged["paths"]["/v1/products/{product}"];
        assert!(item.get("get").is_some() && item.get("parameters").is_some() && item.get("patch").is_none());
        assert_eq!(merged["x-unavailable-services"], json!(["payments"]));
    }

    #[test]
    fn a_name_used_twice_keeps_both_meanings() {
        let merged = merge(vec![
            (Service::Catalog, Some(document("/v1/products", json!({"type": "object"})))),
            (Service::Orders, Some(document("/v1/orders", json!({"type": "string"})))),
        ]);
        let schemas = &merged["components"]["schemas"];
        assert_eq!(
            (&schemas["Thing"]["type"], &schemas["orders_Thing"]["type"]),
            (&json!("object"), &json!("string"))
        );
        let reference = &merged["paths"]["/v1/orders"]["get"]["responses"]["200"]["$ref"];
        assert_eq!(reference, "#/components/schemas/orders_Thing");
    }
}
