//! Who may pass.

use std::sync::{Arc, Mutex};

use serde_json::json;
use viscount_chassis::auth::testing::{AUDIENCE, ISSUER, TestIssuer};
use viscount_chassis::auth::{AuthConfig, JwksSource, Role};
use viscount_contracts::UserId;
use viscount_gateway::routes::{Access, ROUTES, Service, Target};
use viscount_gateway::{Auth, GatewayConfig, Upstreams, start};

use crate::support::*;

#[tokio::test]
async fn without_a_token_only_public_rows_open() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    for route in ROUTES {
        let path = route.path.replace('{', "x").replace('}', "");
        let answer = gateway.http.request(route.method.clone(), gateway.url(&path)).send().await.unwrap();
        match route.access {
            Access::Public if matches!(route.target, Target::Own(_)) => {
                assert_ne!(answer.status(), 401, "{path}")
            }
            Access::Public => assert_eq!(answer.status(), 200, "{path}"),
            _ => {
                assert_eq!(answer.status(), 401, "{path}");
                assert_eq!(answer.headers()["www-authenticate"], "Bearer");
                assert_eq!(problem(answer).await["type"], "/problems/unauthorized");
            }
        }
    }
}

#[tokio::test]
async fn a_role_opens_its_rows_alone() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    for route in ROUTES {
        let Target::Service(_) = route.target else { continue };
        let path = route.path.replace('{', "x").replace('}', "");
        for role in Role::ALL {
            let request = gateway
                .http
                .request(route.method.clone(), gateway.url(&path))
                .bearer_auth(gateway.token(role));
            let allowed = match route.access {
                Access::Roles(roles) => roles.contains(&role),
                _ => true,
            };
            let status = request.send().await.unwrap().status();
            assert_eq!(status.as_u16(), if allowed { 200 } else { 403 }, "{role} {path}");
        }
    }
}

#[tokio::test]
async fn the_service_gets_the_token_unchanged() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    let token = gateway.token(Role::Customer);
    let answer = gateway.http.get(gateway.url("/v1/orders")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(service.seen()[0].headers["authorization"], format!("Bearer {token}"));
}

#[tokio::test]
async fn bad_tokens_are_refused_with_a_challenge() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    let mut expired = gateway.issuer.claims(UserId::new(), [Role::Customer]);
    (expired.iat, expired.exp) = (expired.iat - 7_200, expired.iat - 3_600);
    let mut elsewhere = gateway.issuer.claims(UserId::new(), [Role::Customer]);
    elsewhere.aud = "another-shop".to_owned();
    let stranger = TestIssuer::new().token(UserId::new(), Role::Admin);
    let cases = [
        format!("Bearer {}", gateway.issuer.sign(&expired)),
        format!("Bearer {}", gateway.issuer.sign(&elsewhere)),
        format!("Bearer {stranger}"),
        format!("Bearer {}x", gateway.token(Role::Admin)),
        "Bearer x".to_owned(),
        "Bearer ".to_owned(),
        "Basic YTpi".to_owned(),
    ];
    for authorization in cases {
        let request = gateway.http.get(gateway.url("/v1/orders")).header("authorization", &authorization);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401, "{authorization}");
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer error="));
    }
    let twice = gateway
        .http
        .get(gateway.url("/v1/orders"))
        .bearer_auth(gateway.token(Role::Customer))
        .header("authorization", format!("Bearer {}", gateway.token(Role::Admin)));
    assert_eq!(twice.send().await.unwrap().status(), 401);
    assert!(service.seen().is_empty());
}

#[tokio::test]
async fn a_stale_token_does_not_shut_out_of_public_rows() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    let login = gateway.http.post(gateway.url("/v1/auth/login")).bearer_auth("stale").send().await.unwrap();
    assert_eq!(login.status(), 200);
}

#[tokio::test]
async fn a_stream_opens_with_a_ticket_or_a_token() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    assert_eq!(gateway.get("/v1/orders/1/stream").await.status(), 401);
    assert_eq!(gateway.get("/v1/orders/1/stream?ticket=").await.status(), 401);
    assert_eq!(gateway.get("/v1/orders/1/stream?after=2&ticket=abc").await.status(), 200);
    assert_eq!(gateway.get_as(Role::Customer, "/v1/orders/1/stream").await.status(), 200);
    // A ticket does not excuse a bad token, and opens nothing else.
    let both = gateway
        .http
        .get(gateway.url("/v1/orders/1/stream?ticket=abc"))
        .bearer_auth("x")
        .send()
        .await
        .unwrap();
    assert_eq!(both.status(), 401);
    assert_eq!(gateway.get("/v1/orders/1?ticket=abc").await.status(), 401);
}

#[tokio::test]
async fn keys_come_from_identity_and_change_without_a_restart() {
    let (old, new) = (TestIssuer::new(), TestIssuer::new());
    let keys = Arc::new(Mutex::new(json!(old.jwks())));
    let identity = TestService::answering({
        let keys = keys.clone();
        move |_| {
            let keys = keys.lock().unwrap().clone();
            async move { json_answer(&keys) }
        }
    })
    .await;
    let config = GatewayConfig::new(
        Auth::Own(AuthConfig {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            jwks: JwksSource::Url(format!("http://{}/.well-known/jwks.json", identity.addr)),
        }),
        Upstreams::none().with_addr(Service::Orders, identity.addr),
    );
    let gateway = start(config).await.unwrap();
    let http = reqwest::Client::new();
    let status = async |token: String| {
        let request = http.get(format!("http://{}/v1/orders", gateway.addr())).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    let old_token = old.token(UserId::new(), Role::Customer);
    assert_eq!(status(old_token.clone()).await, 200);
    assert_eq!(status(new.token(UserId::new(), Role::Customer)).await, 401);
    *keys.lock().unwrap() = json!(new.jwks());
    until("the new key to be known", async || status(new.token(UserId::new(), Role::Customer)).await == 200)
        .await;
    assert_eq!(status(old_token).await, 401, "the withdrawn key's verdicts are gone with it");
}
