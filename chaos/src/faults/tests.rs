#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Body, Fate, Happened, Log, Outcome, carry_out, read};
use crate::{
    clients::Stop,
    experiment::{Action, Poison, Provider, Rows, Step},
    proxy::Weather,
};

/// A body that writes down what is done to it, and when, in seconds of the test's own time.
struct Recorded {
    since: Instant,
    deeds: Mutex<Vec<(u64, String)>>,
    /// What fails.
    fails: &'static str,
    /// Whether armed processes die, or how they end instead.
    dies: Result<bool, &'static str>,
}

impl Recorded {
    fn new() -> Self {
        Self { since: Instant::now(), deeds: Mutex::default(), fails: "", dies: Ok(true) }
    }

    fn did(&self, deed: impl Into<String>) -> Result<(), String> {
        let deed = deed.into();
        let fails = !self.fails.is_empty() && deed.starts_with(self.fails);
        self.deeds.lock().unwrap().push((self.since.elapsed().as_secs(), deed.clone()));
        if fails { Err(format!("{deed} failed")) } else { Ok(()) }
    }

    fn deeds(&self) -> Vec<(u64, String)> {
        self.deeds.lock().unwrap().clone()
    }
}

impl Body for Recorded {
    async fn kill(&self, part: &str) -> Result<(), String> {
        self.did(format!("kill {part}"))
    }
    async fn start(&self, part: &str, _: Duration) -> Result<u32, String> {
        sleep(Duration::from_secs(1)).await;
        self.did(format!("start {part}")).map(|()| 2)
    }
    async fn until_in_sync(&self, part: &str, _: Duration) -> Result<(), String> {
        sleep(Duration::from_secs(2)).await;
        self.did(format!("in sync {part}"))
    }
    async fn launch(&self, part: &str) -> Result<(), String> {
        self.did(format!("launch {part}"))
    }
    async fn terminate(&self, part: &str) -> Result<(), String> {
        self.did(format!("terminate {part}"))
    }
    async fn quit(&self, part: &str) -> Result<(), String> {
        self.did(format!("quit {part}"))
    }
    fn pause(&self, part: &str) -> Result<(), String> {
        self.did(format!("pause {part}"))
    }
    fn resume(&self, part: &str) -> Result<(), String> {
        self.did(format!("resume {part}"))
    }
    fn arm(&self, part: &str, failpoints: Option<String>) -> Result<(), String> {
        self.did(format!("arm {part} {}", failpoints.unwrap_or_default()))
    }
    async fn until_died(&self, _: &str, within: Duration) -> Result<Fate, String> {
        if self.dies? {
            return Ok(Fate::Died);
        }
        sleep(within).await;
        Ok(Fate::Lives)
    }
    fn weather(&self, link: &str, weather: Weather) -> Result<(), String> {
        self.did(format!("weather {link} {weather:?}"))
    }
    fn cut(&self, link: &str) -> Result<(), String> {
        self.did(format!("cut {link}"))
    }
    async fn fill(&self, part: &str, full: bool) -> Result<(), String> {
        self.did(format!("fill {part} {full}"))
    }
    async fn clock(&self, part: &str, shift: i64) -> Result<(), String> {
        self.did(format!("clock {part} {shift}"))
    }
    async fn repeat(&self, topics: &[String], copies: u32, seed: u64) -> Result<u64, String> {
        self.did(format!("repeat {topics:?} {copies} {seed}")).map(|()| 7)
    }
    async fn poison(&self, topic: &str, kind: Poison, count: u32, _: u64) -> Result<(), String> {
        self.did(format!("poison {topic} {kind:?} {count}"))
    }
    async fn refuse(&self, rows: &Rows, refused: bool) -> Result<(), String> {
        self.did(format!("refuse {} {refused}", rows.table))
    }
    async fn provider(&self, provider: Provider) -> Result<(), String> {
        self.did(format!("provider {}", if provider.down { "down" } else { "well" }))
    }
    async fn fault(&self, service: &str, id: &str, fault: Option<&Value>) -> Result<(), String> {
        self.did(format!("fault {service} {id} {}", fault.map_or("gone", |_| "set")))
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn step(at: u64, action: Action) -> Step {
    Step { at: seconds(at), fault: 0, one_at_a_time: false, action }
}

fn kill(at: u64, part: &str, down: u64) -> Step {
    step(at, Action::Kill { part: part.to_owned(), down: seconds(down) })
}

struct Outcomes {
    body: Arc<Recorded>,
    happened: Vec<Happened>,
    written: Vec<Happened>,
}

async fn run(body: Recorded, steps: &[Step], stop: &Stop) -> Outcomes {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faults.jsonl");
    let (body, log) = (Arc::new(body), Arc::new(Log::create(&path).unwrap()));
    let happened = carry_out(steps, &body, &log, stop).await.unwrap();
    Outcomes { body, happened, written: read(&path).unwrap() }
}

fn deeds(body: &Recorded) -> Vec<String> {
    body.deeds().into_iter().map(|(at, deed)| format!("{at} {deed}")).collect()
}

#[tokio::test(start_paused = true)]
async fn each_step_happens_in_its_time_and_is_undone_in_its_time() {
    let provider = Provider { down: true, ..Provider::default() };
    let rows = Rows { database: "order_db".into(), table: "orders".into(), check: "true".into() };
    let steps = [
        kill(1, "orders-1", 2),
        step(2, Action::Weather { link: "postgres".into(), weather: Weather::BlackHole, hold: seconds(10) }),
        step(3, Action::Pause { part: "orders-2".into(), hold: seconds(4) }),
        step(5, Action::Cut { link: "gateway-1".into() }),
        step(6, Action::Provider { provider, hold: seconds(5) }),
        step(
            8,
            Action::Faults { service: "orders".into(), fault: json!({"kind": "panic"}), hold: seconds(1) },
        ),
        step(14, Action::Clock { part: "orders-1".into(), shift: -600, hold: seconds(3) }),
        step(15, Action::RefuseRows { rows, hold: seconds(1) }),
        step(20, Action::Restart { part: "orders-1".into(), down: seconds(0) }),
        step(25, Action::RestartPostgres { down: seconds(1) }),
        step(30, Action::DiskFull { part: "postgres".into(), hold: seconds(2) }),
        step(40, Action::RepeatEvents { topics: vec!["a".into()], copies: 9, seed: 1 }),
        step(41, Action::Poison { topic: "a".into(), kind: Poison::Garbage, count: 3, seed: 1 }),
    ];
    let Outcomes { body, happened, mut written } = run(Recorded::new(), &steps, &Stop::default()).await;
    assert_eq!(
        deeds(&body),
        [
            "1 kill orders-1",
            "2 weather postgres BlackHole",
            "3 pause orders-2",
            "4 start orders-1",
            "5 cut gateway-1",
            "6 provider down",
            "7 resume orders-2",
            "8 fault orders chaos-0-8000 set",
            "9 fault orders chaos-0-8000 gone",
            "11 provider well",
            "12 weather postgres Clear",
            "14 clock orders-1 -600",
            "15 refuse orders true",
            "16 refuse orders false",
            "17 clock orders-1 0",
            "20 terminate orders-1",
            "21 start orders-1",
            "25 quit postgres",
            "27 start postgres",
            "30 fill postgres true",
            "32 fill postgres false",
            "33 start postgres",
            "40 repeat [\"a\"] 9 1",
            "41 poison a Garbage 3",
        ]
    );
    assert!(happened.iter().all(|step| step.result == Outcome::Done), "{happened:?}");
    assert_eq!((happened[0].note.as_str(), happened[11].note.as_str()), ("it took 2 starts", "7 messages"));
    assert_eq!((happened[1].target.as_str(), happened[1].at.round()), ("postgres", 2.0));
    written.sort_by(|one, other| one.at.total_cmp(&other.at));
    assert_eq!(written, happened);
}

#[tokio::test(start_paused = true)]
async fn a_part_is_not_met_again_before_it_is_back() {
    let Outcomes { body, .. } =
        run(Recorded::new(), &[kill(0, "a-1", 1), kill(1, "a-1", 1), kill(1, "b-1", 1)], &Stop::default())
            .await;
    let deeds = deeds(&body);
    let place = |deed: &str| {
        deeds.iter().position(|done| done == deed).unwrap_or_else(|| panic!("{deed}: {deeds:?}"))
    };
    assert!(place("2 start a-1") < place("2 kill a-1"));
    assert!(place("1 kill b-1") < place("2 start a-1"));
}

#[tokio::test(start_paused = true)]
async fn stop_undoes_what_lasts_and_begins_no_more() {
    let stop = Stop::default();
    let hole = Action::Weather { link: "postgres".into(), weather: Weather::BlackHole, hold: seconds(100) };
    let steps = [step(0, hole), kill(2, "a-1", 100), kill(50, "b-1", 1)];
    let asks = stop.clone();
    tokio::spawn(async move {
        sleep(seconds(10)).await;
        asks.ask();
    });
    let Outcomes { body, happened, .. } = run(Recorded::new(), &steps, &stop).await;
    let mut deeds = deeds(&body);
    deeds[2..].sort();
    assert_eq!(
        deeds,
        ["0 weather postgres BlackHole", "2 kill a-1", "10 weather postgres Clear", "11 start a-1"]
    );
    assert_eq!(happened.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_at_a_time_nobody_is_met_before_the_one_before_is_back_and_has_all() {
    let alone = |step: Step| Step { one_at_a_time: true, ..step };
    let steps = [alone(kill(0, "broker-1", 1)), alone(kill(1, "broker-2", 1)), kill(1, "a-1", 0)];
    let Outcomes { body, happened, .. } = run(Recorded::new(), &steps, &Stop::default()).await;
    let mut deeds = deeds(&body);
    deeds.retain(|deed| !deed.ends_with("a-1"));
    assert_eq!(
        deeds,
        [
            "0 kill broker-1",
            "2 start broker-1",
            "4 in sync broker-1",
            "4 kill broker-2",
            "6 start broker-2",
            "8 in sync broker-2",
        ]
    );
    assert_eq!((happened[1].target.as_str(), happened[1].at.round()), ("a-1", 1.0), "others do not wait");

    let body = Recorded { fails: "in sync", ..Recorded::new() };
    let Outcomes { happened, .. } = run(body, &steps[..1], &Stop::default()).await;
    assert_eq!((happened[0].result, happened[0].note.as_str()), (Outcome::Failed, "in sync broker-1 failed"));
}

#[tokio::test(start_paused = true)]
async fn what_still_waits_at_the_end_is_left_out() {
    let stop = Stop::default();
    let asks = stop.clone();
    tokio::spawn(async move {
        sleep(seconds(10)).await;
        asks.ask();
    });
    let steps = [kill(0, "a-1", 20), kill(1, "a-1", 1), kill(2, "a-1", 1)];
    let Outcomes { body, happened, written } = run(Recorded::new(), &steps, &stop).await;
    assert_eq!(deeds(&body), ["0 kill a-1", "11 start a-1"]);
    assert_eq!((happened.len(), written.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_late_is_left_alone_for_a_moment() {
    let steps = [kill(0, "a-1", 3), kill(1, "a-1", 0)];
    let Outcomes { happened, .. } = run(Recorded::new(), &steps, &Stop::default()).await;
    let (first, second) = (&happened[0], &happened[1]);
    assert!(first.until >= 4.0 && second.at - first.until >= 0.099, "{happened:?}");
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_told_and_the_rest_goes_on() {
    let body = Recorded { fails: "fill postgres true", ..Recorded::new() };
    let full = Action::DiskFull { part: "postgres".into(), hold: seconds(2) };
    let Outcomes { body, happened, .. } =
        run(body, &[step(0, full), kill(1, "a-1", 0)], &Stop::default()).await;
    assert_eq!((happened[0].result, happened[1].result), (Outcome::Failed, Outcome::Done));
    assert_eq!(happened[0].note, "fill postgres true failed");
    assert!(deeds(&body).contains(&"0 fill postgres false".to_owned()), "what was half done is undone");
}

#[tokio::test(start_paused = true)]
async fn what_failed_half_way_is_undone() {
    let provider = Provider { down: true, ..Provider::default() };
    let rows = Rows { database: "order_db".into(), table: "orders".into(), check: "true".into() };
    let hold = seconds(5);
    let black = Weather::BlackHole;
    for (action, fails, undone) in [
        (Action::RefuseRows { rows, hold }, "refuse orders true", "0 refuse orders false"),
        (Action::Provider { provider, hold }, "provider down", "0 provider well"),
        (
            Action::Faults { service: "orders".into(), fault: json!({}), hold },
            "fault orders chaos-0-0 set",
            "0 fault orders chaos-0-0 gone",
        ),
        (Action::Clock { part: "a-1".into(), shift: 600, hold }, "clock a-1 600", "0 clock a-1 0"),
        (Action::Pause { part: "a-1".into(), hold }, "pause a-1", "0 resume a-1"),
        (
            Action::Weather { link: "a-1".into(), weather: black, hold },
            "weather a-1 BlackHole",
            "0 weather a-1 Clear",
        ),
        (Action::DiskFull { part: "a-1".into(), hold }, "fill a-1 true", "0 fill a-1 false"),
    ] {
        let body = Recorded { fails, ..Recorded::new() };
        let Outcomes { body, happened, .. } = run(body, &[step(0, action)], &Stop::default()).await;
        assert_eq!(deeds(&body)[1], undone);
        assert_eq!((happened[0].result, &happened[0].note), (Outcome::Failed, &format!("{fails} failed")));
    }
}

#[tokio::test(start_paused = true)]
async fn who_could_not_be_killed_is_started_all_the_same() {
    let quits = step(3, Action::RestartPostgres { down: seconds(0) });
    for fails in ["kill", "quit"] {
        let body = Recorded { fails, ..Recorded::new() };
        let Outcomes { body, happened, .. } =
            run(body, &[kill(0, "a-1", 1), quits.clone()], &Stop::default()).await;
        let deeds = deeds(&body);
        assert_eq!(deeds, ["0 kill a-1", "2 start a-1", "3 quit postgres", "4 start postgres"]);
        let failed: Vec<&str> = happened
            .iter()
            .filter(|happened| happened.result == Outcome::Failed)
            .map(|happened| happened.done.as_str())
            .collect();
        assert_eq!(failed, [if fails == "kill" { "kill" } else { "restart_postgres" }]);
    }
}

fn failpoint(passes: u32) -> Step {
    let (part, point) = ("orders-1".to_owned(), "store.after-commit".to_owned());
    step(0, Action::Failpoint { part, point, passes, within: seconds(20) })
}

#[tokio::test(start_paused = true)]
async fn a_process_dies_at_its_point_and_starts_clean() {
    let Outcomes { body, happened, .. } = run(Recorded::new(), &[failpoint(3)], &Stop::default()).await;
    assert_eq!(
        deeds(&body),
        [
            "0 arm orders-1 store.after-commit=3*off->return",
            "0 kill orders-1",
            "0 launch orders-1",
            "0 arm orders-1 ",
            "1 start orders-1",
        ]
    );
    assert_eq!(happened[0].result, Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn a_point_that_nobody_passes_is_told_and_disarmed() {
    let body = Recorded { dies: Ok(false), ..Recorded::new() };
    let Outcomes { body, happened, .. } = run(body, &[failpoint(0)], &Stop::default()).await;
    assert_eq!(
        deeds(&body),
        [
            "0 arm orders-1 store.after-commit=return",
            "0 kill orders-1",
            "0 launch orders-1",
            "20 arm orders-1 ",
            "20 kill orders-1",
            "21 start orders-1",
        ]
    );
    assert_eq!(happened[0].result, Outcome::NotHit);

    // Who ends otherwise has not died there.
    let body = Recorded { dies: Err("orders-1 has ended (exit status: 1)"), ..Recorded::new() };
    let Outcomes { body, happened, .. } = run(body, &[failpoint(0)], &Stop::default()).await;
    assert_eq!(deeds(&body)[3..], ["0 arm orders-1 ", "0 kill orders-1", "1 start orders-1"]);
    assert_eq!(
        (happened[0].result, happened[0].note.as_str()),
        (Outcome::Failed, "orders-1 has ended (exit status: 1)")
    );

    // Who does not even start is disarmed, too.
    let body = Recorded { fails: "launch", ..Recorded::new() };
    let Outcomes { body, happened, .. } = run(body, &[failpoint(0)], &Stop::default()).await;
    assert!(deeds(&body).contains(&"0 arm orders-1 ".to_owned()));
    assert_eq!((happened[0].result, happened[0].note.as_str()), (Outcome::Failed, "launch orders-1 failed"));
}
