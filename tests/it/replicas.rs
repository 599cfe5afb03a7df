//! Separate processes on a real broker: two replicas of orders and of inventory, killed, or replaced in order.

use std::{cell::Cell, process::Command, time::Duration};

use futures_util::future::join_all;
use reqwest::StatusCode;
use tokio::time::{sleep, timeout};
use uuid::Uuid;
use viscount_chassis::{
    devkafka::testing::{test_brokers, wanted},
    devpg::testing::durable_server,
    ports::free_port,
};

use crate::{
    platform::{basket, block_on, eventually},
    processes::{Process, Processes, assert_running},
    sockets::watch,
};

const CLIENTS: usize = 50;
const ORDERS_OF_EACH: usize = 40;
/// How many orders of one client may be on their way.
const AT_ONCE: usize = 8;

/// Two replicas of orders, two of inventory, and the rest of the platform in one more process.
struct Twins<'a> {
    processes: &'a Processes,
    replicas: Vec<(&'static str, u16, Process)>,
    _rest: Process,
}

impl<'a> Twins<'a> {
    async fn start(processes: &'a Processes) -> Self {
        let names = ["orders-0", "orders-1", "inventory-0", "inventory-1"];
        let replicas = names.map(|name| {
            let port = free_port().unwrap();
            (name, port, Self::replica(processes, name, port))
        });
        let [orders_0, orders_1, stock_0, stock_1] = [0, 1, 2, 3].map(|index: usize| replicas[index].1);
        let addresses = |one: u16, two: u16| format!("127.0.0.1:{one},127.0.0.1:{two}");
        let variables = [
            ("GATEWAY_UPSTREAM_ORDERS", addresses(orders_0, orders_1)),
            ("GATEWAY_UPSTREAM_INVENTORY", addresses(stock_0, stock_1)),
            ("CATALOG_PORT", "0".to_owned()),
            ("PAYMENTS_PORT", "0".to_owned()),
            ("SIMULATOR_PORT", "0".to_owned()),
        ];
        let parts = ["identity", "catalog", "payments", "simulator", "gateway"];
        let mut rest = processes.start("rest", &parts, &variables);
        for (_, port, _) in &replicas {
            processes.until_ready(*port).await;
        }
        assert_running(&mut rest, "rest", processes.home.path());
        Self { processes, replicas: Vec::from(replicas), _rest: rest }
    }

    fn replica(processes: &Processes, name: &'static str, port: u16) -> Process {
        let (part, variable) = match name.starts_with("orders") {
            true => ("orders", "ORDERS_PORT"),
            false => ("inventory", "INVENTORY_PORT"),
        };
        processes.start(name, &[part], &[(variable, port.to_string())])
    }

    /// Asks one to stop, waits for its end, and starts a new one in its place.
    async fn replace(&mut self, index: usize) {
        let (name, port, process) = &mut self.replicas[index];
        let asked = Command::new("kill").args(["-s", "TERM", &process.0.id().to_string()]).status();
        assert!(asked.unwrap().success());
        let status = eventually("an orderly end", || {
            let ended = process.0.try_wait().unwrap();
            async move { ended }
        });
        assert!(status.await.success(), "{name} {}", self.processes.said());
        *process = Self::replica(self.processes, name, *port);
        self.processes.until_ready(*port).await;
    }

    /// Waits until both replicas of orders have heard of a product: each has a price book of its own.
    async fn until_orderable(&self, customer: &str, product: &str) {
        for (_, port, _) in self.replicas.iter().filter(|(name, ..)| name.starts_with("orders")) {
            eventually("an order at each replica", || async {
                let request = self.processes.http.post(format!("http://127.0.0.1:{port}/v1/orders"));
                let request =
                    request.bearer_auth(customer).header("Idempotency-Key", Uuid::now_v7().to_string());
                let answer = request.json(&basket(product, 1)).send().await.ok()?;
                (answer.status() == StatusCode::CREATED).then_some(())
            })
            .await;
        }
    }

    /// `kill -9`, and at once a new one.
    fn kill_and_start(&mut self, index: usize) {
        let (name, port, process) = &mut self.replicas[index];
        process.0.kill().unwrap();
        process.0.wait().unwrap();
        *process = Self::replica(self.processes, name, *port);
    }
}

/// What a client of one order has: its id, and the frames of all its connections in a row.
struct Story {
    order: String,
    frames: Vec<(i64, String)>,
}

/// Places an order, and watches it until the server says that nothing more will come, over as many connections as that takes.
async fn order_and_watch(processes: &Processes, customer: &str, product: &str) -> Story {
    let key = Uuid::now_v7().to_string();
    let body = basket(product, 1);
    let placed = processes.post("/v1/orders", customer, &key, &body, StatusCode::CREATED).await;
    let order = placed["id"].as_str().unwrap().to_owned();
    let mut frames: Vec<(i64, String)> = Vec::new();
    let watching = async {
        loop {
            let after = frames.last().map_or(0, |(version, _)| *version);
            if let Some(seen) = watch(&processes.url, customer, &order, after, usize::MAX).await {
                frames.extend(seen.frames);
                if seen.ended {
                    return;
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let ended = timeout(Duration::from_secs(90), watching).await;
    assert!(ended.is_ok(), "{order} has shown {frames:?} {}", processes.said());
    Story { order, frames }
}

#[test]
fn replicas_die_and_come_back_and_every_story_is_complete() {
    if !wanted("separate processes") {
        return;
    }
    block_on(async {
        let postgres = durable_server().await;
        let processes = Processes::new(&postgres.admin_url(), &test_brokers().await);
        let mut twins = Twins::start(&processes).await;

        let product = processes.product().await;
        let customer = processes.token("customer").await;
        let placed = Cell::new(0);
        let shopping = join_all((0..CLIENTS * AT_ONCE).map(|_| async {
            let mut stories = Vec::new();
            for _ in 0..ORDERS_OF_EACH / AT_ONCE {
                placed.set(placed.get() + 1);
                stories.push(order_and_watch(&processes, &customer, &product).await);
            }
            stories
        }));
        let all = CLIENTS * ORDERS_OF_EACH;
        let killing = async {
            // Each replica once, spread over the orders that are still to come.
            for (victim, after) in [(0, all / 5), (2, all * 2 / 5), (1, all * 3 / 5), (3, all * 4 / 5)] {
                eventually("more orders", || async { (placed.get() >= after).then_some(()) }).await;
                twins.kill_and_start(victim);
            }
        };
        let (stories, ()) = tokio::join!(shopping, killing);
        let stories: Vec<Story> = stories.into_iter().flatten().collect();
        assert_eq!(stories.len(), all);
        let whole: Vec<_> =
            (1..).zip(["created", "validated", "paid", "completed"].map(str::to_owned)).collect();
        for Story { order, frames } in &stories {
            // An event that changes no state, such as a payment noted early, is a frame of its own.
            let states = frames.iter().map(|(_, state)| state.as_str());
            let mut different: Vec<_> = states.collect();
            different.dedup();
            assert_eq!(
                different,
                ["created", "validated", "paid", "completed"],
                "{order} {}",
                processes.said()
            );
            let versions: Vec<_> = frames.iter().map(|(version, _)| *version).collect();
            assert!(versions.iter().copied().eq(1..=versions.len() as i64), "{order} {frames:?}");
        }
        let plain = stories.iter().filter(|story| story.frames == whole).count();

        println!("{all} orders, {plain} in four frames\n{}", processes.audit().await);
    });
}

#[test]
fn replicas_are_replaced_one_by_one_and_no_request_fails() {
    if !wanted("a rolling restart") {
        return;
    }
    block_on(async {
        let postgres = durable_server().await;
        let processes = Processes::new(&postgres.admin_url(), &test_brokers().await);
        let mut twins = Twins::start(&processes).await;
        let product = processes.product().await;
        let customer = processes.token("customer").await;
        twins.until_orderable(&customer, &product).await;

        let (placed, refused, is_over) = (Cell::new(0), Cell::new(0), Cell::new(false));
        let shopping = join_all((0..20).map(|_| async {
            while !is_over.get() {
                let url = format!("{}/v1/orders", processes.url);
                let request = processes.http.post(url).bearer_auth(&customer);
                let request = request.header("Idempotency-Key", Uuid::now_v7().to_string());
                let answer = request.json(&basket(&product, 1)).send().await.unwrap();
                let may_come_back = answer.headers().contains_key("Retry-After");
                match answer.status() {
                    StatusCode::CREATED => placed.set(placed.get() + 1),
                    StatusCode::SERVICE_UNAVAILABLE if may_come_back => refused.set(refused.get() + 1),
                    status => panic!("{status} {} {}", answer.text().await.unwrap(), processes.said()),
                }
            }
        }));
        let replacing = async {
            for index in 0..4 {
                let before = placed.get();
                twins.replace(index).await;
                eventually("orders after that", || async { (placed.get() > before + 20).then_some(()) })
                    .await;
            }
            is_over.set(true);
        };
        tokio::join!(shopping, replacing);
        println!("{} orders, {} refused\n{}", placed.get(), refused.get(), processes.audit().await);
    });
}
