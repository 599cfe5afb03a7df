//! What the gateway answers itself.

use std::time::Duration;

use serde_json::{Value, json};
use viscount_gateway::Upstreams;
use viscount_gateway::routes::Service;

use crate::support::*;

async fn body(response: reqwest::Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn readiness_tells_how_each_service_is() {
    let (orders, catalog) = (TestService::echo().await, TestService::echo().await);
    let upstreams =
        Upstreams::none().with_addr(Service::Orders, orders.addr).with_addr(Service::Catalog, catalog.addr);
    let gateway =
        TestGateway::to(upstreams, |config| config.calls.probe_every = Duration::from_millis(20)).await;
    let ready = gateway.get("/readyz").await;
    assert_eq!(ready.status(), 200);
    let ready = body(ready).await;
    assert_eq!(
        (&ready["status"], &ready["checks"]["orders"]["status"]),
        (&"degraded".into(), &"ready".into())
    );
    assert_eq!(
        ready["checks"]["payments"],
        json!({"status": "unavailable", "instances": 0, "ready": 0, "open_breakers": 0})
    );

    catalog.kill().await;
    until("the probe to notice", async || {
        body(gateway.get("/readyz").await).await["checks"]["catalog"]["status"] == "unavailable"
    })
    .await;
    orders.kill().await;
    until("nobody to be there", async || gateway.get("/readyz").await.status() == 503).await;
    assert_eq!(gateway.get("/livez").await.status(), 200, "alive all the same");
}

#[tokio::test]
async fn all_services_are_one_document() {
    let service = TestService::answering(|request| async move {
        assert_eq!(request.uri().path(), "/openapi.json");
        json_answer(&json!({
            "openapi": "3.1.0",
            "paths": {"/v1/orders": {"get": {"summary": "list"}}, "/v1/products": {"get": {}}, "/metrics": {"get": {}}},
        }))
    })
    .await;
    let gateway = TestGateway::before(&service).await;
    let document = body(gateway.get("/openapi.json").await).await;
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/v1/orders", "/v1/products"]);
    assert!(document.get("x-unavailable-services").is_none());
    service.kill().await;
    assert_eq!(body(gateway.get("/openapi.json").await).await, document, "for a while it is remembered");
}

#[tokio::test]
async fn a_document_with_a_hole_is_asked_for_again_but_not_by_everybody() {
    let service = TestService::answering(|_| async move {
        let mut answer = json_answer(&json!({"paths": {}}));
        *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        answer
    })
    .await;
    let gateway = TestGateway::before(&service).await;
    let asked = || service.seen().iter().filter(|request| request.target == "/openapi.json").count();
    let first = body(gateway.get("/openapi.json").await).await;
    assert!(first["x-unavailable-services"].as_array().is_some_and(|missing| !missing.is_empty()), "{first}");
    let once = asked();
    assert_eq!(body(gateway.get("/openapi.json").await).await, first);
    assert_eq!(asked(), once, "the hole is remembered");
    until("the services to be asked again", async || {
        gateway.get("/openapi.json").await;
        asked() > once
    })
    .await;
}

#[tokio::test]
async fn the_docs_are_a_page() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    let redirect = gateway.get("/docs").await;
    assert_eq!(
        (redirect.status().as_u16(), &redirect.headers()["location"]),
        (302, &"/docs/index.html".parse().unwrap())
    );
    for path in ["/docs/", "/docs/index.html"] {
        let page = gateway.get(path).await;
        assert_eq!(page.status(), 200, "{path}");
        assert_eq!(page.headers()["content-type"], "text/html");
        assert!(page.text().await.unwrap().contains("swagger-ui"));
    }
    let start = gateway.get("/docs/swagger-initializer.js").await.text().await.unwrap();
    assert!(start.contains("/openapi.json"), "{start}");
    assert_eq!(problem(gateway.get("/docs/nothing").await).await["status"], 404);
}

#[tokio::test]
async fn requests_are_counted_by_template() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    gateway.get("/v1/products/0198c0de").await;
    gateway.get("/v1/payments").await;
    let metrics = gateway.get("/metrics").await;
    assert!(metrics.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let metrics = metrics.text().await.unwrap();
    for line in [
        r#"gateway_requests_total{route="/v1/products/{id}",method="GET",status="2xx"}"#,
        r#"gateway_requests_total{route="/v1/payments",method="GET",status="4xx"}"#,
        r#"gateway_request_seconds_bucket{route="/v1/products/{id}",method="GET",le="#,
        r#"gateway_refused_total{reason="unauthenticated"}"#,
        r#"resilience_breaker_state{name="catalog",instance="0"}"#,
    ] {
        assert!(metrics.contains(line), "{line} not in\n{metrics}");
    }
    assert!(!metrics.contains("0198c0de"));
}
