//! "Why is this order not finished?": orders made to hang in each waiting state, and the true cause named each time.

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

#[test]
fn the_true_cause_is_named_in_each_waiting_state() {
    block_on(async {
        let faults = ("VISCOUNT_FAULTS", "1".to_owned());
        let quick = ("PAYMENTS_PROVIDER_TIMEOUT", "300ms".to_owned());
        let stuck = ("COORDINATION_STUCK_AFTER", "2s".to_owned());
        let platform = platform([faults, quick, stuck]).await;
        let admin = platform.token("admin").await;
        let buyer = platform.token("customer").await;
        let product = platform.product(&admin, 1_000).await;

        // Finished: told as such, with the whole story.
        let done = platform.ordered(&buyer, &product).await;
        assert_eq!(platform.until_final(&buyer, &done).await, "completed");
        let why = eventually("the whole story", || async {
            let why = platform.why(&admin, &done).await;
            (why["finished"] == true && why["timeline"].as_array()?.len() >= 7).then_some(why)
        })
        .await;
        assert_eq!((&why["status"], &why["causes"]), (&json!("completed"), &json!([])));
        let kinds: Vec<_> =
            why["timeline"].as_array().unwrap().iter().map(|it| it["type"].as_str().unwrap()).collect();
        for kind in
            ["OrderCreated", "InventoryReserved", "PaymentProcessed", "OrderCompleted", "InventoryDeducted"]
        {
            assert!(kinds.contains(&kind), "{kinds:?}");
        }
        assert_eq!(platform.get("/v1/workflows?state=running", &admin).await["items"], json!([]));

        // Nobody's, and not everybody's.
        let nobody = format!("{}/v1/ops/orders/{}/why", platform.url, Uuid::now_v7());
        let answer = platform.http.get(&nobody).bearer_auth(&admin).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        let answer = platform.http.get(&nobody).bearer_auth(&buyer).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);

        // Created; inventory cannot handle the event.
        let mut inventory = platform.database("inventory", "inventory_db").await;
        sql(
            &mut inventory,
            "alter table reservations add constraint unwanted check (state <> 'held') not valid",
        )
        .await;
        let given_up = platform.ordered(&buyer, &product).await;
        let why = platform.because(&admin, &given_up, "created", "dead_letter", "inventory").await;
        assert_eq!(why["waits_for"]["service"], "inventory");
        assert!(why["waits_for"]["until"].is_string(), "it will cancel itself: {why:#}");
        // And the operator's next steps work: redrive, and it goes on.
        sql(&mut inventory, "alter table reservations drop constraint unwanted").await;
        let letter = why["causes"][0]["evidence"]["parked"]["dead_letter_id"].as_str().unwrap().to_owned();
        assert!(platform.run(&["dlq", "redrive", &letter]).await.status.success());
        assert_eq!(platform.until_final(&buyer, &given_up).await, "completed");

        // Created; inventory has answered, and orders cannot handle the answer.
        let mut orders = platform.database("orders", "order_db").await;
        sql(
            &mut orders,
            "alter table orders add constraint unwanted check (status <> 'validated') not valid",
        )
        .await;
        let unheard = platform.ordered(&buyer, &product).await;
        let why = platform.because(&admin, &unheard, "created", "dead_letter", "orders").await;
        assert_eq!(why["waits_for"]["what"], "stock_answer");
        sql(&mut orders, "alter table orders drop constraint unwanted").await;
        assert!(platform.run(&["dlq", "redrive", "--consumer", "orders"]).await.status.success());
        assert_eq!(platform.until_final(&buyer, &unheard).await, "completed");

        // Created; inventory is slow: somebody keeps its table.
        let mut locked = platform.database("inventory", "inventory_db").await;
        sql(&mut locked, "set idle_in_transaction_session_timeout = 0; begin; lock table reservations in access exclusive mode").await;
        let slow = platform.ordered(&buyer, &product).await;
        platform.because(&admin, &slow, "created", "consumer_lag", "inventory").await;
        eventually("a stuck workflow", || async {
            let stuck = platform.get("/v1/workflows?state=stuck", &admin).await;
            (stuck["items"][0]["order_id"] == slow.as_str()).then_some(())
        })
        .await;
        sql(&mut locked, "rollback").await;
        assert_eq!(platform.until_final(&buyer, &slow).await, "completed");

        // Validated; the money is there, and the order itself keeps falling.
        let fault = async |service: &str, fault: Value| {
            let path = format!("/v1/ops/faults?service={service}");
            let set = platform.post(&path, &admin, "-", &fault).await.unwrap();
            assert_eq!(set.status(), StatusCode::CREATED);
        };
        fault("payments", json!({"kind": "provider_slow", "delay_ms": 1_500, "id": "slow"})).await;
        let sick = platform.ordered(&buyer, &product).await;
        fault("orders", json!({"kind": "panic", "actor": "order", "entity": sick, "id": "strike"})).await;
        let why = platform.because(&admin, &sick, "validated", "actor_quarantined", "orders").await;
        let path = why["causes"][0]["evidence"]["path"].as_str().unwrap();
        assert!(path.ends_with(&sick), "{why:#}");
        assert!(platform.run(&["faults", "clear"]).await.status.success());
        let released = platform.run(&["actors", "release", "orders/order", &sick]).await;
        assert!(released.status.success());
        assert_eq!(platform.until_final(&buyer, &sick).await, "completed");

        // Validated; the provider's answer never comes.
        platform.provider(json!({"latency_ms": 60_000})).await;
        let unknown = platform.ordered(&buyer, &product).await;
        let why =
            platform.because(&admin, &unknown, "validated", "provider_unknown_outcome", "payments").await;
        assert_eq!(why["waits_for"]["what"], "payment");

        // Validated; the provider is down, and the breaker open.
        platform.provider(json!({"down": true})).await;
        let mut refused = Vec::new();
        for _ in 0..12 {
            refused.push(platform.ordered(&buyer, &product).await);
        }
        let why = platform.because(&admin, &refused[11], "validated", "breaker_open", "payments").await;
        assert_eq!(why["causes"][0]["evidence"]["name"], "payment_provider");
        let said = platform.run(&["why", &refused[11]]).await;
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains("is validated, and waits for payments to take the money"), "{said}");
        assert!(said.contains("breaker_open  payments") && said.contains("OrderValidated"), "{said}");
        platform.provider(json!({})).await;
        for order in refused.iter().chain([&unknown]) {
            assert_eq!(platform.until_final(&buyer, order).await, "completed");
        }
        eventually("no open workflow", || async {
            let running = platform.get("/v1/workflows?state=running", &admin).await;
            running["items"].as_array()?.is_empty().then_some(())
        })
        .await;
        platform.audit().await;
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
        assert_eq!(
            why["causes"].as_array().unwrap().len(),
            1,
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
