//! Many at once, for little.

use std::collections::HashSet;

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use crate::platform::{Platform, basket, block_on};

#[test]
fn two_hundred_buyers_get_exactly_the_ten_pieces_there_are() {
    block_on(async {
        let platform = Platform::start().await;
        let admin = platform.token("admin").await;
        let product = platform.product(&admin, 10).await;
        let buyer = platform.token("customer").await;
        let orders = join_all((0..200).map(|_| async {
            let key = Uuid::now_v7().to_string();
            let response = platform.post("/v1/orders", &buyer, &key, &basket(&product, 1)).await.unwrap();
            assert_eq!(response.status(), StatusCode::CREATED);
            let order: Value = response.json().await.unwrap();
            order["id"].as_str().unwrap().to_owned()
        }))
        .await;
        let ends = join_all(orders.iter().map(|order| platform.until_final(&buyer, order))).await;
        let count = |status: &str| ends.iter().filter(|end| *end == status).count();
        assert_eq!((count("completed"), count("rejected")), (10, 190));
        let stock = platform.get(&format!("/v1/inventory/{product}"), &admin).await;
        assert_eq!((&stock["on_hand"], &stock["reserved"]), (&0.into(), &0.into()));
        platform.audit().await;
    });
}

#[test]
fn the_same_key_a_hundred_times_at_once_is_one_order() {
    block_on(async {
        let platform = Platform::start().await;
        let admin = platform.token("admin").await;
        let product = platform.product(&admin, 1_000).await;
        let buyer = platform.token("customer").await;
        let order = basket(&product, 1);
        let answers =
            join_all((0..100).map(|_| platform.post("/v1/orders", &buyer, "the-one-key", &order))).await;
        let mut ids = HashSet::new();
        for answer in answers {
            let answer = answer.unwrap();
            match answer.status() {
                StatusCode::CREATED => {
                    let order: Value = answer.json().await.unwrap();
                    ids.insert(order["id"].as_str().unwrap().to_owned());
                }
                StatusCode::CONFLICT => {}
                other => panic!("{other}: {}", answer.text().await.unwrap()),
            }
        }
        assert_eq!(ids.len(), 1);
        let all = platform.get("/v1/orders", &buyer).await;
        assert_eq!(all["items"].as_array().unwrap().len(), 1);
    });
}
