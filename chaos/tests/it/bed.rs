//! What the tests need: the program under test, a shop to order in, a look at what is left.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chaos::platform::{Engine, Plan, Platform};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// For anything to come about on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of each log that a failed test tells.
const TOLD: usize = 20;

/// The program that the workspace's own tests have built, unless `VISCOUNT_BIN` names one.
pub fn viscount() -> PathBuf {
    if let Some(named) = env::var_os("VISCOUNT_BIN") {
        return PathBuf::from(named).canonicalize().expect("VISCOUNT_BIN names the program");
    }
    let test = env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("viscount");
    assert!(
        program.is_file(),
        "{} is missing: run `cargo build -p viscount --features failpoints`, or set VISCOUNT_BIN",
        program.display()
    );
    program
}

/// False when tests on a real broker are to be left out, which is said on standard error.
pub fn brokers_are_wanted(test: &str) -> bool {
    let without = env::var_os("VISCOUNT_WITHOUT_KAFKA").is_some_and(|value| value == "1");
    if without {
        eprintln!("left out because of VISCOUNT_WITHOUT_KAFKA=1: {test}");
    }
    !without
}

/// A run's folder. When the test fails it says what the processes had to say, before it goes.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for entry in fs::read_dir(self.path().join("logs")).into_iter().flatten().flatten() {
            let log = fs::read(entry.path()).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let told: Vec<&str> = log.lines().filter(|line| !line.contains("\"level\":\"INFO\"")).collect();
            eprintln!("--- {} ({} lines)", entry.file_name().to_string_lossy(), log.lines().count());
            for line in told.iter().skip(told.len().saturating_sub(TOLD)).chain(log.lines().last().iter()) {
                eprintln!("{}", line.chars().take(300).collect::<String>());
            }
        }
    }
}

/// A plan without brokers, which starts in seconds.
pub fn embedded() -> Plan {
    Plan { engine: Engine::Embedded, ..Plan::new(viscount()) }
}

/// One platform at a time: a port that one has given back is not to be another's by the time it is looked at.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test)
}

/// Asks until there is an answer.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(since.elapsed() < PATIENCE, "{what} did not come");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A shop with one product, seen through the platform's door.
pub struct Shop {
    http: Client,
    platform: Platform,
    product: String,
    buyer: String,
}

impl Shop {
    pub async fn open(platform: &Platform) -> Self {
        let http = Client::builder().timeout(Duration::from_secs(20)).no_proxy().build().unwrap();
        let admin = platform.token("admin", None).await.unwrap();
        let buyer = platform.token("customer", Some(Uuid::now_v7())).await.unwrap();
        let mut shop = Self { http, platform: platform.clone(), product: String::new(), buyer };
        let thing = json!({"sku": "THING", "name": "A thing", "price": {"amount": 1_250, "currency": "GBP"}});
        let made = shop.post("/v1/products", &admin, &thing, StatusCode::CREATED).await;
        shop.product = made["id"].as_str().unwrap().to_owned();
        let receipt = json!({"product_id": shop.product, "delta": 100, "reason": "receipt"});
        shop.post("/v1/inventory/adjust", &admin, &receipt, StatusCode::OK).await;
        shop
    }

    /// Posts until it is taken, under one key.
    async fn post(&self, path: &str, token: &str, body: &Value, wanted: StatusCode) -> Value {
        let (url, key) = (format!("{}{path}", self.platform.door()), Uuid::now_v7().to_string());
        eventually("a request to be taken", || async {
            let request = self.http.post(&url).bearer_auth(token).header("Idempotency-Key", &key);
            let answer = request.json(body).send().await.ok()?;
            if answer.status() == wanted {
                return answer.json().await.ok();
            }
            // A price, a key or a service may not have come yet.
            let passing =
                [409, 422, 401].contains(&answer.status().as_u16()) || answer.status().is_server_error();
            assert!(passing, "{} {}", answer.status(), answer.text().await.unwrap_or_default());
            None
        })
        .await
    }

    /// Orders a piece, and follows the order to its end.
    pub async fn order(&self) {
        let basket = json!({
            "lines": [{"product_id": self.product, "quantity": 1}],
            "payment": {"method": "card", "token": "tok_visa"},
        });
        let order = self.post("/v1/orders", &self.buyer, &basket, StatusCode::CREATED).await;
        let url = format!("{}/v1/orders/{}", self.platform.door(), order["id"].as_str().unwrap());
        let status = eventually("an order to be final", || async {
            let answer = self.http.get(&url).bearer_auth(&self.buyer).send().await.ok()?;
            let order: Value = answer.json().await.ok()?;
            let status = order["status"].as_str()?.to_owned();
            (!["created", "validated", "paid"].contains(&status.as_str())).then_some(status)
        });
        assert_eq!(status.await, "completed");
    }
}

/// Processes that name this folder in their arguments or their environment.
pub fn processes_in(folder: &Path) -> Vec<String> {
    let folder = folder.canonicalize().unwrap();
    let folder = folder.to_str().unwrap();
    let me = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid.parse::<u32>().is_err() || pid == me {
            continue;
        }
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let (line, environment) = (read("cmdline"), read("environ"));
        let names = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(folder);
        if names(&line) || names(&environment) {
            found.push(format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    found
}

/// Waits until no process names this folder.
pub async fn until_nobody_is_left(folder: &Path) {
    eventually("the end of all processes", || async { processes_in(folder).is_empty().then_some(()) }).await;
}

/// What must have gone from a run's folder, and what must have stayed.
pub fn assert_tidy(folder: &Path) {
    for gone in ["postgres", "broker-1", "home"] {
        assert!(!folder.join(gone).exists(), "{gone} is still there");
    }
    assert!(folder.join("logs").read_dir().unwrap().count() > 0, "the logs stay");
}
