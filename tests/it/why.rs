//! "Why is this order not finished?": orders made to hang in each waiting state, and the true cause named each time.

#[cfg(feature = "kafka")]
mod broker_away;
mod held_up;

use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;
use viscount_chassis::ports::free_port;

use crate::platform::{Platform, basket, block_on, eventually};

impl Platform {
    async fn ordered(&self, buyer: &str, product: &str) -> String {
        let key = Uuid::now_v7().to_string();
        let response = self.post("/v1/orders", buyer, &key, &basket(product, 1)).await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        response.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    async fn why(&self, admin: &str, order: &str) -> Value {
        self.get(&format!("/v1/ops/orders/{order}/why"), admin).await
    }

    /// Asks until the first cause is this one, and gives the answer.
    async fn because(&self, admin: &str, order: &str, status: &str, kind: &str, service: &str) -> Value {
        let last = std::cell::RefCell::new(Value::Null);
        let look = async {
            eventually(kind, || async {
                let why = self.why(admin, order).await;
                let first = &why["causes"][0];
                let is_it = why["status"] == status && first["kind"] == kind && first["service"] == service;
                last.replace(why.clone());
                is_it.then_some(why)
            })
            .await
        };
        match tokio::time::timeout(std::time::Duration::from_secs(40), look).await {
            Ok(why) => why,
            Err(_) => panic!("{kind} was not the first cause: {:#}", last.borrow()),
        }
    }

    /// Waits until no order is unfinished.
    async fn nothing_runs(&self, admin: &str) {
        eventually("no open workflow", || async {
            let running = self.get("/v1/workflows?state=running", admin).await;
            running["items"].as_array()?.is_empty().then_some(())
        })
        .await;
    }

    /// How the payment provider misbehaves.
    async fn provider(&self, faults: Value) {
        let url = format!("{}/v1/simulator/faults", self.service("simulator"));
        let set = self.http.put(url).json(&faults).send().await.unwrap();
        assert_eq!(set.status(), StatusCode::OK);
    }
}

async fn sql(connection: &mut PgConnection, statement: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(connection).await.unwrap();
}

/// A platform whose orders and inventory coordination finds, whether they register or not.
async fn platform<const N: usize>(more: [(&'static str, String); N]) -> Platform {
    let ports = ["ORDERS_PORT", "INVENTORY_PORT", "PAYMENTS_PORT"]
        .map(|name| (name, free_port().unwrap().to_string()));
    let mut platform = Platform::spawn(ports.into_iter().chain(more).collect()).await;
    platform.until_up().await;
    platform
}

/// A platform where faults are allowed, an administrator, a buyer, and a product.
async fn shop() -> (Platform, String, String, String) {
    let faults = ("VISCOUNT_FAULTS", "1".to_owned());
    let quick = ("PAYMENTS_PROVIDER_TIMEOUT", "300ms".to_owned());
    let stuck = ("COORDINATION_STUCK_AFTER", "2s".to_owned());
    let platform = platform([faults, quick, stuck]).await;
    let admin = platform.token("admin").await;
    let buyer = platform.token("customer").await;
    let product = platform.product(&admin, 1_000).await;
    (platform, admin, buyer, product)
}

#[test]
fn a_finished_order_is_told_as_finished_and_only_to_those_who_run_the_shop() {
    block_on(async {
        let (platform, admin, buyer, product) = shop().await;
        let done = platform.ordered(&buyer, &product).await;
        assert_eq!(platform.until_final(&buyer, &done).await, "completed");
        let why = eventually("the whole story", || async {
            let why = platform.why(&admin, &done).await;
            (why["finished"] == true && why["timeline"].as_array()?.len() >= 7).then_some(why)
        })
        .await;
        assert_eq!((&why["status"], &why["causes"]), (&json!("completed"), &json!([])));
        let timeline = why["timeline"].as_array().unwrap();
        let kinds: Vec<_> = timeline.iter().map(|it| it["type"].as_str().unwrap()).collect();
        for kind in
            ["OrderCreated", "InventoryReserved", "PaymentProcessed", "OrderCompleted", "InventoryDeducted"]
        {
            assert!(kinds.contains(&kind), "{kinds:?}");
        }
        let said = platform.run(&["why", &done]).await;
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains("is completed and finished") && said.contains("InventoryDeducted"), "{said}");
        platform.nothing_runs(&admin).await;
        let nobody = format!("{}/v1/ops/orders/{}/why", platform.url, Uuid::now_v7());
        let answer = platform.http.get(&nobody).bearer_auth(&admin).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        let answer = platform.http.get(&nobody).bearer_auth(&buyer).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    });
}

#[test]
fn a_consumer_that_cannot_go_on_is_named_and_its_orders_are_stuck() {
    block_on(async {
        let (platform, admin, buyer, product) = shop().await;
        let mut inventory = platform.database("inventory", "inventory_db").await;
        let unwanted = "alter table reservations add constraint unwanted check (state <> 'held') not valid";
        sql(&mut inventory, unwanted).await;
        let slow = platform.ordered(&buyer, &product).await;
        let why = platform.because(&admin, &slow, "created", "consumer_lag", "inventory").await;
        assert_eq!(why["waits_for"]["service"], "inventory");
        assert!(why["waits_for"]["until"].is_string(), "it will cancel itself: {why:#}");
        eventually("a stuck workflow", || async {
            let stuck = platform.get("/v1/workflows?state=stuck", &admin).await;
            (stuck["items"][0]["order_id"] == slow.as_str()).then_some(())
        })
        .await;
        sql(&mut inventory, "alter table reservations drop constraint unwanted").await;
        assert_eq!(platform.until_final(&buyer, &slow).await, "completed");
        platform.nothing_runs(&admin).await;
    });
}

#[test]
fn an_answer_that_was_given_up_is_named_and_the_next_step_works() {
    block_on(async {
        let (platform, admin, buyer, product) = shop().await;
        let mut orders = platform.database("orders", "order_db").await;
        let unwanted = "alter table orders add constraint unwanted check (status <> 'validated') not valid";
        sql(&mut orders, unwanted).await;
        let unheard = platform.ordered(&buyer, &product).await;
        let why = platform.because(&admin, &unheard, "created", "dead_letter", "orders").await;
        assert_eq!(why["waits_for"]["what"], "stock_answer");
        let letter = why["causes"][0]["evidence"]["parked"]["dead_letter_id"].as_str().unwrap().to_owned();
        sql(&mut orders, "alter table orders drop constraint unwanted").await;
        assert!(platform.run(&["dlq", "redrive", &letter]).await.status.success());
        assert_eq!(platform.until_final(&buyer, &unheard).await, "completed");
    });
}

#[test]
fn an_order_in_quarantine_is_named() {
    block_on(async {
        let (platform, admin, buyer, product) = shop().await;
        let mut payments = platform.database("payments", "payment_db").await;
        sql(&mut payments, "begin; lock table payments in exclusive mode").await;
        let sick = platform.ordered(&buyer, &product).await;
        eventually("the order before its payment", || async {
            (platform.why(&admin, &sick).await["status"] == "validated").then_some(())
        })
        .await;
        let fault = json!({"kind": "panic", "actor": "order", "entity": sick, "id": "strike"});
        let set = platform.post("/v1/ops/faults?service=orders", &admin, "-", &fault).await.unwrap();
        assert_eq!(set.status(), StatusCode::CREATED);
        sql(&mut payments, "rollback").await;
        let why = platform.because(&admin, &sick, "validated", "actor_quarantined", "orders").await;
        assert!(why["causes"][0]["evidence"]["path"].as_str().unwrap().ends_with(&sick), "{why:#}");
        assert!(platform.run(&["faults", "clear"]).await.status.success());
        assert!(platform.run(&["actors", "release", "orders/order", &sick]).await.status.success());
        assert_eq!(platform.until_final(&buyer, &sick).await, "completed");
    });
}

#[test]
fn a_provider_that_does_not_answer_and_one_that_is_down_are_named() {
    block_on(async {
        let (platform, admin, buyer, product) = shop().await;
        platform.provider(json!({"latency_ms": 60_000})).await;
        let unknown = platform.ordered(&buyer, &product).await;
        let why = eventually("an unknown outcome", || async {
            let why = platform.why(&admin, &unknown).await;
            let mut causes = why["causes"].as_array()?.iter();
            causes.any(|cause| cause["kind"] == "provider_unknown_outcome").then_some(why)
        })
        .await;
        assert_eq!(why["waits_for"]["what"], "payment");
        platform.provider(json!({"down": true})).await;
        let mut refused = Vec::new();
        for _ in 0..12 {
            refused.push(platform.ordered(&buyer, &product).await);
        }
        let why = platform.because(&admin, &refused[11], "validated", "breaker_open", "payments").await;
        assert_eq!(why["causes"][0]["evidence"]["name"], "payment_provider");
        platform.provider(json!({})).await;
        for order in refused.iter().chain([&unknown]) {
            assert_eq!(platform.until_final(&buyer, order).await, "completed");
        }
    });
}

#[test]
fn somebody_outside_and_a_service_that_is_away_are_named() {
    block_on(async {
        let external = ("ORDERS_FULFILMENT", "external".to_owned());
        // Nobody listens there.
        let away = ("COORDINATION_INVENTORY_URL", format!("http://127.0.0.1:{}", free_port().unwrap()));
        let platform = platform([external, away]).await;
        let admin = platform.token("admin").await;
        let buyer = platform.token("customer").await;
        let product = platform.product(&admin, 1_000).await;
        let paid = platform.ordered(&buyer, &product).await;
        let why = platform.because(&admin, &paid, "paid", "external_fulfilment", "orders").await;
        assert_eq!(why["waits_for"]["what"], "fulfilment");
        let mut causes = why["causes"].as_array().unwrap().iter();
        assert!(
            causes.all(|it| it["kind"] != "service_down"),
            "inventory is not on the way any more: {why:#}"
        );

        let mut inventory = platform.database("inventory", "inventory_db").await;
        sql(
            &mut inventory,
            "alter table reservations add constraint unwanted check (state <> 'held') not valid",
        )
        .await;
        let waiting = platform.ordered(&buyer, &product).await;
        let why = platform.because(&admin, &waiting, "created", "service_down", "inventory").await;
        assert_eq!(why["waits_for"]["service"], "inventory");
    });
}
