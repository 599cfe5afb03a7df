//! Brokers that hang up, and brokers that know another password: the platform lives, says so now and then, hammers
//! nobody, and joins when it is let in.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use serde_json::Value;
use tokio::time::Instant;
use viscount_chassis::devkafka::{
    Listener, Mechanism, Sasl,
    testing::{listening_again, listening_broker, prefix, wanted},
};

use crate::platform::{Platform, basket, block_on, eventually};

const PASSWORD: &str = "correct-horse-battery";
/// How many connections are watched.
const ATTEMPTS: usize = 200;

/// Takes every connection and ends it.
struct HangsUp {
    attempts: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
    address: String,
    thread: Option<JoinHandle<()>>,
}

impl HangsUp {
    fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let (attempts, ends) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, ended) = (attempts.clone(), ends.clone());
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming() {
                drop(connection);
                counted.fetch_add(1, Ordering::Relaxed);
                if ended.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        Self { attempts, ends, address: address.to_owned(), thread: Some(thread) }
    }

    async fn until(&self, attempts: usize) {
        let enough = || async { (self.attempts.load(Ordering::Relaxed) >= attempts).then_some(()) };
        eventually("connections to be tried", enough).await;
    }
}

impl Drop for HangsUp {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // One more, for it to see that.
        let _ = std::net::TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn door(password: &str) -> Listener {
    let sasl = Sasl { mechanism: Mechanism::Plain, user: "shop".to_owned(), password: password.to_owned() };
    Listener { sasl: Some(sasl), ..Listener::default() }
}

/// Status and detail of the check `events` of orders.
async fn events(platform: &Platform) -> Option<(String, String)> {
    let readyz = format!("{}/readyz", platform.service("orders"));
    let report: Value = platform.http.get(&readyz).send().await.ok()?.json().await.ok()?;
    assert_eq!(report["status"], "ready", "orders are taken meanwhile: {report}");
    let check = report["checks"].as_array()?.iter().find(|check| check["name"] == "events")?.clone();
    let text = |member: &str| check[member].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("detail")))
}

/// Waits until the check's detail says this.
async fn told(platform: &Platform, what: &str) {
    let detail = || async { events(platform).await.filter(|(_, detail)| detail.contains(what)) };
    let (status, detail) = eventually(&format!("{what:?} in the report"), detail).await;
    println!("{detail}");
    assert_eq!(status, "failed");
    assert!(!detail.contains(PASSWORD), "{detail}");
}

/// Lines of the log that somebody should read.
fn complaints(platform: &Platform) -> usize {
    let log = platform.log();
    log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).count()
}

#[test]
fn brokers_that_do_not_let_us_in_are_told_of_at_a_decent_rate_and_joined_when_they_do() {
    if !wanted("brokers that do not let us in") {
        return;
    }
    block_on(async {
        let mut broker = listening_broker(door("something else")).await;
        broker.kill();
        let hangs_up = HangsUp::at(&broker.brokers());
        let mut platform = Platform::start_without_waiting([
            ("KAFKA_BROKERS", broker.brokers()),
            ("KAFKA_TOPIC_PREFIX", prefix()),
            ("KAFKA_SECURITY_PROTOCOL", "sasl_plaintext".to_owned()),
            ("KAFKA_SASL_MECHANISM", "PLAIN".to_owned()),
            ("KAFKA_SASL_USERNAME", "shop".to_owned()),
            ("KAFKA_SASL_PASSWORD", PASSWORD.to_owned()),
        ])
        .await;
        assert!(platform.comes_up().await, "it starts in spite of its brokers: {}", platform.log());
        told(&platform, "isconnected").await;

        let before = (hangs_up.attempts.load(Ordering::Relaxed), complaints(&platform), Instant::now());
        hangs_up.until(before.0 + ATTEMPTS).await;
        let (lines, seconds) = (complaints(&platform) - before.1, before.2.elapsed().as_secs_f64());
        println!("{ATTEMPTS} connections in {seconds:.1} s, {lines} lines");
        println!("{}", platform.log());
        // Each client tries once a second, in the long run.
        assert!(seconds > 4.0, "{ATTEMPTS} connections in {seconds:.1} s");
        assert!(lines <= 20, "{lines} lines: {}", platform.log());
        drop(hangs_up);

        let broker = listening_again(broker, door("something else")).await;
        told(&platform, "Authentication failed").await;
        let _broker = listening_again(broker, door(PASSWORD)).await;
        eventually("the events to flow", || async {
            events(&platform).await.filter(|(status, _)| status == "ok")
        })
        .await;
        platform.until_stocked().await;
        let product = platform.product(&platform.token("admin").await, 1_000).await;
        let buyer = platform.token("customer").await;
        let answer = platform.post("/v1/orders", &buyer, "one", &basket(&product, 1)).await.unwrap();
        let order: Value = answer.json().await.unwrap();
        assert_eq!(platform.until_final(&buyer, order["id"].as_str().unwrap()).await, "completed");
        assert!(!platform.has_died());
        assert!(!platform.log().contains(PASSWORD), "a password in the log");
        platform.audit().await;
    });
}
