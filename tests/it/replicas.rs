//! Separate processes on a real broker: two replicas of orders and of inventory, killed and started again.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;
use viscount_chassis::{
    devkafka::testing::{test_brokers, wanted},
    devpg::testing::durable_server,
    ports::free_port,
};

use crate::{
    platform::{basket, block_on, eventually},
    processes::{Processes, assert_running},
};

#[test]
fn replicas_die_and_come_back_and_no_order_is_lost() {
    if !wanted("separate processes") {
        return;
    }
    block_on(async {
        let postgres = durable_server().await;
        let processes = Processes::new(&postgres.admin_url(), &test_brokers().await);
        let [orders_0, orders_1, stock_0, stock_1] = std::array::from_fn(|_| free_port().unwrap());
        let addresses = |one: u16, two: u16| format!("127.0.0.1:{one},127.0.0.1:{two}");
        let upstreams = [
            ("GATEWAY_UPSTREAM_ORDERS", addresses(orders_0, orders_1)),
            ("GATEWAY_UPSTREAM_INVENTORY", addresses(stock_0, stock_1)),
            ("CATALOG_PORT", "0".to_owned()),
            ("PAYMENTS_PORT", "0".to_owned()),
            ("SIMULATOR_PORT", "0".to_owned()),
        ];
        let parts = ["identity", "catalog", "payments", "simulator", "gateway"];
        let mut rest = processes.start("rest", &parts, &upstreams);
        let orders =
            |name, port: u16| processes.start(name, &["orders"], &[("ORDERS_PORT", port.to_string())]);
        let stock =
            |name, port: u16| processes.start(name, &["inventory"], &[("INVENTORY_PORT", port.to_string())]);
        let (mut first, _second) = (orders("orders-0", orders_0), orders("orders-1", orders_1));
        let (mut store, _storage) = (stock("inventory-0", stock_0), stock("inventory-1", stock_1));
        for port in [orders_0, orders_1, stock_0, stock_1] {
            processes.until_ready(port).await;
        }
        assert_running(&mut rest, "rest", processes.home.path());

        let admin = processes.token("admin").await;
        let thing = json!({"sku": "THING", "name": "A thing", "price": {"amount": 1_250, "currency": "GBP"}});
        let made = processes.post("/v1/products", &admin, "thing", &thing, StatusCode::CREATED).await;
        let product = made["id"].as_str().unwrap().to_owned();
        let receipt = json!({"product_id": product, "delta": 10_000, "reason": "receipt"});
        processes.post("/v1/inventory/adjust", &admin, "receipt", &receipt, StatusCode::OK).await;

        // Twenty customers order, one order after the other, while replicas are killed and come back.
        let customer = processes.token("customer").await;
        let shopping = join_all((0..20).map(|_| async {
            let mut placed = Vec::new();
            for _ in 0..12 {
                let key = Uuid::now_v7().to_string();
                let body = basket(&product, 1);
                let order = processes.post("/v1/orders", &customer, &key, &body, StatusCode::CREATED).await;
                placed.push(order["id"].as_str().unwrap().to_owned());
                sleep(Duration::from_millis(100)).await;
            }
            placed
        }));
        let killing = async {
            sleep(Duration::from_millis(500)).await;
            drop(std::mem::replace(&mut first, orders("orders-0", orders_0)));
            sleep(Duration::from_millis(500)).await;
            drop(std::mem::replace(&mut store, stock("inventory-0", stock_0)));
        };
        let (placed, ()) = tokio::join!(shopping, killing);
        let placed: Vec<String> = placed.into_iter().flatten().collect();
        for order in &placed {
            let order = eventually("an order to be final", || async {
                let url = format!("{}/v1/orders/{order}", processes.url);
                let answer = processes.http.get(url).bearer_auth(&customer).send().await.ok()?;
                let order: Value = answer.json().await.ok()?;
                let on_its_way = ["created", "validated", "paid"].contains(&order["status"].as_str()?);
                (!on_its_way).then_some(order)
            });
            let order = order.await;
            assert_eq!(order["status"], "completed", "{order} {}", processes.said());
        }
        let audit = processes.run(&["audit", "--within", "60"]).await;
        let said = String::from_utf8_lossy(&audit.stdout).into_owned();
        assert!(
            audit.status.success(),
            "{said}{}{}",
            String::from_utf8_lossy(&audit.stderr),
            processes.said()
        );
        println!("{} orders\n{said}", placed.len());
    });
}
