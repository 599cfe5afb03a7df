//! Instances that come and go, as coordination tells it; and limits that change meanwhile.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::watch;
use viscount_chassis::auth::Role;
use viscount_chassis::coordination::{Client, Coordination, CoordinationConfig, TokenConfig};
use viscount_chassis::resilience::RatePolicy;
use viscount_contracts::UserId;
use viscount_gateway::routes::Service;
use viscount_gateway::{Discovery, Upstreams};

use crate::support::*;

/// The list of a coordination service, and who asks for it.
struct Registry {
    server: TestService,
    list: watch::Sender<(u64, Vec<Value>)>,
}

fn listed(service: &str, instance: &TestService, health: &str) -> Value {
    json!({
        "service": service,
        "instance_id": uuid::Uuid::new_v4(),
        "address": instance.addr.to_string(),
        "version": "0.1.0",
        "health": health,
    })
}

impl Registry {
    async fn start() -> Registry {
        let (list, _) = watch::channel((1, Vec::new()));
        let shown = list.clone();
        let server = TestService::answering(move |request| {
            let shown = shown.subscribe();
            async move { list_instances(request, shown).await }
        })
        .await;
        Registry { server, list }
    }

    fn lists(&self, instances: impl IntoIterator<Item = Value>) {
        self.list.send_modify(|(version, list)| {
            *version += 1;
            *list = instances.into_iter().collect();
        });
    }

    fn client(&self) -> Arc<Client> {
        let config = CoordinationConfig {
            url: format!("http://{}", self.server.addr),
            token: TokenConfig::Given("a token".to_owned()),
            advertised_host: None,
            lease: Duration::from_secs(15),
        };
        Coordination::new(config).unwrap().client()
    }

    async fn gateway(&self, upstreams: Upstreams, remembered: Option<PathBuf>) -> TestGateway {
        let client = self.client();
        TestGateway::to(upstreams, |config| config.discovery = Some(Discovery { client, remembered })).await
    }
}

/// `GET /v1/services` with its ETag and long poll.
async fn list_instances(request: Request<Incoming>, mut shown: watch::Receiver<(u64, Vec<Value>)>) -> Answer {
    assert_eq!(request.headers()["authorization"], "Bearer a token");
    let tag = |version: u64| format!("\"{version}\"");
    if let Some(known) = request.headers().get("if-none-match") {
        assert!(request.uri().query().unwrap().contains("wait="));
        let changed = shown.wait_for(|(version, _)| tag(*version) != known.to_str().unwrap());
        if tokio::time::timeout(Duration::from_secs(5), changed).await.is_err() {
            let mut answer: Answer = Response::new(Default::default());
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            return answer;
        }
    }
    let (version, list) = shown.borrow().clone();
    let mut answer = json_answer(&json!({"items": list, "next_cursor": null}));
    answer.headers_mut().insert("etag", tag(version).parse().unwrap());
    answer
}

async fn orders_check(gateway: &TestGateway) -> Value {
    let readiness: Value = serde_json::from_str(&gateway.get("/readyz").await.text().await.unwrap()).unwrap();
    readiness["checks"]["orders"].clone()
}

async fn asks_orders(gateway: &TestGateway) -> u16 {
    gateway.get_as(Role::Customer, "/v1/orders").await.status().as_u16()
}

#[tokio::test]
async fn who_registers_later_is_asked_and_who_has_left_is_not() {
    let (registry, first, second) =
        (Registry::start().await, TestService::echo().await, TestService::echo().await);
    registry.lists([listed("orders", &first, "unknown")]);
    let gateway = registry.gateway(Upstreams::none(), None).await;
    until("the first to be found", async || asks_orders(&gateway).await == 200).await;

    registry.lists([listed("orders", &first, "healthy"), listed("orders", &second, "unknown")]);
    until("the second to be asked", async || {
        assert_eq!(asks_orders(&gateway).await, 200);
        !second.seen().is_empty()
    })
    .await;

    registry.lists([listed("orders", &second, "healthy")]);
    first.kill().await;
    until("the first to be gone", async || {
        assert_eq!(asks_orders(&gateway).await, 200, "nobody notices");
        orders_check(&gateway).await["instances"] == 1
    })
    .await;
    assert_eq!(orders_check(&gateway).await["status"], "ready");
}

#[tokio::test]
async fn a_list_that_has_forgotten_an_instance_does_not_take_it_away_while_it_is_ready() {
    let (registry, kept, forgotten) =
        (Registry::start().await, TestService::echo().await, TestService::echo().await);
    registry.lists([listed("orders", &kept, "healthy"), listed("orders", &forgotten, "healthy")]);
    let gateway = registry.gateway(Upstreams::none(), None).await;
    until("both to be ready", async || orders_check(&gateway).await["ready"] == 2).await;

    registry.lists([listed("orders", &kept, "healthy"), listed("payments", &kept, "healthy")]);
    until("the new list", async || gateway.get_as(Role::Customer, "/v1/payments").await.status() == 200)
        .await;
    let before = forgotten.seen().len();
    for _ in 0..10 {
        assert_eq!(asks_orders(&gateway).await, 200);
    }
    assert_eq!(forgotten.seen().len(), before + 5, "it takes its turns");
    // A list without any of them changes nothing at all.
    registry.lists([listed("catalog", &kept, "healthy")]);
    until("the next list", async || gateway.get("/v1/products").await.status() == 200).await;
    assert_eq!(orders_check(&gateway).await["instances"], 2);

    // Its address now belongs to another service.
    registry.lists([listed("orders", &kept, "healthy"), listed("catalog", &forgotten, "healthy")]);
    until("it to be gone", async || orders_check(&gateway).await["instances"] == 1).await;
}

#[tokio::test]
async fn unhealthy_ones_are_left_out_unless_none_is_left() {
    let (registry, well, ill) =
        (Registry::start().await, TestService::echo().await, TestService::echo().await);
    registry.lists([listed("orders", &well, "healthy"), listed("orders", &ill, "unhealthy")]);
    let gateway = registry.gateway(Upstreams::none(), None).await;
    until("one to be found", async || asks_orders(&gateway).await == 200).await;
    for _ in 0..5 {
        assert_eq!(asks_orders(&gateway).await, 200);
    }
    assert!(ill.seen().is_empty());
    registry.lists([listed("orders", &ill, "unhealthy")]);
    well.kill().await;
    until("the ill one to be asked", async || {
        asks_orders(&gateway).await;
        !ill.seen().is_empty()
    })
    .await;
}

#[tokio::test]
async fn without_coordination_the_last_known_answer_counts_also_after_a_restart() {
    let (registry, service) = (Registry::start().await, TestService::echo().await);
    let home = std::env::temp_dir().join(format!("gateway-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&home).unwrap();
    let remembered = home.join("gateway-instances.json");
    registry.lists([listed("orders", &service, "healthy")]);
    let gateway = registry.gateway(Upstreams::none(), Some(remembered.clone())).await;
    until("it to be found", async || asks_orders(&gateway).await == 200).await;

    let gone = registry.client();
    registry.server.kill().await;
    for _ in 0..10 {
        assert_eq!(asks_orders(&gateway).await, 200);
    }
    drop(gateway);
    let next = TestGateway::to(Upstreams::none(), |config| {
        config.discovery = Some(Discovery { client: gone, remembered: Some(remembered) });
    })
    .await;
    until("it to be remembered", async || asks_orders(&next).await == 200).await;
    std::fs::remove_dir_all(&home).unwrap();
}

#[tokio::test]
async fn what_the_configuration_names_is_left_alone() {
    let (registry, named, found) =
        (Registry::start().await, TestService::echo().await, TestService::echo().await);
    registry.lists([listed("orders", &found, "healthy"), listed("catalog", &found, "healthy")]);
    let upstreams = Upstreams::none().with_addr(Service::Orders, named.addr);
    let gateway = registry.gateway(upstreams, None).await;
    until("the list", async || gateway.get("/v1/products").await.status() == 200).await;
    let before = found.seen().len();
    for _ in 0..5 {
        assert_eq!(asks_orders(&gateway).await, 200);
    }
    assert_eq!((named.seen().len(), found.seen().len()), (5, before));
}

#[tokio::test]
async fn limits_change_without_a_restart_and_without_a_fresh_quota() {
    let service = TestService::echo().await;
    let gateway = TestGateway::with(&service, |config| {
        config.limits.read =
            RatePolicy { quota: NonZeroU32::new(3).unwrap(), window: Duration::from_secs(3600) };
    })
    .await;
    let token = gateway.issuer.token(UserId::new(), Role::Customer);
    let get = async || {
        let answer = gateway.http.get(gateway.url("/v1/orders")).bearer_auth(&token).send().await.unwrap();
        let policy = answer.headers()["ratelimit-policy"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), policy)
    };
    for status in [200, 200, 200, 429] {
        assert_eq!(get().await, (status, "\"read\";q=3;w=3600".to_owned()));
    }
    let limits = gateway.handle.limits();
    assert_eq!(limits.key(), "limits");
    let slow = json!({"read": {"per_second": 0.05, "burst": 1000}});
    limits.apply(Some(&slow)).unwrap();
    // One request finds out that the old quota was used up, and uses up the new one.
    for status in [200, 429] {
        assert_eq!(get().await.0, status);
    }
    let refused = limits.apply(Some(&json!({"read": {"per_second": 1, "burst": 0}}))).unwrap_err();
    assert!(refused.contains("cannot be read"), "{refused}");
    assert_eq!(get().await.0, 429, "what was in force stays");
    assert_eq!(gateway.get_as(Role::Customer, "/v1/orders").await.status(), 200, "others have theirs");
    limits.apply(None).unwrap();
    assert_eq!(get().await, (200, "\"read\";q=3;w=3600".to_owned()), "the start's policy again");
    assert_eq!(get().await.0, 429);
}
