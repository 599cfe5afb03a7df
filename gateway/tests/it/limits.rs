//! How much one caller may ask.

use std::num::NonZeroU32;
use std::time::Duration;

use viscount_chassis::auth::Role;
use viscount_chassis::resilience::RatePolicy;
use viscount_contracts::UserId;

use crate::support::*;

fn policy(quota: u32) -> RatePolicy {
    RatePolicy { quota: NonZeroU32::new(quota).unwrap(), window: Duration::from_secs(3600) }
}

#[tokio::test]
async fn a_caller_hears_what_is_left_and_when_to_come_back() {
    let service = TestService::echo().await;
    let gateway = TestGateway::with(&service, |config| config.limits.read = policy(3)).await;
    let token = gateway.token(Role::Customer);
    let get = || gateway.http.get(gateway.url("/v1/orders")).bearer_auth(&token).send();
    for left in [2, 1, 0] {
        let answer = get().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["ratelimit-policy"], "\"read\";q=3;w=3600");
        let limit = answer.headers()["ratelimit"].to_str().unwrap();
        assert!(limit.starts_with(&format!("\"read\";r={left};t=")), "{limit}");
    }
    let refused = get().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert!(refused.headers()["ratelimit"].to_str().unwrap().starts_with("\"read\";r=0;t="));
    let retry_after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=1200).contains(&retry_after), "{retry_after}");
    assert_eq!(problem(refused).await["type"], "/problems/rate-limited");
    assert_eq!(service.seen().len(), 3);

    // Another principal, another class: their own quotas.
    assert_eq!(gateway.get_as(Role::Customer, "/v1/orders").await.status(), 200);
    let post = gateway.http.post(gateway.url("/v1/orders")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(post.status(), 200);
    assert!(post.headers()["ratelimit"].to_str().unwrap().starts_with("\"write\";"));
}

#[tokio::test]
async fn a_quota_is_the_principals_not_the_tokens() {
    let service = TestService::echo().await;
    let gateway = TestGateway::with(&service, |config| config.limits.read = policy(2)).await;
    let subject = UserId::new();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let token = gateway.issuer.token(subject, Role::Customer);
        let answer = gateway.http.get(gateway.url("/v1/orders")).bearer_auth(token).send().await.unwrap();
        statuses.push(answer.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn strangers_share_their_addresss_quota() {
    let service = TestService::echo().await;
    let gateway = TestGateway::with(&service, |config| config.limits.auth = policy(2)).await;
    let login = || gateway.http.post(gateway.url("/v1/auth/login")).send();
    let statuses =
        [login().await, login().await, login().await].map(|answer| answer.unwrap().status().as_u16());
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(gateway.get("/v1/products").await.status(), 200);
}

#[tokio::test]
async fn an_addresss_limit_comes_before_all_else_but_probes() {
    let service = TestService::echo().await;
    let gateway = TestGateway::with(&service, |config| config.limits.address = policy(2)).await;
    let statuses = [
        gateway.get("/v1/nothing").await,
        gateway.get_as(Role::Customer, "/v1/orders").await,
        gateway.get_as(Role::Customer, "/v1/orders").await,
        gateway.get("/livez").await,
        gateway.get("/readyz").await,
    ]
    .map(|answer| answer.status().as_u16());
    assert_eq!(statuses, [404, 200, 429, 200, 200]);
}

#[tokio::test]
async fn behind_a_proxy_of_ours_the_client_is_who_it_says() {
    let service = TestService::echo().await;
    let gateway = TestGateway::with(&service, |config| {
        config.limits.address = policy(1);
        config.limits.trusted_hops = 1;
    })
    .await;
    let from = |address: &'static str| {
        let request = gateway.http.get(gateway.url("/v1/products")).header("x-forwarded-for", address);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let statuses = [from("192.0.2.1").await, from("192.0.2.2").await, from("9.9.9.9, 192.0.2.1").await];
    assert_eq!(statuses, [200, 200, 429]);
}
