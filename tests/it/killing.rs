//! Killed at every step between commit, publish, handle and offset, in the middle of orders: started again, every
//! accepted order comes to its end, and the auditor finds nothing.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use crate::platform::{Platform, basket, block_on};

/// Where to die, and after how many passes.
const POINTS: &[(&str, u32)] = &[
    ("store.before-commit", 40),
    ("store.after-commit", 40),
    ("store.before-publish", 40),
    ("store.after-publish", 40),
    ("store.after-reply", 40),
    ("consumer.before-handle", 60),
    ("consumer.after-handle", 60),
    ("consumer.before-offset", 12),
    ("consumer.after-offset", 12),
    ("payments.before-provider", 12),
    ("payments.after-provider", 12),
    ("http.before-answer", 20),
];

#[test]
fn killed_at_every_failpoint_in_the_middle_of_orders_nothing_is_lost_or_doubled() {
    block_on(async {
        let mut platform = Platform::start().await;
        let admin = platform.token("admin").await;
        let product = platform.product(&admin, 500_000).await;
        let buyer = platform.token("customer").await;
        let mut accepted = Vec::new();
        for (point, passes) in POINTS {
            platform.kill();
            platform.start_armed(&format!("{point}={passes}*off->return")).await;
            if platform.comes_up().await {
                accepted.extend(order_until_it_dies(&mut platform, &buyer, &product).await);
            }
            assert!(platform.has_died(), "{point} was not reached: {}", platform.log());
        }
        platform.start_again().await;
        assert!(!accepted.is_empty());
        for end in join_all(accepted.iter().map(|order| platform.until_final(&buyer, order))).await {
            assert_eq!(end, "completed");
        }
        platform.audit().await;
    });
}

/// Places orders from eight clients until nobody answers. A request without an answer is sent again with its key after
/// the restart by a careful client; here it is enough that its order, if it was taken, comes to an end.
async fn order_until_it_dies(platform: &mut Platform, buyer: &str, product: &str) -> Vec<String> {
    let broken = AtomicUsize::new(0);
    let clients = join_all((0..8).map(|_| async {
        let mut accepted = Vec::new();
        while broken.load(Ordering::Relaxed) == 0 && accepted.len() < 500 {
            let key = Uuid::now_v7().to_string();
            match platform.post("/v1/orders", buyer, &key, &basket(product, 1)).await {
                Ok(response) if response.status() == StatusCode::CREATED => {
                    if let Ok(order) = response.json::<Value>().await {
                        accepted.push(order["id"].as_str().unwrap().to_owned());
                    }
                }
                Ok(response) => assert!(response.status().is_server_error(), "{}", response.status()),
                Err(_) => {
                    broken.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        accepted
    }))
    .await;
    // Dead means gone, not only silent.
    for _ in 0..200 {
        if platform.has_died() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    clients.into_iter().flatten().collect()
}
