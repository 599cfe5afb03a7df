//! Every service in two processes on a real broker: what one replica is told, the other knows; and of two that may
//! charge, one does.

use std::cell::Cell;

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;
use viscount_chassis::{
    devkafka::testing::{test_brokers, wanted},
    devpg::testing::durable_server,
    ports::free_port,
};

use crate::{
    platform::{basket, block_on, eventually},
    processes::{Process, Processes, thing},
};

const SERVICES: [&str; 6] = ["identity", "catalog", "inventory", "orders", "payments", "coordination"];
const CUSTOMERS: usize = 20;
const ORDERS_EACH: usize = 10;
/// How many processes are no service's replica; they come first.
const REST: usize = 2;
const PASSWORD: &str = "a long enough password";

/// Two replicas of each service, one gateway, one provider.
struct Twice {
    processes: Processes,
    /// Of each service, in the order of [`SERVICES`].
    ports: [[u16; 2]; SERVICES.len()],
    common: Vec<(&'static str, String)>,
    running: Vec<Option<Process>>,
}

impl Drop for Twice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.processes.said());
        }
    }
}

impl Twice {
    async fn start(database: &str) -> Self {
        let processes = Processes::new(database, &test_brokers().await);
        let ports: [[u16; 2]; SERVICES.len()] =
            std::array::from_fn(|_| std::array::from_fn(|_| free_port().unwrap()));
        let simulator = free_port().unwrap();
        let gateway = processes.url.clone();
        // Through the gateway, which finds the replica that is there.
        let common = vec![
            ("VISCOUNT_JWKS_URL", format!("{gateway}/.well-known/jwks.json")),
            ("PAYMENTS_PROVIDER_URL", format!("http://127.0.0.1:{simulator}")),
            ("SIMULATOR_PORT", simulator.to_string()),
            ("SIMULATOR_WEBHOOK_URL", format!("{gateway}/v1/payments/webhooks/simulator")),
        ];
        let mut twice = Self { processes, ports, common, running: Vec::new() };
        let mut door = twice.common.clone();
        let upstreams = SERVICES.map(|service| format!("GATEWAY_UPSTREAM_{}", service.to_uppercase()));
        for (variable, [one, two]) in upstreams.iter().zip(ports) {
            door.push((variable, format!("127.0.0.1:{one},127.0.0.1:{two}")));
        }
        let rest = ["simulator", "gateway"].map(|part| Some(twice.processes.start(part, &[part], &door)));
        twice.running.extend(rest);
        for replica in 0..2 {
            for service in 0..SERVICES.len() {
                let process = twice.replica(service, replica);
                twice.running.push(Some(process));
            }
        }
        for port in ports.into_iter().flatten() {
            twice.processes.until_ready(port).await;
        }
        twice
    }

    fn replica(&self, service: usize, replica: usize) -> Process {
        let name = SERVICES[service];
        let mut variables = self.common.clone();
        // The first replicas are on the list by the first replica of coordination, the second ones by the second.
        let [.., coordination] = self.ports;
        let coordination = format!("http://127.0.0.1:{}", coordination[replica]);
        variables.push(("VISCOUNT_COORDINATION_URL", coordination));
        variables.push(("VISCOUNT_COORDINATION_LEASE", "5s".to_owned()));
        let port = format!("{}_PORT", name.to_uppercase());
        variables.push((&port, self.ports[service][replica].to_string()));
        self.processes.start(&format!("{name}-{replica}"), &[name], &variables)
    }

    /// One replica's own address, past the gateway.
    fn at(&self, service: &str, replica: usize, path: &str) -> String {
        let service = SERVICES.iter().position(|name| *name == service).unwrap();
        format!("http://127.0.0.1:{}{path}", self.ports[service][replica])
    }

    async fn asked(&self, request: reqwest::RequestBuilder) -> (StatusCode, Value) {
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    /// Registers at one replica of identity, logs in at the other; gives the token.
    async fn user(&self, registered_at: usize) -> String {
        let email = format!("{}@example.com", Uuid::now_v7().simple());
        let account = json!({"email": email, "password": PASSWORD, "name": "Ada Lovelace"});
        let http = &self.processes.http;
        let request = http.post(self.at("identity", registered_at, "/v1/users")).json(&account);
        let (status, said) = self.asked(request).await;
        assert_eq!(status, StatusCode::CREATED, "{said}");
        let login = json!({"email": account["email"], "password": account["password"]});
        let request = http.post(self.at("identity", 1 - registered_at, "/v1/auth/login")).json(&login);
        let (status, said) = self.asked(request).await;
        assert_eq!(status, StatusCode::OK, "{said}");
        said["access_token"].as_str().unwrap().to_owned()
    }

    /// What the product costs in an order that this replica takes.
    async fn price_at(&self, replica: usize, product: &str, token: &str) -> Option<i64> {
        let request = self.processes.http.post(self.at("orders", replica, "/v1/orders"));
        let request = request.bearer_auth(token).header("Idempotency-Key", Uuid::now_v7().to_string());
        let answer = request.json(&basket(product, 1)).send().await.ok()?;
        let order: Value = answer.json().await.ok()?;
        order["lines"][0]["unit_price"]["amount"].as_i64()
    }
}

#[test]
fn what_one_replica_is_told_the_other_knows_and_nobody_is_charged_twice() {
    if !wanted("every service twice") {
        return;
    }
    block_on(async {
        let postgres = durable_server().await;
        let mut twice = Twice::start(&postgres.admin_url()).await;
        let processes = &twice.processes;
        let admin = processes.token("admin").await;
        let product = processes.product().await;

        // Users of both replicas of identity, their tokens at both replicas of orders.
        let users = [twice.user(0).await, twice.user(1).await];
        // A price that one replica of the catalogue is told, in the books of both replicas of orders.
        for (catalog, amount) in [(0, 1_300), (1, 1_400)] {
            let mut dearer = thing();
            dearer["price"]["amount"] = amount.into();
            let path = format!("/v1/products/{product}");
            let request = processes.http.put(twice.at("catalog", catalog, &path)).bearer_auth(&admin);
            let request = request.header("If-Match", "*").json(&dearer);
            let (status, said) = twice.asked(request).await;
            assert_eq!(status, StatusCode::OK, "{said}");
            for (orders, user) in users.iter().enumerate() {
                eventually("the new price", || async {
                    (twice.price_at(orders, &product, user).await == Some(amount)).then_some(())
                })
                .await;
            }
        }

        // A new key that one replica of identity makes signs for the other as well.
        let rotate = processes.http.post(twice.at("identity", 0, "/v1/ops/keys/rotate")).bearer_auth(&admin);
        let (status, said) = twice.asked(rotate).await;
        assert!(status.is_success(), "{status} {said}");
        for registered_at in 0..2 {
            let user = twice.user(registered_at).await;
            for orders in 0..2 {
                let priced = || async { twice.price_at(orders, &product, &user).await };
                assert_eq!(eventually("an order of a new user", priced).await, 1_400);
            }
        }

        // Settings and locks that one replica of coordination was told, at the other.
        let at = |replica, path: &str| twice.at("coordination", replica, path);
        let settings = json!({"settings": {"log_filter": "info"}});
        let set =
            processes.http.put(at(0, "/v1/config/catalog")).bearer_auth(&admin).header("If-None-Match", "*");
        let (status, said) = twice.asked(set.json(&settings)).await;
        assert_eq!(status, StatusCode::OK, "{said}");
        let (_, said) =
            twice.asked(processes.http.get(at(1, "/v1/config/catalog")).bearer_auth(&admin)).await;
        assert_eq!(
            (&said["version"], &said["settings"]["log_filter"]),
            (&json!(1), &json!("info")),
            "{said}"
        );
        for (replica, owner, wanted) in
            [(0, "one", StatusCode::CREATED), (1, "another", StatusCode::CONFLICT)]
        {
            let lock = processes.http.post(at(replica, "/v1/locks/nightly")).bearer_auth(&admin);
            let (status, said) = twice.asked(lock.json(&json!({"owner": owner, "ttl_seconds": 60}))).await;
            assert_eq!(status, wanted, "{said}");
        }

        // Orders through the gateway, while one replica of each service is killed and comes back.
        let mut running = std::mem::take(&mut twice.running);
        let (twice, processes, bought, taken) = (&twice, &twice.processes, &product, &Cell::new(0));
        let shopping = join_all((0..CUSTOMERS).map(|customer| {
            let user = &users[customer % 2];
            async move {
                let mut placed = Vec::new();
                for _ in 0..ORDERS_EACH {
                    let (key, body) = (Uuid::now_v7().to_string(), basket(bought, 1));
                    let order = processes.post("/v1/orders", user, &key, &body, StatusCode::CREATED).await;
                    taken.set(taken.get() + 1);
                    placed.push((order["id"].as_str().unwrap().to_owned(), user));
                }
                placed
            }
        }));
        // One service after the other, each when so many more orders were taken.
        let killing = async {
            for service in 0..SERVICES.len() {
                let enough = (service + 1) * CUSTOMERS;
                eventually("more orders", || async { (taken.get() >= enough).then_some(()) }).await;
                running[REST + service] = None;
                running[REST + service] = Some(twice.replica(service, 0));
                processes.until_ready(twice.ports[service][0]).await;
            }
        };
        let (placed, ()) = tokio::join!(shopping, killing);
        let placed: Vec<_> = placed.into_iter().flatten().collect();
        assert_eq!(placed.len(), CUSTOMERS * ORDERS_EACH);
        for (id, user) in placed {
            let order = eventually("an order to be final", || async {
                let url = format!("{}/v1/orders/{id}", processes.url);
                let answer = processes.http.get(url).bearer_auth(user).send().await.ok()?;
                let order: Value = answer.json().await.ok()?;
                let on_its_way = ["created", "validated", "paid"].contains(&order["status"].as_str()?);
                (!on_its_way).then_some(order)
            });
            let order = order.await;
            assert_eq!(order["status"], "completed", "{order} {}", processes.said());
            // The view of orders has followed, at both replicas of coordination.
            for replica in 0..2 {
                let url = twice.at("coordination", replica, &format!("/v1/workflows/{id}"));
                eventually("a finished workflow", || async {
                    let answer = processes.http.get(&url).bearer_auth(&admin).send().await.ok()?;
                    (answer.json::<Value>().await.ok()?["state"] == "finished").then_some(())
                })
                .await;
            }
        }
        // Everybody is on the list, the replicas that were started anew as well.
        eventually("all instances, and healthy", || async {
            let url = twice.at("coordination", 1, "/v1/services?limit=200");
            let page: Value =
                processes.http.get(url).bearer_auth(&admin).send().await.ok()?.json().await.ok()?;
            let items = page["items"].as_array()?;
            let healthy = |name: &&str| {
                items.iter().filter(|one| one["service"] == **name && one["health"] == "healthy").count() >= 2
            };
            SERVICES.iter().all(healthy).then_some(())
        })
        .await;
        // Among other things, the provider's ledger: one charge for each order.
        let said = processes.audit().await;
        println!("{said}");
    });
}
