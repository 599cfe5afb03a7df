//! What of a message is passed on, and what is refused before anything else.

use viscount_chassis::auth::Role;

use crate::support::*;

#[tokio::test]
async fn hop_by_hop_headers_stay_on_their_hop() {
    let service = TestService::answering(|_| async {
        let mut answer = text_answer("hello");
        for (name, value) in [
            ("connection", "x-internal"),
            ("x-internal", "secret"),
            ("keep-alive", "timeout=1"),
            ("proxy-authenticate", "Basic"),
            ("x-kept", "1"),
            ("x-request-id", "the-service-says"),
        ] {
            answer.headers_mut().insert(name, value.parse().unwrap());
        }
        answer
    })
    .await;
    let gateway = TestGateway::before(&service).await;
    let mut connection = gateway
        .raw(
            b"GET /v1/products HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\n\
              Keep-Alive: 5\r\nTE: trailers\r\nProxy-Authorization: Basic x\r\nUpgrade: h2c\r\nX-Kept: 1\r\n\
              X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Request-Id: mine\r\n\r\n",
        )
        .await;
    let answer = connection.answer().await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("x-kept: 1") && answer.head.contains("x-request-id: mine"),
        "{}",
        answer.head
    );
    for gone in ["x-internal", "keep-alive", "proxy-authenticate", "the-service-says"] {
        assert!(!answer.head.contains(gone), "{gone} in {}", answer.head);
    }
    let headers = &service.seen()[0].headers;
    for gone in ["x-private", "keep-alive", "te", "proxy-authorization", "upgrade", "forwarded", "x-real-ip"]
    {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert_eq!(headers["host"], "shop.example");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-host"], "shop.example");
    assert_eq!(headers["x-request-id"], "mine");
}

#[tokio::test]
async fn a_trace_is_continued_or_begun() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    gateway.http.get(gateway.url("/v1/products")).header("traceparent", parent).send().await.unwrap();
    gateway.http.get(gateway.url("/v1/products")).header("traceparent", "nonsense").send().await.unwrap();
    gateway.get("/v1/products").await;
    let parents: Vec<String> =
        service.seen().iter().map(|seen| seen.headers["traceparent"].to_str().unwrap().to_owned()).collect();
    assert!(parents[0].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && parents[0] != parent);
    assert!(parents[1..].iter().all(|parent| parent.len() == 55 && parent.starts_with("00-")));
    assert_ne!(parents[1], parents[2]);

    let refused =
        gateway.http.get(gateway.url("/v1/nothing")).header("traceparent", parent).send().await.unwrap();
    assert_eq!(problem(refused).await["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    for path in ["/v1/products", "/v1/orders", "/v1/nothing", "/livez", "/openapi.json", "/docs"] {
        let answer = gateway.get(path).await;
        let id = answer.headers()["x-request-id"].to_str().unwrap().parse::<uuid::Uuid>().unwrap();
        assert_eq!(id.get_version_num(), 7, "{path}");
    }
    let long = "x".repeat(129);
    let answer = gateway.http.get(gateway.url("/livez")).header("x-request-id", &long).send().await.unwrap();
    assert_ne!(answer.headers()["x-request-id"], long.as_str());
}

#[tokio::test]
async fn paths_that_could_be_read_two_ways_are_refused() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    for path in [
        "/v1/products/../ops/actors",
        "/v1/products/%2e%2e/ops/actors",
        "/v1/products/%2E%2e/ops/actors",
        "/v1/products/.%2e/ops/actors",
        "/./v1/products",
        "/v1/products/..%2fops%2factors",
        "/v1/products%5c..%5cops",
        "/v1/products\\..\\ops",
        "/v1/products/..;/ops/actors",
        "/v1/products/%00",
        "/v1/inventory/%6Cow-stock",
        "/v1/products/%zz",
        "/v1/products/%252e%252e",
    ] {
        let answer =
            gateway.raw(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.answer().await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.body.is_empty() || answer.problem()["type"] == "/problems/bad-path", "{path}");
    }
    assert!(service.seen().is_empty());
}

#[tokio::test]
async fn a_request_names_one_host() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    for hosts in ["", "Host: a\r\nHost: b\r\n", "Host: a\r\nHost: a\r\n", "Host:\r\n"] {
        let mut connection =
            gateway.raw(format!("GET /v1/products HTTP/1.1\r\n{hosts}\r\n").as_bytes()).await;
        assert_eq!(connection.answer().await.status, 400, "{hosts:?}");
    }
    let absolute = b"GET http://other/v1/products HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(gateway.raw(absolute).await.answer().await.status, 200);
    let seen = service.seen();
    assert_eq!(
        (seen.len(), &seen[0].headers["host"], &*seen[0].target),
        (1, &"other".parse().unwrap(), "/v1/products")
    );
}

#[tokio::test]
async fn heads_and_bodies_have_a_largest_size() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    let many: String = (0..70).map(|n| format!("X-{n}: 1\r\n")).collect();
    let long = format!("Cookie: {}\r\n", "x".repeat(20_000));
    for headers in [many, long] {
        let request = format!("GET /v1/products HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let answer = gateway.raw(request.as_bytes()).await.answer().await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem()["type"].as_str()),
            (431, Some("/problems/headers-too-large"))
        );
    }
    let target = format!("GET /v1/products?q={} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9_000));
    assert_eq!(gateway.raw(target.as_bytes()).await.answer().await.status, 414);

    let exact = gateway.post_as(Role::Customer, "/v1/orders", vec![b' '; 64 * 1024]).await;
    assert_eq!(exact.status(), 200);
    let larger = gateway.post_as(Role::Customer, "/v1/orders", vec![b' '; 64 * 1024 + 1]).await;
    assert_eq!(larger.status(), 413);
    assert_eq!(problem(larger).await["type"], "/problems/payload-too-large");
    assert_eq!(service.seen().len(), 1, "what says its length is refused before it is sent");
}

#[tokio::test]
async fn a_body_that_does_not_say_its_length_is_stopped_at_the_limit() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    let mut connection =
        gateway.raw(b"POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let chunk = [b"1000\r\n".as_slice(), &[b'x'; 0x1000], b"\r\n"].concat();
    for _ in 0..20 {
        connection.send(&chunk).await;
    }
    let answer = connection.answer().await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem()["type"].as_str()),
        (413, Some("/problems/payload-too-large"))
    );
    // The client's fault leaves no mark on the service.
    for _ in 0..10 {
        assert_eq!(gateway.get("/.well-known/jwks.json").await.status(), 200);
    }
}
