//! `viscount top` against a real platform: as text, as JSON, and in a terminal.

use std::{
    io::{Read as _, Write as _},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{Arc, Mutex},
};

use serde_json::Value;
use uuid::Uuid;

use crate::{
    platform::{Platform, basket, block_on, eventually, viscount},
    screen,
};

/// Takes the terminal over, and gives it back.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";

#[test]
fn one_look_shows_services_actors_and_orders_as_they_come() {
    block_on(async {
        let platform = Platform::start().await;
        let (admin, customer) = (platform.token("admin").await, platform.token("customer").await);
        let product = platform.product(&admin, 100_000).await;
        let order = async || {
            let key = Uuid::now_v7().to_string();
            platform.post("/v1/orders", &customer, &key, &basket(&product, 1)).await.unwrap();
        };
        // An order before, so that the counters are there, and others while it looks.
        order().await;
        let looking = platform.run(&["top", "--json", "--interval", "1.5"]);
        let ordering = async {
            loop {
                order().await;
            }
        };
        let output = tokio::select! {
            output = looking => output,
            () = ordering => unreachable!(),
        };
        let seen: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!(seen["state"], "ready", "{seen:#}");
        assert!(seen["orders"]["created_per_second"].as_f64().unwrap() > 0.0, "{:#}", seen["orders"]);
        assert!(seen["requests"]["per_second"].as_f64().unwrap() > 0.0, "{:#}", seen["requests"]);
        assert!(seen["requests"]["p99_seconds"].as_f64().unwrap() > 0.0, "{:#}", seen["requests"]);
        assert_eq!(seen["resources"]["processes"], 1, "all services share one process");
        let services = seen["services"].as_array().unwrap();
        let orders = services.iter().find(|row| row["service"] == "orders").unwrap();
        assert_eq!((&orders["state"], &orders["ready"]), (&"ready".into(), &1.into()), "{orders:#}");
        let actors = seen["actors"]["orders"].as_array().unwrap();
        assert_eq!((&actors[0]["path"], &actors[0]["kind"]), (&"orders".into(), &"supervisor".into()));
        assert!(actors.iter().any(|row| row["kind"] == "router"), "{actors:#?}");

        let text = platform.run(&["top", "--once", "--interval", "0.5"]).await;
        let text = String::from_utf8(text.stdout).unwrap();
        for wanted in ["ready", "SERVICE", "actors of payments", "committer", "requests "] {
            assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "plain text:\n{text}");
    });
}

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_is_wrong_is_one_line_before_the_terminal_is_touched() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let top = |arguments: &[&str]| {
            let mut command = viscount(home.path());
            command.arg("top").args(arguments).env_remove("VISCOUNT_TOKEN").stdin(Stdio::null());
            said(&command.output().unwrap())
        };
        let (code, told) = top(&[]);
        assert_eq!((code, told.lines().count()), (Some(2), 1), "{told}");
        assert!(told.contains("needs a terminal") && told.contains("--once"), "{told}");
        let (code, told) = top(&["--once"]);
        assert_eq!((code, told.lines().count()), (Some(2), 1), "no platform has run here: {told}");
        let nobody = ["--once", "--url", "http://127.0.0.1:1", "--token", "a.b.c"];
        let (code, told) = top(&nobody);
        assert_eq!((code, told.lines().count()), (Some(1), 1), "{told}");
        assert!(told.contains("nobody answers at http://127.0.0.1:1"), "{told}");
        assert!(!top(&["--interval", "0"]).1.is_empty());

        let platform = Platform::start().await;
        let customer = platform.token("customer").await;
        for (token, status) in [("a.b.c", "401"), (customer.as_str(), "403")] {
            let output = platform.run(&["top", "--once", "--token", token]).await;
            let (code, told) = said(&output);
            assert_eq!((code, told.lines().count()), (Some(1), 1), "{told}");
            assert!(told.contains(status) && !told.contains(token), "{told}");
        }
    });
}

/// A program in a pseudo terminal, as `script` makes them.
struct Typed {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<String>>,
}

impl Typed {
    /// Runs `top`, says which process it is, and tells how the terminal is afterwards.
    fn top(platform: &Platform) -> Self {
        let program = env!("CARGO_BIN_EXE_viscount");
        let script = format!(
            "stty cols 100 rows 30; sh -c 'echo pid $$ .; exec {program} top --interval 0.5'; echo code $? .; stty -a; echo done ."
        );
        let mut command = Command::new("script");
        command.args(["--quiet", "--flush", "--command", &script, "/dev/null"]);
        command.env("VISCOUNT_DATA_DIR", platform.home()).env("TERM", "xterm-256color").env("NO_COLOR", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (keys, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let shown = Arc::new(Mutex::new(String::new()));
        let to = shown.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut bytes) {
                to.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        Self { child, keys, shown }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    async fn until_shown(&self, text: &str) {
        eventually(text, || async { self.shown().contains(text).then_some(()) }).await;
    }

    /// Waits until this is on the screen, and gives the screen.
    async fn until_on_screen(&self, text: &str) -> String {
        eventually(text, || async {
            let screen = screen::of(&self.shown(), 100, 30);
            screen.contains(text).then_some(screen)
        })
        .await
    }

    fn number_after(&self, word: &str) -> i32 {
        let shown = self.shown();
        let behind = shown.rsplit(&format!("{word} ")).next().unwrap();
        behind.split(' ').next().unwrap().parse().unwrap()
    }

    /// The terminal is as it was: lines are put together and shown again, on the usual screen with its cursor.
    fn assert_given_back(&self) {
        let shown = self.shown();
        assert_eq!((shown.matches(ENTER).count(), shown.matches(LEAVE).count()), (1, 1), "{shown}");
        let after = shown.rsplit(LEAVE).next().unwrap();
        assert!(after.contains("\u{1b}[?25h"), "the cursor is shown again: {after}");
        assert!(after.contains(" icanon") && after.contains(" echo "), "the terminal is still raw: {after}");
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn in_a_terminal_keys_are_obeyed_and_the_terminal_is_given_back() {
    block_on(async {
        let platform = Platform::start().await;
        let mut top = Typed::top(&platform);
        top.until_shown("services").await;
        top.until_shown("committer").await;
        top.press("?");
        top.until_shown("Shift-Tab").await;
        top.press("q");
        top.press("2/committer\r\r");
        top.until_shown("exits").await;
        top.press("qq");
        top.press("q");
        top.until_shown("done .").await;
        assert_eq!(top.number_after("code"), 0, "{}", top.shown());
        top.assert_given_back();
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_ends_it_and_the_terminal_is_given_back() {
    block_on(async {
        let platform = Platform::start().await;
        for signal in ["-TERM", "-INT", "-HUP"] {
            let mut top = Typed::top(&platform);
            top.until_shown("services").await;
            // A cat on the keyboard does not keep the signal back.
            top.press(&"j".repeat(20_000));
            let pid = top.number_after("pid").to_string();
            assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
            top.until_shown("done .").await;
            top.assert_given_back();
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn an_order_that_hangs_is_listed_and_its_cause_told() {
    block_on(async {
        let platform = Platform::start_with([("COORDINATION_STUCK_AFTER", "2s".to_owned())]).await;
        let (admin, buyer) = (platform.token("admin").await, platform.token("customer").await);
        let product = platform.product(&admin, 1_000).await;
        let mut inventory = platform.database("inventory", "inventory_db").await;
        let mut sql = async |statement: &'static str| {
            sqlx::query(statement).execute(&mut inventory).await.unwrap();
        };
        sql("alter table reservations add constraint unwanted check (state <> 'held') not valid").await;
        let mut orders = Vec::new();
        for _ in 0..3 {
            let key = Uuid::now_v7().to_string();
            let order = platform.post("/v1/orders", &buyer, &key, &basket(&product, 1)).await.unwrap();
            orders.push(order.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned());
        }
        let mut top = Typed::top(&platform);
        let listed = top.until_on_screen("orders not finished (3)").await;
        println!("{listed}");
        for order in &orders {
            assert!(listed.contains(&order[28..]), "{order} is not in:\n{listed}");
        }
        assert!(listed.contains("stock_reservation"), "{listed}");
        // The oldest is the first.
        top.press("4\r");
        top.until_on_screen(&format!("why {}", orders[0])).await;
        let why = top.until_on_screen("consumer_lag: inventory").await;
        println!("{why}");
        assert!(why.contains("status created, not finished"), "{why}");
        assert!(why.contains("waits for inventory to reserve its lines, for "), "{why}");
        assert!(why.contains("OrderCreated"), "{why}");
        top.press("q");
        sql("alter table reservations drop constraint unwanted").await;
        let done = top.until_on_screen("all are finished").await;
        println!("{done}");
        assert!(!done.contains(&orders[0][28..]), "{done}");
        top.press("q");
        top.until_shown("done .").await;
        assert_eq!(top.number_after("code"), 0, "{}", top.shown());
    });
}
