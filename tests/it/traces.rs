//! One order, as its trace tells it; and what the logs do not tell.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind::{self, Client, Consumer, Producer, Server};
use serde_json::{Value, json};
use uuid::Uuid;
use viscount_chassis::ports::free_port;

use crate::{
    collector::{Collector, Span},
    platform::{Platform, basket, block_on, eventually},
    sockets::watch,
};

/// What a place in the tree has to be.
type Step = (&'static str, SpanKind, &'static str);

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A platform whose provider tells of charges through the gateway, as a real one would.
async fn start(variables: impl IntoIterator<Item = (&'static str, String)>) -> Platform {
    let port = free_port().unwrap();
    let webhook = format!("http://127.0.0.1:{port}/v1/payments/webhooks/simulator");
    let mut all = vec![("VISCOUNT_PORT", port.to_string()), ("SIMULATOR_WEBHOOK_URL", webhook)];
    // Only the gateway's port has to be known beforehand.
    all.extend(
        [
            "IDENTITY_PORT",
            "CATALOG_PORT",
            "INVENTORY_PORT",
            "ORDERS_PORT",
            "PAYMENTS_PORT",
            "SIMULATOR_PORT",
            "COORDINATION_PORT",
        ]
        .map(|name| (name, "0".to_owned())),
    );
    all.extend(variables);
    Platform::start_with_all(all).await
}

/// The way from the caller down to a span, the span last.
fn way(spans: &[Span], span: &Span) -> Vec<String> {
    let mut way = vec![told(span)];
    let mut parent = span.parent.clone();
    while parent != CALLER {
        let above = spans.iter().find(|span| span.id == parent);
        let above = above.unwrap_or_else(|| panic!("{} has no parent: {way:?}", told(span)));
        way.push(told(above));
        parent = above.parent.clone();
    }
    way.reverse();
    way
}

fn told(span: &Span) -> String {
    format!("{} {:?} {}", span.service, span.kind, span.name)
}

fn steps(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|(service, kind, name)| format!("{service} {kind:?} {name}")).collect()
}

const ORDERS: &str = "orders.events.v1";

#[test]
fn one_order_is_one_trace_from_the_client_to_the_frame() {
    block_on(one_order_is_one_trace(&[]));
}

/// The same where events go through a broker.
#[cfg(feature = "kafka")]
#[test]
fn one_order_is_one_trace_through_a_broker_too() {
    use viscount_chassis::devkafka::testing::{prefix, test_brokers, wanted};
    if !wanted("one order's trace through a broker") {
        return;
    }
    block_on(async {
        let variables = [("KAFKA_BROKERS", test_brokers().await), ("KAFKA_TOPIC_PREFIX", prefix())];
        let collector = one_order_is_one_trace(&variables).await;
        // What the relay hands to the brokers is work of many traces, and says of which.
        let spans = collector.of(TRACE);
        let created =
            spans.iter().find(|span| told(span) == "orders Producer publish orders.events.v1").unwrap();
        eventually("the relay's span", || async {
            let all = collector.spans();
            let mut sent = all.iter().filter(|span| told(span) == "orders Client send orders.events.v1");
            sent.any(|span| span.links.contains(&(created.trace.clone(), created.id.clone()))).then_some(())
        })
        .await;
    });
}

async fn one_order_is_one_trace(variables: &[(&'static str, String)]) -> Collector {
    let collector = Collector::start();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.clone());
    let platform = start(variables.iter().cloned().chain([endpoint])).await;
    let admin = platform.token("admin").await;
    let product = platform.product(&admin, 10).await;
    let buyer = platform.token("customer").await;
    let placed = platform
        .http
        .post(format!("{}/v1/orders", platform.url))
        .bearer_auth(&buyer)
        .header("Idempotency-Key", Uuid::now_v7().to_string())
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .json(&basket(&product, 1))
        .send()
        .await
        .unwrap();
    let order = placed.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let seen = watch(&platform.url, &buyer, &order, 0, usize::MAX).await.unwrap();
    assert!(seen.ended);

    let post = ("gateway", Server, "POST /v1/orders");
    let call = ("gateway", Client, "POST /v1/orders");
    let answer = ("orders", Server, "POST /v1/orders");
    let created = ("orders", Producer, "publish orders.events.v1");
    let begin = [post, call, answer, created];
    let reserve = ("inventory", Consumer, "process orders.events.v1");
    let reserved = ("inventory", Producer, "publish inventory.events.v1");
    let validate = ("orders", Consumer, "process inventory.events.v1");
    let pay = ("payments", Consumer, "process orders.events.v1");
    let paid = ("payments", Producer, "publish payments.events.v1");
    let complete = ("orders", Consumer, "process payments.events.v1");
    let hook = "POST /v1/payments/webhooks/{provider}";
    let validated = [&begin[..], &[reserve, reserved, validate, created, pay]].concat();
    let completed = [&validated[..], &[paid, complete, created]].concat();
    let charge =
        [("payments", Client, "POST /v1/charges"), ("payment-simulator", Server, "POST /v1/charges")];
    let webhook = [
        ("payment-simulator", Client, "POST"),
        ("gateway", Server, hook),
        ("gateway", Client, hook),
        ("payments", Server, hook),
    ];
    let expected = [
        [&validated[..], &charge, &webhook].concat(),
        [&completed[..], &[("orders", Producer, "send orders.v1")]].concat(),
        [&completed[..], &[reserve, reserved]].concat(),
    ];
    for expected in expected {
        let expected = steps(&expected);
        let looking = || async {
            let spans = collector.of(TRACE);
            spans
                .iter()
                .any(|span| {
                    told(span) == *expected.last().unwrap()
                        && is_whole(&spans, span)
                        && way(&spans, span) == expected
                })
                .then_some(())
        };
        eventually(&format!("{expected:#?}"), looking).await;
    }

    // Every span hangs together, and in time: nothing is a root but the caller.
    let spans = eventually("a whole trace", || async {
        let spans = collector.of(TRACE);
        spans.iter().all(|span| is_whole(&spans, span)).then_some(spans)
    })
    .await;
    assert!(spans.iter().all(|span| !span.failed), "{spans:#?}");
    let frames: Vec<_> = spans.iter().filter(|span| span.name == "send orders.v1").collect();
    assert_eq!(frames.len(), seen.frames.len(), "one for each frame");
    for frame in frames {
        assert_eq!(frame.attributes["messaging.system"], "websocket");
        assert_eq!(frame.attributes["viscount.event.key"], order);
        assert_eq!(frame.links.len(), 1, "whoever opened the stream");
    }

    // Each entry knows its batch, and the batch its entries.
    let published: Vec<_> =
        spans.iter().filter(|span| span.kind == Producer && span.name.starts_with("publish")).collect();
    assert!(published.len() >= 5, "{published:#?}");
    let all = collector.spans();
    for entry in published {
        let [(trace, batch)] = entry.links.as_slice() else { panic!("{entry:#?}") };
        assert_ne!(trace, TRACE, "a batch belongs to many");
        let batch = all.iter().find(|span| span.id == *batch).unwrap();
        assert_eq!((batch.service.as_str(), batch.kind), (entry.service.as_str(), Client));
        assert!(batch.name.starts_with("commit "), "{}", batch.name);
        assert!(batch.links.contains(&(entry.trace.clone(), entry.id.clone())));
    }

    // The conventions' names.
    let of = |service: &str, kind, name: &str| {
        let wanted = (service, kind, name);
        spans.iter().find(|span| (span.service.as_str(), span.kind, span.name.as_str()) == wanted).unwrap()
    };
    let server = &of("orders", Server, "POST /v1/orders").attributes;
    assert_eq!(server["http.request.method"], "POST");
    assert_eq!(server["http.route"], "/v1/orders");
    assert_eq!(server["http.response.status_code"], "201");
    let process = &of("inventory", Consumer, "process orders.events.v1").attributes;
    assert_eq!(process["messaging.operation.type"], "process");
    assert_eq!(process["messaging.destination.name"], ORDERS);
    assert_eq!(process["messaging.consumer.group.name"], "inventory");
    assert_eq!(process["viscount.event.key"], order);

    // What a customer sends is theirs.
    let shown = format!("{all:?}");
    assert!(!shown.contains(&buyer) && !shown.contains("tok_visa"), "a span holds a secret");
    collector
}

fn is_whole(spans: &[Span], span: &Span) -> bool {
    span.parent == CALLER
        || spans.iter().find(|above| above.id == span.parent).is_some_and(|above| is_whole(spans, above))
}

/// What a customer gave away must not be found in what an operator reads, not even at debug.
#[test]
fn logs_hold_nothing_personal_and_no_secret() {
    block_on(async {
        let platform = start([
            ("RUST_LOG", "debug,viscount=trace,hyper=info,hyper_util=info,sqlx=debug".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
        ])
        .await;
        let (email, password) = ("grace.hopper.7c1@example.com", "correct-horse-9131-battery");
        let body = json!({"email": email, "password": password, "name": "Grace Murray-Hopper"});
        platform.post("/v1/users", "-", "-", &body).await.unwrap().error_for_status().unwrap();
        let login = json!({"email": email, "password": password});
        let session: Value =
            platform.post("/v1/auth/login", "-", "-", &login).await.unwrap().json().await.unwrap();
        let (access, refresh) =
            (session["access_token"].as_str().unwrap(), session["refresh_token"].as_str().unwrap());
        let wrong = json!({"email": email, "password": "wrong-horse-4417-staple"});
        assert_eq!(platform.post("/v1/auth/login", "-", "-", &wrong).await.unwrap().status(), 401);

        let products = platform.get("/v1/products?in_stock=true", access).await;
        let mut outcomes = Vec::new();
        for (card, trace) in [
            ("tok_visa", "0af7651916cd43dd8448eb211c80319c"),
            ("tok_declined", "0af7651916cd43dd8448eb211c80319d"),
        ] {
            let mut order = basket(products["items"][0]["id"].as_str().unwrap(), 1);
            order["payment"]["token"] = card.into();
            order["shipping_address"] = json!({
                "name": "Grace Murray-Hopper", "lines": ["17 Nanosecond Lane"], "city": "Arlingtonville",
                "postal_code": "ZZ-22201", "country": "US",
            });
            let placed = platform
                .http
                .post(format!("{}/v1/orders", platform.url))
                .bearer_auth(access)
                .header("Idempotency-Key", Uuid::now_v7().to_string())
                .header("traceparent", format!("00-{trace}-{CALLER}-01"))
                .json(&order)
                .send()
                .await
                .unwrap();
            let order: Value = placed.error_for_status().unwrap().json().await.unwrap();
            let id = order["id"].as_str().unwrap();
            watch(&platform.url, access, id, 0, usize::MAX).await.unwrap();
            outcomes.push(platform.until_final(access, id).await);
        }
        assert_eq!(outcomes[0], "completed");
        let ticket = platform.http.get(format!("{}/v1/orders/x?ticket=ticket-5571", platform.url));
        ticket.send().await.unwrap();

        let log = platform.log();
        assert!(log.contains("\"level\":\"DEBUG\""), "the log is at debug");
        let secrets = [
            email,
            "grace.hopper",
            password,
            "wrong-horse",
            "Murray-Hopper",
            "Nanosecond",
            "Arlingtonville",
            "ZZ-22201",
            "tok_visa",
            "tok_declined",
            access,
            refresh,
            "ticket-5571",
        ];
        for secret in secrets {
            // What is no JSON is the welcome to whoever started it.
            let lines = log.lines().filter(|line| line.starts_with('{'));
            let found: Vec<_> = lines.filter(|line| line.contains(secret)).take(3).collect();
            assert!(found.is_empty(), "{secret}: {found:#?}");
        }
        // Lines of what an order went through name its trace, whichever service wrote them.
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let traced = lines.filter(|line| line["trace_id"] == "0af7651916cd43dd8448eb211c80319c").count();
        assert!(traced >= 2, "{traced} lines of the trace");
    });
}
