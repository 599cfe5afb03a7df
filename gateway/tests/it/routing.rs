//! Which path leads where.

use serde_json::Value;
use viscount_chassis::auth::Role;
use viscount_gateway::Upstreams;
use viscount_gateway::routes::{Access, ROUTES, Service, Target};

use crate::support::*;

#[tokio::test]
async fn every_row_reaches_its_service_unchanged() {
    let mut services = Vec::new();
    for _ in Service::ALL {
        services.push(TestService::echo().await);
    }
    let upstreams = Service::ALL
        .into_iter()
        .zip(&services)
        .fold(Upstreams::none(), |all, (service, server)| all.with_addr(service, server.addr));
    let gateway = TestGateway::to(upstreams, |_| {}).await;
    for route in ROUTES {
        let Target::Service(service) = route.target else { continue };
        let path = route.path.replace('{', "x").replace('}', "") + "?a=b%20c&d";
        let request = gateway
            .http
            .request(route.method.clone(), gateway.url(&path))
            .bearer_auth(gateway.token(Role::Admin));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let echo: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(
            (echo["target"].as_str(), echo["method"].as_str()),
            (Some(&*path), Some(route.method.as_str()))
        );
        let position = Service::ALL.iter().position(|one| *one == service).unwrap();
        assert_eq!(services[position].seen().last().unwrap().target, path);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    let unknown = gateway.get("/v1/nothing").await;
    assert_eq!(unknown.status(), 404);
    let unknown = problem(unknown).await;
    assert_eq!(
        (&unknown["type"], &unknown["instance"]),
        (&"/problems/not-found".into(), &"/v1/nothing".into())
    );

    let wrong = gateway.http.patch(gateway.url("/v1/products/1")).send().await.unwrap();
    assert_eq!(wrong.status(), 405);
    assert_eq!(wrong.headers()["allow"], "DELETE, GET, HEAD, PUT");
    assert_eq!(problem(wrong).await["type"], "/problems/method-not-allowed");
    assert!(service.seen().is_empty());
}

#[tokio::test]
async fn head_has_the_head_of_get_and_no_body() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    let mut connection = gateway
        .raw(b"HEAD /v1/products HTTP/1.1\r\nHost: a\r\n\r\nGET /v1/categories HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let head = connection.answer_without_body().await;
    assert!(head.contains("200") && head.contains("content-length: "), "{head}");
    let get = connection.answer().await;
    assert!(String::from_utf8(get.body).unwrap().contains("/v1/categories"));
}

#[tokio::test]
async fn the_tree_of_a_named_service_is_shown_to_admins() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    let answer = gateway.get_as(Role::Admin, "/v1/ops/actors?service=orders").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(service.seen()[0].target, "/v1/ops/actors?service=orders");
    assert_eq!(gateway.get_as(Role::Customer, "/v1/ops/actors?service=orders").await.status(), 403);
    for wrong in ["/v1/ops/actors", "/v1/ops/actors?service=", "/v1/ops/actors?service=../orders"] {
        let refused = gateway.get_as(Role::Admin, wrong).await;
        assert_eq!(refused.status(), 400, "{wrong}");
        assert_eq!(problem(refused).await["services"][0], "identity");
    }
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test]
async fn metrics_are_shown_to_admins_the_gateways_own_unless_a_service_is_named() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    for own in ["/v1/ops/metrics", "/v1/ops/metrics?service=gateway"] {
        let answer = gateway.get_as(Role::Admin, own).await;
        assert_eq!(answer.status(), 200, "{own}");
        let process = answer.headers()["process-id"].clone();
        let again = gateway.get_as(Role::Admin, own).await;
        assert_eq!(again.headers()["process-id"], process, "one process, one id");
        assert!(again.text().await.unwrap().contains("process_cpu_seconds_total"), "{own}");
        assert_eq!(gateway.get_as(Role::Customer, own).await.status(), 403);
        assert_eq!(gateway.get(own).await.status(), 401);
    }
    assert!(service.seen().is_empty());
    assert_eq!(gateway.get_as(Role::Admin, "/v1/ops/metrics?service=orders").await.status(), 200);
    assert_eq!(service.seen()[0].target, "/v1/ops/metrics?service=orders");
    assert_eq!(gateway.get_as(Role::Admin, "/v1/ops/metrics?service=owls").await.status(), 400);
}

#[tokio::test]
async fn the_dead_letters_of_a_named_service_are_for_admins() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    for path in ["/v1/ops/dead-letters", "/v1/ops/dead-letters/0190a1b2-0000-7000-8000-000000000001"] {
        let path = format!("{path}?service=inventory");
        assert_eq!(gateway.get_as(Role::Admin, &path).await.status(), 200);
        assert_eq!(gateway.get_as(Role::Customer, &path).await.status(), 403);
        assert_eq!(service.seen().last().unwrap().target, path);
    }
    let unnamed = gateway.get_as(Role::Admin, "/v1/ops/dead-letters").await;
    assert_eq!(unnamed.status(), 400);
}

#[test]
fn only_what_is_meant_to_be_public_is() {
    let public: Vec<_> = ROUTES
        .iter()
        .filter(|route| matches!(route.access, Access::Public) && !matches!(route.target, Target::Own(_)))
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(
        public,
        [
            "POST /v1/users",
            "POST /v1/auth/login",
            "POST /oauth2/token",
            "POST /oauth2/revoke",
            "GET /.well-known/openid-configuration",
            "GET /.well-known/jwks.json",
            "GET /v1/products",
            "GET /v1/products/search",
            "GET /v1/products/{id}",
            "GET /v1/categories",
            "GET /v1/inventory/{product_id}",
            "POST /v1/payments/webhooks/{provider}",
        ]
    );
}
