//! Separate processes on a real broker: two replicas of orders and of inventory, killed and started again.

use std::{
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use futures_util::future::join_all;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;
use uuid::Uuid;
use viscount_chassis::{
    devkafka::testing::{prefix, test_brokers, wanted},
    devpg::testing::durable_server,
    ports::free_port,
};

use crate::platform::{basket, block_on, eventually, viscount};

/// The program in several processes, each with some of the services.
struct Processes {
    home: TempDir,
    variables: Vec<(String, String)>,
    http: Client,
    url: String,
}

/// One of them; killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Processes {
    fn new(database: &str, brokers: &str) -> Self {
        let [gateway, identity] = [free_port().unwrap(), free_port().unwrap()];
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let variables = vec![
            set("DATABASE_URL", database),
            set("KAFKA_BROKERS", brokers),
            set("KAFKA_TOPIC_PREFIX", &prefix()),
            set("KAFKA_SESSION_TIMEOUT_MS", "2000"),
            set("VISCOUNT_PORT", &gateway.to_string()),
            set("IDENTITY_PORT", &identity.to_string()),
        ];
        let http = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let url = format!("http://127.0.0.1:{gateway}");
        Self { home: tempfile::tempdir().unwrap(), variables, http, url }
    }

    fn start(&self, name: &str, parts: &[&str], more: &[(&str, String)]) -> Process {
        let log = self.home.path().join(format!("{name}.log"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = viscount(self.home.path());
        command.arg("serve").args(parts).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        command.envs(self.variables.iter().cloned());
        command.envs(more.iter().map(|(name, value)| (*name, value)));
        Process(command.spawn().unwrap())
    }

    fn said(&self) -> String {
        let mut said = String::new();
        for entry in self.home.path().read_dir().unwrap().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
                let last: Vec<_> = text.lines().rev().take(12).collect();
                said += &format!("{}\n", entry.path().display());
                said.extend(last.into_iter().rev().map(|line| format!("    {line}\n")));
            }
        }
        said
    }

    async fn run(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = viscount(self.home.path());
        command.args(arguments).stdin(Stdio::null()).envs(self.variables.iter().cloned());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn token(&self, role: &str) -> String {
        let output = self.run(&["token", "--role", role]).await;
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    async fn until_ready(&self, port: u16) {
        let url = format!("http://127.0.0.1:{port}/readyz");
        let ready = || async {
            let answer = self.http.get(&url).send().await.ok()?;
            (answer.status() == StatusCode::OK).then_some(())
        };
        eventually("a service to be ready", ready).await;
    }

    /// Posts until it is taken, with the same key: what a client does that has got no answer.
    async fn post(&self, path: &str, token: &str, key: &str, body: &Value, wanted: StatusCode) -> Value {
        let url = format!("{}{path}", self.url);
        eventually("a request to be taken", || async {
            let request = self.http.post(&url).bearer_auth(token).header("Idempotency-Key", key);
            let answer = request.json(body).send().await.ok()?;
            if answer.status() != wanted {
                // Only what may be tried again.
                let passing = answer.status().is_server_error()
                    || answer.status() == StatusCode::CONFLICT
                    || answer.status() == StatusCode::UNPROCESSABLE_ENTITY;
                assert!(passing, "{} {}", answer.status(), answer.text().await.unwrap_or_default());
                sleep(Duration::from_millis(50)).await;
                return None;
            }
            answer.json().await.ok()
        })
        .await
    }
}

fn assert_running(process: &mut Process, name: &str, home: &Path) {
    assert!(process.0.try_wait().unwrap().is_none(), "{name} has ended, see {}", home.display());
}

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
