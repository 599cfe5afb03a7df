//! Supervision as an operator meets it: a storm of panics, an order in quarantine, a service that gives up.

use std::{
    path::Path,
    process::{Child, Stdio},
};

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::platform::{Platform, basket, block_on, eventually, viscount};

impl Platform {
    /// What a command of ours says; it has to succeed.
    async fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// Sends an order until it is taken, under one key: its handler may panic meanwhile.
    async fn taken(&self, buyer: &str, product: &str) -> String {
        let key = Uuid::now_v7().to_string();
        let order = basket(product, 1);
        eventually("an order that is taken", || async {
            let response = self.post("/v1/orders", buyer, &key, &order).await.ok()?;
            let created = response.status() == StatusCode::CREATED;
            let body: Value = response.json().await.ok()?;
            created.then(|| body["id"].as_str().unwrap().to_owned())
        })
        .await
    }
}

#[test]
fn a_storm_of_panics_loses_no_order_and_is_told_with_its_cause() {
    block_on(async {
        let platform = Platform::start_with([("VISCOUNT_FAULTS", "1".to_owned())]).await;
        let admin = platform.token("admin").await;
        let product = platform.product(&admin, 1_000).await;
        let buyer = platform.token("customer").await;
        let set = ["faults", "set", "panic", "--service", "orders", "--actor", "order", "--every", "50"];
        let said = platform.says(&set).await;
        assert!(said.contains("panic order every=50"), "{said}");
        for _ in 0..10 {
            let orders = join_all((0..30).map(|_| platform.taken(&buyer, &product))).await;
            let ends = join_all(orders.iter().map(|order| platform.until_final(&buyer, order))).await;
            assert!(ends.iter().all(|end| end == "completed"), "{ends:?}");
        }
        let tree = platform.get("/v1/ops/actors?service=orders", &admin).await["tree"].clone();
        let order = tree["children"].as_array().unwrap().iter().find(|it| it["name"] == "order").unwrap();
        // Three hundred orders have four messages each at the least; in a batch several count as one.
        assert!(order["restarts"].as_u64().unwrap() >= 10, "{order}");
        assert_eq!((&order["given_up"], &tree["state"]), (&json!(0), &json!("running")), "{order}");
        let exits = platform.get("/v1/ops/actors/exits?service=orders&path=orders/order", &admin).await;
        let exits = exits["items"].as_array().unwrap().clone();
        assert!(exits.len() >= 10, "{exits:?}");
        let told = |exit: &Value| exit["message_kind"].is_string() && exit["id"].is_string();
        assert!(exits.iter().all(told), "{exits:?}");
        let framed = |exit: &Value| exit["backtrace"].as_str().is_some_and(|text| text.contains("faults"));
        assert!(exits.iter().any(framed), "{exits:?}");
        let said = platform.says(&["actors", "exits", "--path", "orders/order", "--limit", "5"]).await;
        assert!(said.contains("panicked during handle: crash injected by a fault"), "{said}");
        let said = platform.says(&["faults", "clear"]).await;
        assert!(said.contains("1 faults taken back"), "{said}");
        platform.audit().await;
    });
}

#[test]
fn an_order_that_keeps_failing_is_set_aside_alone_and_completes_when_it_is_released() {
    block_on(async {
        let platform = Platform::start_with([("VISCOUNT_FAULTS", "1".to_owned())]).await;
        let admin = platform.token("admin").await;
        let product = platform.product(&admin, 100).await;
        let buyer = platform.token("customer").await;
        let fault = async |service: &str, fault: Value| {
            let path = format!("/v1/ops/faults?service={service}");
            let set = platform.post(&path, &admin, "-", &fault).await.unwrap();
            assert_eq!(set.status(), StatusCode::CREATED, "{}", set.text().await.unwrap());
        };
        // Time to strike before the money is there.
        fault("payments", json!({"kind": "provider_slow", "delay_ms": 1500})).await;
        let sick = platform.taken(&buyer, &product).await;
        fault("orders", json!({"kind": "panic", "actor": "order", "entity": sick, "id": "strike"})).await;
        let well = platform.taken(&buyer, &product).await;
        let quarantined = eventually("the order in quarantine", || async {
            let tree = platform.says(&["actors", "tree", "--service", "orders"]).await;
            tree.contains(&format!("quarantined {sick}")).then_some(tree)
        })
        .await;
        assert!(quarantined.contains("crash injected by a fault"), "{quarantined}");
        assert_eq!(platform.until_final(&buyer, &well).await, "completed", "its neighbour goes on");
        let cancel = format!("/v1/orders/{sick}/cancel");
        let refused = platform.post(&cancel, &buyer, "-", &json!({"reason": "too slow"})).await.unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        let refused: Value = refused.json().await.unwrap();
        assert!(refused["type"].as_str().unwrap().ends_with("quarantined"), "{refused}");
        let letters = eventually("its events set aside", || async {
            let (code, said) = {
                let output = platform.run(&["dlq", "list", "--service", "orders"]).await;
                (output.status.code(), String::from_utf8(output.stdout).unwrap())
            };
            (code == Some(0) && said.contains(&sick)).then_some(said)
        })
        .await;
        assert!(letters.contains("1 dead letters"), "{letters}");

        let cleared = platform.says(&["faults", "clear", "strike", "--service", "orders"]).await;
        assert!(cleared.contains("1 faults"), "{cleared}");
        let released = platform.says(&["actors", "release", "orders/order", &sick]).await;
        assert!(released.contains("events go back") && !released.contains(" 0 events"), "{released}");
        assert_eq!(platform.until_final(&buyer, &sick).await, "completed");
        // The last event's row goes a moment after its effect.
        eventually("nothing to be left that could be released", || async {
            let again = platform.run(&["actors", "release", "orders/order", &sick]).await;
            (again.status.code() == Some(1)).then_some(())
        })
        .await;
        platform.audit().await;
    });
}

#[test]
fn without_leave_there_are_no_faults() {
    block_on(async {
        let platform = Platform::start().await;
        let admin = platform.token("admin").await;
        let answer = platform.get("/v1/ops/faults?service=orders", &admin).await;
        assert_eq!(answer["status"], 404, "{answer}");
        let refused = platform.run(&["faults", "set", "provider-down", "--service", "payments"]).await;
        assert_eq!(refused.status.code(), Some(1));
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(told.contains("VISCOUNT_FAULTS=1"), "{told}");
    });
}

/// The whole road: intensity exceeded, the tree stopped, unready, drained, exit code 70.
#[test]
fn a_service_that_gives_up_ends_the_process_in_order_with_its_own_code() {
    block_on(async {
        let mut platform = Platform::start_with([("VISCOUNT_FAULTS", "1".to_owned())]).await;
        let set = ["faults", "set", "panic", "--service", "orders", "--actor", "deadlines", "--times", "6"];
        platform.says(&set).await;
        let code = eventually("the end of the process", || {
            let code = platform.exit_code();
            async move { code }
        })
        .await;
        assert_eq!(code, 70, "{}", platform.log());
        let log = platform.log();
        assert!(log.contains("service orders gave up") && log.contains("more than 5 restarts"), "{log}");
        assert!(log.contains("viscount: stopping"), "{log}");
        // What it left behind is in order: it starts again.
        platform.start_again().await;
        platform.audit().await;
    });
}

#[test]
fn a_single_service_that_gives_up_has_the_same_code() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let mut process = Served(
            viscount(home.path())
                .args(["serve", "identity", "orders"])
                .env("VISCOUNT_FAULTS", "1")
                .env("VISCOUNT_COORDINATION_URL", "none")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let url = eventually("orders", || async { address(home.path(), "orders") }).await;
        let token = viscount(home.path()).args(["token", "--role", "admin"]).output().unwrap();
        let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
        let http = reqwest::Client::new();
        let fault = json!({"kind": "panic", "actor": "consume-payments", "times": 6});
        let set = http.post(format!("{url}/v1/ops/faults")).bearer_auth(token).json(&fault).send();
        assert_eq!(set.await.unwrap().status(), StatusCode::CREATED);
        let code = eventually("the end of the process", || {
            let code = process.0.try_wait().unwrap().map(|status| status.code());
            async move { code }
        })
        .await;
        assert_eq!(code, Some(70));
    });
}

/// A process that ends with its test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        // Its number may be somebody else's once it has ended.
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = std::process::Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
            let _ = self.0.wait();
        }
    }
}

fn address(home: &Path, service: &str) -> Option<String> {
    let endpoints: Value = serde_json::from_slice(&std::fs::read(home.join("endpoints.json")).ok()?).ok()?;
    endpoints["services"][service].as_str().map(str::to_owned)
}
