//! The program in several processes on a real broker, each with some of the services: started, asked, killed.

use std::{
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;
use viscount_chassis::{devkafka::testing::prefix, ports::free_port};

use crate::platform::{eventually, viscount};

/// The program in several processes, each with some of the services.
pub(crate) struct Processes {
    pub(crate) home: TempDir,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) http: Client,
    pub(crate) url: String,
}

/// One of them; killed when dropped.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Processes {
    pub(crate) fn new(database: &str, brokers: &str) -> Self {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut processes = Self::without_brokers(database);
        processes.variables.extend([
            set("KAFKA_BROKERS", brokers),
            set("KAFKA_TOPIC_PREFIX", &prefix()),
            set("KAFKA_SESSION_TIMEOUT_MS", "2000"),
            // Not the one that a developer may have running.
            set("VISCOUNT_COORDINATION_URL", "none"),
        ]);
        processes
    }

    /// Events stay in their process.
    pub(crate) fn without_brokers(database: &str) -> Self {
        let [gateway, identity] = [free_port().unwrap(), free_port().unwrap()];
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let variables = vec![
            set("DATABASE_URL", database),
            set("VISCOUNT_PORT", &gateway.to_string()),
            set("IDENTITY_PORT", &identity.to_string()),
        ];
        let http = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let url = format!("http://127.0.0.1:{gateway}");
        Self { home: tempfile::tempdir().unwrap(), variables, http, url }
    }

    pub(crate) fn start(&self, name: &str, parts: &[&str], more: &[(&str, String)]) -> Process {
        let log = self.home.path().join(format!("{name}.log"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = viscount(self.home.path());
        command.arg("serve").args(parts).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        command.envs(self.variables.iter().cloned());
        command.envs(more.iter().map(|(name, value)| (*name, value)));
        Process(command.spawn().unwrap())
    }

    pub(crate) fn said(&self) -> String {
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

    pub(crate) async fn run(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = viscount(self.home.path());
        command.args(arguments).stdin(Stdio::null()).envs(self.variables.iter().cloned());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Checks every promise over all databases, and says what was found.
    pub(crate) async fn audit(&self) -> String {
        let audit = self.run(&["audit", "--within", "60"]).await;
        let said = String::from_utf8_lossy(&audit.stdout).into_owned();
        let errors = String::from_utf8_lossy(&audit.stderr).into_owned();
        assert!(audit.status.success(), "{said}{errors}{}", self.said());
        said
    }

    /// A new product with enough in stock for any test.
    pub(crate) async fn product(&self) -> String {
        self.product_named("THING").await
    }

    /// The same, under a name of its own in the warehouse.
    pub(crate) async fn product_named(&self, sku: &str) -> String {
        let admin = self.token("admin").await;
        let mut thing = thing();
        thing["sku"] = json!(sku);
        let made = self.post("/v1/products", &admin, sku, &thing, StatusCode::CREATED).await;
        let product = made["id"].as_str().unwrap().to_owned();
        let receipt = json!({"product_id": product, "delta": 10_000, "reason": "receipt"});
        self.post("/v1/inventory/adjust", &admin, &format!("receipt-{sku}"), &receipt, StatusCode::OK).await;
        product
    }

    pub(crate) async fn token(&self, role: &str) -> String {
        let output = self.run(&["token", "--role", role]).await;
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) async fn until_ready(&self, port: u16) {
        let url = format!("http://127.0.0.1:{port}/readyz");
        let ready = || async {
            let answer = self.http.get(&url).send().await.ok()?;
            (answer.status() == StatusCode::OK).then_some(())
        };
        eventually("a service to be ready", ready).await;
    }

    /// Posts until it is taken, with the same key: what a client does that has got no answer.
    pub(crate) async fn post(
        &self,
        path: &str,
        token: &str,
        key: &str,
        body: &Value,
        wanted: StatusCode,
    ) -> Value {
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

pub(crate) fn assert_running(process: &mut Process, name: &str, home: &Path) {
    assert!(process.0.try_wait().unwrap().is_none(), "{name} has ended, see {}", home.display());
}

/// What [`Processes::product`] makes.
pub(crate) fn thing() -> Value {
    json!({"sku": "THING", "name": "A thing", "price": {"amount": 1_250, "currency": "GBP"}})
}
