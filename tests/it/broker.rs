//! The whole platform on a real broker that is away at the start, comes, dies, and comes back.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;
use viscount_chassis::devkafka::{
    DevKafka,
    testing::{on_a_blocking_thread, own_broker, prefix, wanted},
};

use crate::platform::{Platform, basket, block_on, eventually};

/// How many order while the broker is away, and how often.
const CUSTOMERS: usize = 10;
const ORDERS_EACH: usize = 10;

#[test]
fn orders_are_accepted_without_the_broker_and_completed_when_it_is_back() {
    if !wanted("the platform without its broker") {
        return;
    }
    block_on(async {
        let mut broker = own_broker(&[]).await;
        broker.kill();
        let mut platform = Platform::start_without_waiting([
            ("KAFKA_BROKERS", broker.brokers()),
            ("KAFKA_TOPIC_PREFIX", prefix()),
        ])
        .await;
        assert!(platform.comes_up().await, "services start without the broker: {}", platform.log());
        let readyz = format!("{}/readyz", platform.service("orders"));
        let events = || async {
            let report: Value = platform.http.get(&readyz).send().await.ok()?.json().await.ok()?;
            assert_eq!(report["status"], "ready", "{report}");
            let check = report["checks"].as_array()?.iter().find(|check| check["name"] == "events")?.clone();
            Some(check["status"].as_str()?.to_owned())
        };
        let told = eventually("a report on the events", events).await;
        assert_eq!(told, "failed", "the report says what is missing");
        let mut broker = restarted(broker).await;
        let again = || async { events().await.filter(|status| status == "ok") };
        eventually("the events to flow", again).await;
        platform.until_stocked().await;
        let admin = platform.token("admin").await;
        let product = platform.product(&admin, 1_000).await;
        let buyer = platform.token("customer").await;

        broker.kill();
        let ordering = join_all((0..CUSTOMERS).map(|customer| {
            let (platform, buyer, body) = (&platform, &buyer, basket(&product, 1));
            async move {
                let mut accepted = Vec::new();
                for n in 0..ORDERS_EACH {
                    let key = format!("{customer}-{n}");
                    let answer = platform.post("/v1/orders", buyer, &key, &body).await.unwrap();
                    assert_eq!(answer.status(), StatusCode::CREATED, "orders are accepted meanwhile");
                    let order: Value = answer.json().await.unwrap();
                    accepted.push(order["id"].as_str().unwrap().to_owned());
                }
                accepted
            }
        }));
        let accepted: Vec<String> = ordering.await.into_iter().flatten().collect();
        assert_eq!(accepted.len(), CUSTOMERS * ORDERS_EACH);
        for order in &accepted {
            let order = platform.get(&format!("/v1/orders/{order}"), &buyer).await;
            assert_eq!(order["status"], "created", "nothing goes on without the broker: {order}");
        }
        let _broker = restarted(broker).await;
        for order in &accepted {
            assert_eq!(platform.until_final(&buyer, order).await, "completed");
        }
        assert!(!platform.has_died());

        // The brokers have what the database has, in any order of keys, and some perhaps twice.
        let shown = async |source: &str| {
            let arguments =
                ["events", "tail", "--topic", "orders", "--decode", "none", "--once", "--source", source];
            let output = platform.run(&arguments).await;
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
            said.lines().map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let committed = shown("store").await;
        assert!(committed.len() >= 3 * accepted.len());
        eventually("everything on the brokers", || async {
            (shown("broker").await == committed).then_some(())
        })
        .await;
        platform.audit().await;
    });
}

pub async fn restarted(mut broker: DevKafka) -> DevKafka {
    on_a_blocking_thread(move || {
        broker.restart().unwrap();
        broker
    })
    .await
}
