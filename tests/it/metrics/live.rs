//! What a living platform shows: every metric as it is listed, and not more series the more orders there are.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use tokio::time::Instant;
use uuid::Uuid;
use viscount_chassis::metrics::Kind;

use super::{exposition::Scrape, reference};
use crate::{
    platform::{Platform, basket, block_on, eventually},
    sockets::watch,
};

/// Those that publish events.
pub const SERVICES: [&str; 5] = ["orders", "inventory", "payments", "catalog", "identity"];
pub async fn scrape(platform: &Platform) -> Scrape {
    let url = format!("{}/metrics", platform.url);
    let answer = platform.http.get(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    Scrape::read(&answer.text().await.unwrap())
}

pub async fn order(platform: &Platform, buyer: &str, product: &str, card: &str) -> String {
    let mut order = basket(product, 1);
    order["payment"]["token"] = card.into();
    let answer = platform.post("/v1/orders", buyer, &Uuid::now_v7().to_string(), &order).await.unwrap();
    let status = answer.status();
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(status, StatusCode::CREATED, "{body}");
    body["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_shown_is_what_is_listed() {
    block_on(async {
        let platform = Platform::start().await;
        let (admin, buyer) = (platform.token("admin").await, platform.token("customer").await);
        let product = platform.product(&admin, 2).await;
        let bought = order(&platform, &buyer, &product, "tok_visa").await;
        assert_eq!(platform.until_final(&buyer, &bought).await, "completed");
        assert!(watch(&platform.url, &buyer, &bought, 0, usize::MAX).await.unwrap().ended);
        let declined = order(&platform, &buyer, &product, "tok_chargeDeclined").await;
        assert_eq!(platform.until_final(&buyer, &declined).await, "rejected");
        let back = platform
            .post(
                &format!("/v1/orders/{bought}/refund"),
                &buyer,
                "back",
                &serde_json::json!({"reason": "a scratch"}),
            )
            .await;
        assert!(back.unwrap().status().is_success());
        // What is asked for at a low rate comes last.
        let shown = eventually("the figures of the databases", || async {
            let shown = scrape(&platform).await;
            let asked = SERVICES.iter().all(|service| {
                let is_told = |name| shown.value(name, &[("service", service)]).is_some();
                is_told("postgres_database_bytes") && is_told("relay_lag_seconds")
            });
            let returned = shown.sum("orders_refunded_minor_units_total") > 0.0;
            (asked && returned).then_some(shown)
        })
        .await;

        for (name, labels, _) in &shown.samples {
            let listed = reference::all().find(|metric| match metric.kind {
                Kind::Histogram => ["_bucket", "_sum", "_count"]
                    .into_iter()
                    .any(|end| name.strip_suffix(end) == Some(metric.name)),
                _ => name == metric.name,
            });
            let metric = listed.unwrap_or_else(|| panic!("{name} is shown and not listed"));
            assert_eq!(shown.families[metric.name], metric.kind.name(), "{name}");
            let has: BTreeSet<_> = labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
            assert_eq!(has, metric.labels.iter().map(|label| label.0).collect(), "{name}");
        }
        for (name, labels, value) in [
            ("orders_total", vec![("status", "completed")], 1.0),
            ("orders_revenue_minor_units_total", vec![("currency", "GBP")], 1_250.0),
            ("orders_refunded_minor_units_total", vec![("currency", "GBP")], 1_250.0),
            ("order_final_seconds_count", vec![("status", "completed")], 1.0),
            ("payments_declined_total", vec![("reason", "card_declined")], 1.0),
            // The probe for the price book asks for more than there is.
            ("orders_open", vec![("status", "paid")], 0.0),
            ("orders_stuck", vec![("status", "created")], 0.0),
            ("build_info", vec![("service", "orders"), ("version", env!("CARGO_PKG_VERSION"))], 1.0),
            ("build_info", vec![("service", "gateway")], 1.0),
            (
                "consumer_lag_events",
                vec![("service", "orders"), ("topic", "payments.events.v1"), ("partition", "0")],
                0.0,
            ),
            ("consumer_lag_seconds", vec![("service", "inventory"), ("topic", "orders.events.v1")], 0.0),
            ("relay_lag_events", vec![("service", "orders")], 0.0),
            ("relay_lag_seconds", vec![("service", "payments")], 0.0),
            ("websocket_connections", vec![("service", "orders")], 0.0),
            ("db_pool_connections_max", vec![("service", "orders")], 6.0),
        ] {
            let found = shown.value(name, &labels);
            // A consumer shows once a second how far it is.
            assert!(found == Some(value), "{name} {labels:?} is {found:?}, not {value}");
        }
        for name in [
            "inventory_stock_outs_total",
            "db_pool_acquire_seconds_count",
            "postgres_blocks_total",
            "disk_free_bytes",
        ] {
            assert!(shown.sum(name) > 0.0, "{name}");
        }
        let told = |name| shown.value(name, &[("service", "orders"), ("direction", "out")]).unwrap();
        assert!(told("websocket_frames_total") >= 4.0 && told("websocket_bytes_total") > 400.0);
        for service in ["orders", "inventory"] {
            let state = |state| {
                shown.value("db_pool_connections", &[("service", service), ("state", state)]).unwrap()
            };
            assert!((1.0..=6.0).contains(&(state("idle") + state("in_use"))));
        }
    });
}

/// The look at an order that is paid comes a second after it was made; it is counted all the same.
#[test]
fn orders_that_wait_for_somebody_outside_are_counted_and_not_stuck() {
    block_on(async {
        let settings =
            [("ORDERS_FULFILMENT", "external".to_owned()), ("ORDERS_STOCK_DEADLINE", "1s".to_owned())];
        let platform = Platform::start_with(settings).await;
        let (admin, buyer) = (platform.token("admin").await, platform.token("customer").await);
        let product = platform.product(&admin, 10).await;
        for _ in 0..3 {
            order(&platform, &buyer, &product, "tok_visa").await;
        }
        let began = Instant::now();
        let shown = eventually("three orders that are paid", || async {
            let shown = scrape(&platform).await;
            let paid = shown.value("orders_open", &[("status", "paid")]) == Some(3.0);
            // Counted every ten seconds: the second count is after the looks for sure.
            (paid && began.elapsed().as_secs() > 13).then_some(shown)
        })
        .await;
        assert_eq!(shown.value("orders_stuck", &[("status", "paid")]), Some(0.0));
        assert_eq!(shown.value("orders_open", &[("status", "validated")]), Some(0.0));
    });
}
