//! Separate processes that find each other through coordination, with it, without it, and in any order.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    process::Command,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;
use viscount_chassis::{devpg::testing::durable_server, ports::free_port};

use crate::{
    platform::{basket, block_on, eventually},
    processes::{Process, Processes, assert_running},
};

/// All services but coordination and the gateway.
const SERVICES: [&str; 6] = ["identity", "catalog", "inventory", "orders", "payments", "simulator"];
/// How long an instance is listed after its last heartbeat: the shortest that may be wished.
const LEASE: Duration = Duration::from_secs(5);

/// Processes that know where coordination is, or will be, and nothing else of each other.
struct Town {
    processes: Processes,
    coordination: String,
    admin: String,
}

impl Drop for Town {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.processes.said());
        }
    }
}

impl Town {
    async fn new(database: &str) -> Self {
        let mut processes = Processes::without_brokers(database);
        let port = free_port().unwrap();
        let coordination = format!("http://127.0.0.1:{port}");
        let mut set = |name: &str, value: &str| processes.variables.push((name.to_owned(), value.to_owned()));
        set("COORDINATION_PORT", &port.to_string());
        set("VISCOUNT_COORDINATION_URL", &coordination);
        set("VISCOUNT_COORDINATION_LEASE", "5s");
        // Nobody is told where these are.
        for part in ["CATALOG", "INVENTORY", "ORDERS", "PAYMENTS", "SIMULATOR"] {
            set(&format!("{part}_PORT"), "0");
        }
        let admin = processes.token("admin").await;
        Self { processes, coordination, admin }
    }

    fn start(&self, name: &str, parts: &[&str]) -> Process {
        self.processes.start(name, parts, &[])
    }

    async fn listed(&self) -> Option<Vec<Value>> {
        let url = format!("{}/v1/services?limit=200", self.coordination);
        let answer = self.processes.http.get(url).bearer_auth(&self.admin).send().await.ok()?;
        let page: Value = answer.error_for_status().ok()?.json().await.ok()?;
        Some(page["items"].as_array()?.clone())
    }

    /// Waits until these, each by its process, are listed as healthy.
    async fn until_healthy(&self, wanted: &BTreeSet<(String, String)>) -> Vec<Value> {
        eventually("everyone to be listed", || async {
            let listed = self.listed().await?;
            let healthy: BTreeSet<_> = listed
                .iter()
                .filter(|one| one["health"] == "healthy")
                .map(|one| (text(&one["service"]), text(&one["metadata"]["pid"])))
                .collect();
            wanted.is_subset(&healthy).then_some(listed)
        })
        .await
    }

    /// Waits until a process says this in its log.
    async fn until_said(&self, name: &str, words: &str) {
        let log = self.processes.home.path().join(format!("{name}.log"));
        eventually(words, || async { std::fs::read_to_string(&log).ok()?.contains(words).then_some(()) })
            .await;
    }

    /// Sets the live settings of a service for the first time, and gives the status.
    async fn set(&self, service: &str, settings: &Value) -> StatusCode {
        let url = format!("{}/v1/config/{service}", self.coordination);
        let request = self.processes.http.put(url).bearer_auth(&self.admin).header("If-None-Match", "*");
        request.json(&json!({"settings": settings})).send().await.unwrap().status()
    }

    async fn orders(&self, token: &str) -> reqwest::Result<reqwest::Response> {
        let url = format!("{}/v1/orders?limit=1", self.processes.url);
        self.processes.http.get(url).bearer_auth(token).send().await
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn of(process: &Process, parts: &[&str]) -> BTreeSet<(String, String)> {
    parts.iter().map(|part| ((*part).to_owned(), process.0.id().to_string())).collect()
}

/// Service to instance id.
fn ids(listed: &[Value], pid: u32) -> BTreeMap<String, String> {
    let pid = pid.to_string();
    let these = listed.iter().filter(|one| one["metadata"]["pid"] == pid);
    these.map(|one| (text(&one["service"]), text(&one["instance_id"]))).collect()
}

#[test]
fn ordering_goes_on_without_coordination_and_everyone_is_listed_again() {
    block_on(async {
        let postgres = durable_server().await;
        let town = Town::new(&postgres.admin_url()).await;
        let parts: Vec<&str> = SERVICES.into_iter().chain(["gateway"]).collect();
        let mut shop = town.start("shop", &parts);
        let mut coordination = town.start("coordination", &["coordination"]);
        let mut everyone = of(&shop, &parts);
        everyone.extend(of(&coordination, &["coordination"]));
        let before = ids(&town.until_healthy(&everyone).await, shop.0.id());
        let product = town.processes.product().await;
        let customer = town.processes.token("customer").await;
        let one = basket(&product, 1);
        town.processes.post("/v1/orders", &customer, "first", &one, StatusCode::CREATED).await;

        let (placed, is_over) = (Cell::new(0), Cell::new(false));
        let shopping = join_all((0..4).map(|_| async {
            let mut accepted = Vec::new();
            while !is_over.get() {
                let url = format!("{}/v1/orders", town.processes.url);
                let request = town.processes.http.post(url).bearer_auth(&customer);
                let request = request.header("Idempotency-Key", Uuid::now_v7().to_string());
                let answer = request.json(&basket(&product, 1)).send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::CREATED, "{}", town.processes.said());
                let order: Value = answer.json().await.unwrap();
                accepted.push(text(&order["id"]));
                placed.set(placed.get() + 1);
            }
            accepted
        }));
        let outage = async {
            eventually("orders", || async { (placed.get() >= 20).then_some(()) }).await;
            coordination.0.kill().unwrap();
            coordination.0.wait().unwrap();
            let (gone, then) = (Instant::now(), placed.get());
            // Until every lease has ended: it has to take them up anew, not only to remember them.
            eventually("the leases to end", || async { (gone.elapsed() > LEASE).then_some(()) }).await;
            assert!(
                placed.get() > then + 20,
                "orders are placed meanwhile: {then} and then {}",
                placed.get()
            );
            coordination = town.start("coordination", &["coordination"]);
            let mut everyone = of(&shop, &parts);
            everyone.extend(of(&coordination, &["coordination"]));
            let after = ids(&town.until_healthy(&everyone).await, shop.0.id());
            assert_eq!(after, before, "the same instances, under the names that they had");
            is_over.set(true);
        };
        let (accepted, ()) = tokio::join!(shopping, outage);
        assert_running(&mut shop, "shop", town.processes.home.path());
        let accepted: Vec<String> = accepted.into_iter().flatten().collect();
        println!("{} orders\n{}", accepted.len(), town.processes.audit().await);
    });
}

#[test]
fn started_in_any_order_everyone_becomes_ready() {
    block_on(async {
        let postgres = durable_server().await;
        let town = Town::new(&postgres.admin_url()).await;
        let groups: [(&str, &[&str], &str); 4] = [
            ("coordination", &["coordination"], "http listening"),
            ("rest", &["identity", "catalog", "inventory", "payments", "simulator"], "http listening"),
            ("orders", &["orders"], "http listening"),
            ("gateway", &["gateway"], "gateway listens"),
        ];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let (mut running, mut everyone) = (Vec::new(), BTreeSet::new());
            for index in order {
                let (group, parts, said) = groups[index];
                let name = format!("{group}-{}", order.map(|index| index.to_string()).concat());
                let process = town.start(&name, parts);
                town.until_said(&name, said).await;
                everyone.extend(of(&process, parts));
                running.push(process);
            }
            town.until_healthy(&everyone).await;
            // The gateway was told nothing of orders' port.
            let product = town.processes.product_named(&order.map(|index| index.to_string()).concat()).await;
            let customer = town.processes.token("customer").await;
            eventually("an answer of orders through the gateway", || async {
                let answer = town.orders(&customer).await.ok()?;
                (answer.status() == StatusCode::OK).then_some(())
            })
            .await;
            assert!(!product.is_empty());
        }
    });
}

#[test]
fn a_second_instance_gets_its_share_and_leaves_without_a_failed_request() {
    block_on(async {
        let postgres = durable_server().await;
        let town = Town::new(&postgres.admin_url()).await;
        let _coordination = town.start("coordination", &["coordination"]);
        let _rest = town.start("rest", &["identity", "catalog", "inventory", "payments", "simulator"]);
        let first = town.start("orders-0", &["orders"]);
        let gateway = town.start("gateway", &["gateway"]);
        let mut everyone = of(&first, &["orders"]);
        everyone.extend(of(&gateway, &["gateway"]));
        town.until_healthy(&everyone).await;
        let customer = town.processes.token("customer").await;
        eventually("orders to be found", || async {
            (town.orders(&customer).await.ok()?.status() == StatusCode::OK).then_some(())
        })
        .await;

        let (asked, is_over) = (Cell::new(0), Cell::new(false));
        let asking = join_all((0..4).map(|_| async {
            while !is_over.get() {
                let answer = town.orders(&customer).await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK, "{}", town.processes.said());
                asked.set(asked.get() + 1);
            }
        }));
        let coming_and_going = async {
            let mut second = town.start("orders-1", &["orders"]);
            let listed = town.until_healthy(&of(&second, &["orders"])).await;
            let pid = second.0.id().to_string();
            let address = listed.iter().find(|one| one["metadata"]["pid"] == pid).unwrap()["address"].clone();
            eventually("requests at the second", || async {
                let url = format!("http://{}/metrics", address.as_str().unwrap());
                let metrics = town.processes.http.get(url).send().await.ok()?.text().await.ok()?;
                let lines = metrics.lines().filter(|line| line.starts_with("http_requests_total{"));
                lines.filter(|line| line.contains("\"/v1/orders\"")).count().ge(&1).then_some(())
            })
            .await;
            let before = asked.get();
            let said = Command::new("kill").args(["-s", "TERM", &pid]).status();
            assert!(said.unwrap().success());
            let end = eventually("an orderly end", || {
                let ended = second.0.try_wait().unwrap();
                async move { ended }
            });
            assert!(end.await.success());
            eventually("more requests", || async { (asked.get() > before + 50).then_some(()) }).await;
            let readyz = format!("{}/readyz", town.processes.url);
            eventually("one instance to be left", || async {
                let report: Value = town.processes.http.get(&readyz).send().await.ok()?.json().await.ok()?;
                (report["checks"]["orders"]["instances"] == 1).then_some(())
            })
            .await;
            is_over.set(true);
        };
        tokio::join!(asking, coming_and_going);
        println!("{} requests", asked.get());
    });
}

#[test]
fn limits_the_log_filter_and_faults_change_while_everything_runs() {
    block_on(async {
        let postgres = durable_server().await;
        let town = Town::new(&postgres.admin_url()).await;
        let _coordination = town.start("coordination", &["coordination"]);
        let _identity = town.start("identity", &["identity"]);
        let faults = [("VISCOUNT_FAULTS", "1".to_owned())];
        let orders = town.processes.start("orders", &["orders"], &faults);
        let gateway = town.start("gateway", &["gateway"]);
        let mut everyone = of(&orders, &["orders"]);
        everyone.extend(of(&gateway, &["gateway"]));
        let listed = town.until_healthy(&everyone).await;
        let address = |service: &str| {
            let one = listed.iter().find(|one| one["service"] == service).unwrap();
            format!("http://{}", one["address"].as_str().unwrap())
        };
        let customer = town.processes.token("customer").await;
        let policy = async || {
            let answer = town.orders(&customer).await.ok()?;
            Some(answer.headers().get("ratelimit-policy")?.to_str().ok()?.to_owned())
        };
        eventually("a limit", || async { policy().await?.starts_with("\"read\";q=1000000").then_some(()) })
            .await;

        let limits = json!({"limits": {"read": {"per_second": 100, "burst": 500}}});
        assert_eq!(town.set("gateway", &limits).await, StatusCode::OK);
        let (since, wished) = (Instant::now(), "\"read\";q=500;w=5");
        eventually("the new limit", || async { (policy().await? == wished).then_some(()) }).await;
        assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());

        let log = town.processes.home.path().join("orders.log");
        let lines = || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.lines().filter(|line| line.contains("\"target\":\"access\"")).count()
        };
        town.orders(&customer).await.unwrap();
        assert_eq!(lines(), 0, "requests are not logged by themselves");
        let settings =
            json!({"log_filter": "info", "faults": [{"kind": "panic", "actor": "order", "every": 50}]});
        assert_eq!(town.set("orders", &settings).await, StatusCode::OK);
        let since = Instant::now();
        eventually("a line for a request", || async {
            town.orders(&customer).await.ok()?;
            (lines() > 0).then_some(())
        })
        .await;
        assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());

        let faults = town.processes.http.get(format!("{}/v1/ops/faults", address("orders")));
        let faults: Value = faults.bearer_auth(&town.admin).send().await.unwrap().json().await.unwrap();
        assert_eq!(faults["items"][0]["every"], 50, "{faults}");

        let metrics = town.processes.http.get(format!("{}/metrics", address("orders"))).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        assert!(metrics.contains("config_version{service=\"orders\"} 1"), "{metrics}");
        assert!(metrics.contains("coordination_registered{service=\"orders\"} 1"));
        let readyz: Value = town
            .processes
            .http
            .get(format!("{}/readyz", address("orders")))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(readyz["details"]["config_version"], "1", "{readyz}");
        // What cannot be used is refused by coordination already.
        let refused = town.set("payments", &json!({"log_filter": "orders=loud"})).await;
        assert_eq!(refused, StatusCode::UNPROCESSABLE_ENTITY);
    });
}
