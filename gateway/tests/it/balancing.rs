//! Several instances of a service, some of them ill.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use viscount_chassis::auth::Role;
use viscount_gateway::Upstreams;
use viscount_gateway::routes::Service;

use crate::support::*;

fn orders(instances: &[SocketAddr]) -> Upstreams {
    Upstreams::none().with(Service::Orders, instances.iter().map(|addr| addr.to_string().parse().unwrap()))
}

async fn readiness(gateway: &TestGateway) -> Value {
    serde_json::from_str(&gateway.get("/readyz").await.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn instances_take_turns() {
    let services = [TestService::echo().await, TestService::echo().await, TestService::echo().await];
    let gateway = TestGateway::to(orders(&services.each_ref().map(|service| service.addr)), |_| {}).await;
    for _ in 0..30 {
        assert_eq!(gateway.get_as(Role::Customer, "/v1/orders").await.status(), 200);
    }
    assert_eq!(services.each_ref().map(|service| service.seen().len()), [10, 10, 10]);
}

#[tokio::test]
async fn a_dead_instance_is_left_alone_and_taken_back() {
    let (dying, living) = (TestService::echo().await, TestService::echo().await);
    let addr = dying.addr;
    let gateway = TestGateway::to(orders(&[addr, living.addr]), |config| {
        // Probes would notice the death first; here it is the breaker's turn.
        config.calls.probe_every = Duration::from_secs(3600);
        config.calls.breaker.open_for = Duration::from_millis(100);
    })
    .await;
    assert_eq!(gateway.get_as(Role::Customer, "/v1/orders").await.status(), 200);
    dying.kill().await;
    for _ in 0..40 {
        // Reads and writes alike: what could not be sent goes to the other instance, body and all.
        assert_eq!(gateway.get_as(Role::Customer, "/v1/orders").await.status(), 200);
        let post = gateway.post_as(Role::Customer, "/v1/orders", "12345").await;
        assert_eq!(post.status(), 200);
        assert_eq!(serde_json::from_str::<Value>(&post.text().await.unwrap()).unwrap()["length"], 5);
    }
    let check = readiness(&gateway).await["checks"]["orders"].clone();
    assert_eq!((&check["status"], &check["open_breakers"]), (&"degraded".into(), &1.into()));

    let revived = TestService::listening(addr, |_| async { text_answer("back") }).await;
    until("the revived instance to be asked", async || {
        gateway.get_as(Role::Customer, "/v1/orders").await;
        !revived.seen().is_empty()
    })
    .await;
    assert_eq!(readiness(&gateway).await["checks"]["orders"]["status"], "ready");
}

#[tokio::test]
async fn a_service_with_no_living_instance_is_a_problem_with_a_time() {
    let service = TestService::echo().await;
    let gateway = TestGateway::to(orders(&[service.addr]), |_| {}).await;
    service.kill().await;
    let mut details = BTreeMap::new();
    for _ in 0..20 {
        let answer = gateway.post_as(Role::Customer, "/v1/orders", "{}").await;
        assert_eq!(answer.status(), 503);
        assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
        let problem = problem(answer).await;
        *details.entry(problem["type"].to_string()).or_insert(0) += 1;
    }
    assert_eq!(details, BTreeMap::from([("\"/problems/upstream-unavailable\"".to_owned(), 20)]));
    assert_eq!(gateway.get("/v1/products").await.status(), 503, "a service without instances");
}

#[tokio::test]
async fn a_hanging_instance_is_a_timeout_and_then_left_alone() {
    let hanging = TestService::answering(|_| pending()).await;
    let gateway = TestGateway::to(orders(&[hanging.addr]), |config| {
        config.calls.deadline_at_most = Duration::from_millis(100);
        config.calls.breaker.consecutive_failures = 3;
        config.calls.breaker.open_for = Duration::from_secs(60);
        config.calls.breaker.open_at_most = Duration::from_secs(60);
    })
    .await;
    for _ in 0..3 {
        let answer = gateway.get_as(Role::Customer, "/v1/orders").await;
        assert_eq!(answer.status(), 504);
        assert!(answer.headers().contains_key("retry-after"));
        assert_eq!(problem(answer).await["type"], "/problems/upstream-timeout");
    }
    assert_eq!(gateway.get_as(Role::Customer, "/v1/orders").await.status(), 503);
    assert_eq!(hanging.seen().len(), 3, "an open breaker sends nothing");
}

#[tokio::test]
async fn answers_never_open_the_breaker_whatever_their_status() {
    let failing = TestService::answering(|_| async {
        let mut answer = text_answer("broken");
        *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        answer
    })
    .await;
    let gateway = TestGateway::to(orders(&[failing.addr]), |_| {}).await;
    for _ in 0..20 {
        let answer = gateway.get_as(Role::Customer, "/v1/orders").await;
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (500, "broken"));
    }
}

#[tokio::test]
async fn too_much_at_once_is_refused_while_the_rest_goes_on() {
    let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Semaphore::new(0)));
    let slow = TestService::answering({
        let (begun, go) = (begun.clone(), go.clone());
        move |_| {
            let (begun, go) = (begun.clone(), go.clone());
            async move {
                begun.fetch_add(1, Ordering::SeqCst);
                go.acquire().await.unwrap().forget();
                text_answer("done")
            }
        }
    })
    .await;
    let gateway = TestGateway::to(orders(&[slow.addr]), |config| {
        config.calls.bulkhead.permits = 2;
        config.calls.bulkhead.max_waiting = 0;
    })
    .await;
    let request = || gateway.get_as(Role::Customer, "/v1/orders");
    let full = async {
        until("two to be under way", async || begun.load(Ordering::SeqCst) == 2).await;
        let refused = request().await;
        assert_eq!(refused.status(), 503);
        assert_eq!(problem(refused).await["type"], "/problems/overloaded");
        go.add_permits(2);
    };
    let (first, second, ()) = tokio::join!(request(), request(), full);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
}

#[tokio::test]
async fn who_asked_to_wait_does_not_take_the_places_of_the_others() {
    let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Semaphore::new(0)));
    let service = TestService::answering({
        let (begun, go) = (begun.clone(), go.clone());
        move |request: http::Request<hyper::body::Incoming>| {
            let (begun, go) = (begun.clone(), go.clone());
            async move {
                if request.headers().contains_key("prefer") {
                    begun.fetch_add(1, Ordering::SeqCst);
                    go.acquire().await.unwrap().forget();
                }
                text_answer("done")
            }
        }
    })
    .await;
    let gateway = TestGateway::to(orders(&[service.addr]), |config| {
        config.calls.bulkhead.permits = 1;
        config.calls.bulkhead.max_waiting = 0;
        config.calls.patient.permits = 2;
    })
    .await;
    let waiting = || async {
        let request = gateway.http.get(gateway.url("/v1/orders")).bearer_auth(gateway.token(Role::Customer));
        request.header("prefer", "wait=5").send().await.unwrap()
    };
    let others = async {
        until("two to wait", async || begun.load(Ordering::SeqCst) == 2).await;
        assert_eq!(gateway.get_as(Role::Customer, "/v1/orders").await.status(), 200);
        let refused = waiting().await;
        assert_eq!(refused.status(), 503);
        let after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=3).contains(&after));
        assert_eq!(problem(refused).await["type"], "/problems/overloaded");
        go.add_permits(2);
    };
    let (first, second, ()) = tokio::join!(waiting(), waiting(), others);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
}

/// Answers the first request of each connection and dies on the second, having read it.
async fn closes_when_reused() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let count = count.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 8192];
                for answers in [true, false] {
                    let read = stream.read(&mut buffer).await.unwrap_or(0);
                    if read == 0 {
                        return;
                    }
                    // Probes do not count, and get no keep-alive to disturb the rest.
                    if buffer.starts_with(b"GET /readyz") {
                        let _ = stream
                            .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                            .await;
                        return;
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    if answers {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                    }
                }
            });
        }
    });
    (addr, requests)
}

#[tokio::test]
async fn a_get_whose_kept_connection_died_is_sent_once_more_and_a_post_never() {
    let (addr, requests) = closes_when_reused().await;
    let gateway = TestGateway::to(orders(&[addr]), |_| {}).await;
    let get = || gateway.get_as(Role::Customer, "/v1/orders");
    assert_eq!(get().await.status(), 200);
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    assert_eq!(get().await.status(), 200);
    assert_eq!(requests.load(Ordering::SeqCst), 3, "lost once, sent again");

    let post = gateway.post_as(Role::Customer, "/v1/orders", "{}").await;
    assert_eq!(post.status(), 502);
    assert_eq!(problem(post).await["type"], "/problems/upstream-broken");
    assert_eq!(requests.load(Ordering::SeqCst), 4, "lost, and left at that");

    // Nor one without a body, which could be built again.
    assert_eq!(get().await.status(), 200);
    let cancel =
        gateway.http.post(gateway.url("/v1/orders/1/cancel")).bearer_auth(gateway.token(Role::Customer));
    assert_eq!(cancel.send().await.unwrap().status(), 502);
    assert_eq!(requests.load(Ordering::SeqCst), 6);
}
