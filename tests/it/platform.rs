//! A platform of a test's own: `viscount up` in a process of its own, on free ports, in a folder of its own.

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

pub struct Platform {
    home: TempDir,
    child: Option<Child>,
    pub http: Client,
    pub url: String,
    variables: Vec<(&'static str, String)>,
}

/// The program under test.
pub fn viscount(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_viscount"));
    command
        .env("VISCOUNT_DATA_DIR", home)
        .env("VISCOUNT_PORT", "0")
        .env_remove("DATABASE_URL")
        .env_remove("FAILPOINTS");
    command
}

/// Runs a test's body.
pub fn block_on<T>(body: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(body)
}

/// Looks until there is something, at most a minute.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(60), looking)
        .await
        .unwrap_or_else(|_| panic!("{what} should have come within a minute"))
}

impl Platform {
    pub async fn start() -> Self {
        Self::start_with([]).await
    }

    pub async fn start_with<const N: usize>(variables: [(&'static str, String); N]) -> Self {
        Self::start_with_all(variables.to_vec()).await
    }

    pub async fn start_with_all(variables: Vec<(&'static str, String)>) -> Self {
        let mut platform = Self::spawn(variables).await;
        platform.until_up().await;
        platform
    }

    /// Spawned, and that is all.
    pub async fn start_without_waiting<const N: usize>(variables: [(&'static str, String); N]) -> Self {
        Self::spawn(variables.to_vec()).await
    }

    /// The same, with as many variables as there are.
    pub async fn spawn(variables: Vec<(&'static str, String)>) -> Self {
        let http = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut platform = Self { home, child: None, http, url: String::new(), variables };
        platform.start_armed("").await;
        platform
    }

    /// Starts it on the data that is there, and waits until it serves.
    pub async fn start_again(&mut self) {
        self.start_armed("").await;
        self.until_up().await;
    }

    /// Starts it with failpoints armed; it may die before it serves.
    pub async fn start_armed(&mut self, failpoints: &str) {
        let _ = std::fs::remove_file(self.home.path().join("endpoints.json"));
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.home.path().join("up.log"))
            .unwrap();
        let mut command = viscount(self.home.path());
        command.arg("up").stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
        if !failpoints.is_empty() {
            command.env("FAILPOINTS", failpoints);
        }
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        self.child = Some(command.spawn().unwrap());
    }

    /// True when it serves, false when it has died instead.
    pub async fn comes_up(&mut self) -> bool {
        let started = Instant::now();
        loop {
            if self.has_died() {
                return false;
            }
            if let Some(url) = self.endpoint() {
                self.url = url;
                return true;
            }
            assert!(started.elapsed() < Duration::from_secs(90), "not up: {}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn until_up(&mut self) {
        assert!(self.comes_up().await, "the platform died: {}", self.log());
        self.until_stocked().await;
    }

    /// Waits until the shop has what it starts with.
    pub async fn until_stocked(&self) {
        // The catalogue of a first start comes in after the doors are open.
        let (http, url) = (self.http.clone(), self.url.clone());
        eventually("products in stock", || async {
            let page: Value = http
                .get(format!("{url}/v1/products?in_stock=true&limit=200"))
                .send()
                .await
                .ok()?
                .json()
                .await
                .ok()?;
            (page["items"].as_array()?.len() >= 20).then_some(())
        })
        .await;
    }

    fn endpoint(&self) -> Option<String> {
        let bytes = std::fs::read(self.home.path().join("endpoints.json")).ok()?;
        let endpoints: Value = serde_json::from_slice(&bytes).ok()?;
        endpoints["gateway"].as_str().map(str::to_owned)
    }

    pub fn service(&self, name: &str) -> String {
        let bytes = std::fs::read(self.home.path().join("endpoints.json")).unwrap();
        let endpoints: Value = serde_json::from_slice(&bytes).unwrap();
        endpoints["services"][name].as_str().unwrap().to_owned()
    }

    pub fn has_died(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// The code with which the process has ended; none while it runs.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.as_mut()?.try_wait().unwrap()?.code()
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("up.log")).unwrap_or_default()
    }

    pub async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = viscount(self.home.path());
        command.args(arguments).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// A token signed with the platform's own key.
    pub async fn token(&self, role: &str) -> String {
        let output = self.run(&["token", "--role", role]).await;
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub async fn audit(&self) {
        let output = self.run(&["audit", "--within", "30"]).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}{}", String::from_utf8_lossy(&output.stderr), self.log());
        println!("{said}");
    }

    pub async fn get(&self, path: &str, token: &str) -> Value {
        let response = self.http.get(format!("{}{path}", self.url)).bearer_auth(token).send().await.unwrap();
        response.json().await.unwrap()
    }

    pub async fn post(&self, path: &str, token: &str, key: &str, body: &Value) -> reqwest::Result<Response> {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(token);
        request.header("Idempotency-Key", key).json(body).send().await
    }

    /// A new product with so many pieces (fewer than a million), ready to be ordered.
    pub async fn product(&self, admin: &str, pieces: u32) -> String {
        assert!(pieces < 1_000_000, "the probe below must be refused");
        let sku = Uuid::now_v7().to_string();
        let new = json!({"sku": sku, "name": "A thing", "price": {"amount": 1_250, "currency": "GBP"}});
        let made: Value = self.post("/v1/products", admin, "-", &new).await.unwrap().json().await.unwrap();
        let id = made["id"].as_str().unwrap().to_owned();
        let receipt = json!({"product_id": id, "delta": pieces, "reason": "receipt"});
        let adjusted = self.post("/v1/inventory/adjust", admin, &id, &receipt).await.unwrap();
        assert_eq!(adjusted.status(), StatusCode::OK);
        // Orders price from their own book: an order of too many pieces is accepted once the book has the product.
        let customer = self.token("customer").await;
        eventually("the product in the price book", || async {
            let order = basket(&id, 1_000_000);
            let response =
                self.post("/v1/orders", &customer, &Uuid::now_v7().to_string(), &order).await.ok()?;
            (response.status() == StatusCode::CREATED).then_some(())
        })
        .await;
        id
    }

    pub async fn until_final(&self, token: &str, order: &str) -> String {
        eventually(&format!("the end of order {order}"), || async {
            let response = self
                .http
                .get(format!("{}/v1/orders/{order}", self.url))
                .bearer_auth(token)
                .send()
                .await
                .ok()?;
            let order: Value = response.json().await.ok()?;
            let status = order["status"].as_str()?;
            (!matches!(status, "created" | "validated" | "paid")).then(|| status.to_owned())
        })
        .await
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Asked politely, so that its PostgreSQL goes with it.
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
}

pub fn basket(product: &str, quantity: u32) -> Value {
    json!({
        "lines": [{"product_id": product, "quantity": quantity}],
        "payment": {"method": "card", "token": "tok_visa"},
    })
}
