#![allow(clippy::unwrap_used)]
//! The loops against a small platform in the same process.

mod ends;
mod platform;

use std::{future::Future, rc::Rc, time::Duration};

use hdrhistogram::Histogram;
use tokio::task::LocalSet;

use self::platform::Platform;
use super::{Running, open, prepare};
use crate::{
    arrivals::Schedule,
    client::wire::Target,
    journey::{Chooser, World},
    measure::recorder::{Operation, Recorder},
    profile::check::parse,
    stop::Stop,
    streams::Board,
};

async fn local<T>(work: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(work).await
}

/// A profile of one phase.
async fn phase(platform: &Platform, seed: u64, stop: &Stop, load: &str, steps: &str) -> (Rc<World>, Running) {
    let text = format!(
        "about = \"t\"\ncustomers = 2\n[[phase]]\nname = \"p\"\n{load}\n[[phase.journey]]\nsteps = [{steps}]\n"
    );
    let mut profile = parse("t", &text).unwrap();
    profile.seed = seed;
    let target = Target::find(&platform.url()).await.unwrap();
    let world = prepare::world(None, &profile, &target, stop).await.unwrap();
    let recorder = Recorder::new(Duration::ZERO);
    let phase = profile.phases.remove(0);
    let running = Running {
        world: world.clone(),
        recorder: recorder.clone(),
        board: Board::new(recorder),
        chooser: Rc::new(Chooser::new(&phase, seed)),
        phase: Rc::new(phase),
        name: "0".to_owned(),
        seed,
        connections: open::CONNECTIONS,
        sampler: None,
    };
    (world, running)
}

fn with<T>(recorder: &Recorder, name: &str, look: impl FnOnce(&Operation) -> T) -> T {
    let operations = recorder.operations();
    look(&operations.iter().find(|(known, _)| *known == name).unwrap().1)
}

/// Coordinated omission: a server stands still for 400 of 1,000 ms. Of 200 requests a second, 80 were meant to be made
/// meanwhile; those of the first 300 ms have to wait for more than 100 ms. There are four connections, so that nearly all of
/// them are sent only when the stall is over, and quickly answered then: whoever counts from the sending sees four slow ones.
#[tokio::test]
async fn a_stall_is_seen_by_every_arrival_that_was_meant_to_be_served_in_it() {
    local(async {
        let platform = Platform::start().await;
        let load = "seconds = 1\nopen = { schedule = \"constant\", rate = 200 }";
        let (_, mut running) = phase(&platform, 1, &Stop::default(), load, r#"{ do = "product" }"#).await;
        running.connections = 4;
        let recorder = running.recorder.clone();
        recorder.begin();
        let schedule = Schedule::constant(200.0, 1.0);
        let loading = open::run(Rc::new(running), &schedule);
        tokio::join!(loading, stall_for_a_while(&platform));
        with(&recorder, "product", |product| {
            assert_eq!((product.count, product.good), (200, 200), "the schedule was kept");
            let slow = |times: &Histogram<u64>| times.len() - times.count_between(0, 100_000);
            assert!(slow(&product.latency) >= 50, "{} were seen to wait, of 60", slow(&product.latency));
            assert!(product.latency.max() >= 350_000, "{} µs", product.latency.max());
            assert!(slow(&product.service) <= 20, "{} were on their way for so long", slow(&product.service));
        });
    })
    .await;
}

/// Why there is an open loop.
#[tokio::test]
async fn a_closed_loop_sees_a_stall_once_for_each_client() {
    local(async {
        let platform = Platform::start().await;
        let load = "seconds = 1\nclosed = { clients = 2 }";
        let (_, running) = phase(&platform, 1, &Stop::default(), load, r#"{ do = "product" }"#).await;
        let recorder = running.recorder.clone();
        tokio::join!(running.load(1.0), stall_for_a_while(&platform));
        with(&recorder, "product", |product| {
            assert!(product.latency.max() >= 300_000);
            let slow = product.latency.len() - product.latency.count_between(0, 200_000);
            assert!((2..=6).contains(&slow), "{slow}");
        });
    })
    .await;
}

async fn stall_for_a_while(platform: &Platform) {
    tokio::time::sleep(Duration::from_millis(300)).await;
    platform.stall(Duration::from_millis(400));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_requests_and_a_second_run_its_own_orders() {
    local(async {
        let platform = Platform::start().await;
        let load = "seconds = 0.3\nopen = { schedule = \"poisson\", rate = 100 }";
        let mut runs = Vec::new();
        for seed in [1, 1, 2] {
            let steps = r#"{ do = "order" }"#;
            let (_, running) = phase(&platform, seed, &Stop::default(), load, steps).await;
            platform.orders.borrow_mut().clear();
            let recorder = running.recorder.clone();
            running.load(1.0).await;
            assert!(with(&recorder, "order", |order| order.good == order.count && order.good > 10));
            runs.push(platform.orders.borrow().clone());
        }
        assert!(runs[0].windows(2).any(|pair| pair[0] != pair[1]), "not the same basket again and again");
        assert_eq!(runs[0], runs[1]);
        assert_ne!(runs[0], runs[2]);
    })
    .await;
}

#[tokio::test]
async fn a_token_that_expires_in_the_middle_costs_one_login_and_no_order() {
    local(async {
        let platform = Platform::start().await;
        let steps = r#"{ do = "order" }, { do = "retry" }"#;
        let (world, running) =
            phase(&platform, 1, &Stop::default(), "seconds = 0.5\nclosed = { clients = 4 }", steps).await;
        let recorder = running.recorder.clone();
        let logins = platform.count("POST /v1/auth");
        let expiring = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            platform.token.set(platform.token.get() + 1);
        };
        tokio::join!(running.load(1.0), expiring);
        with(&recorder, "order", |order| {
            assert_eq!(order.good, order.count, "{:?}", order.problems);
            assert_eq!(order.statuses.keys().collect::<Vec<_>>(), [&201]);
        });
        with(&recorder, "retry", |retry| assert_eq!(retry.good, retry.count, "{:?}", retry.broken));
        assert!(world.notes.borrow().keys().any(|note| note.contains("expired")));
        assert!(platform.count("POST /v1/auth") > logins);
    })
    .await;
}

#[tokio::test]
async fn an_interrupted_run_ends_soon_and_keeps_what_was_seen() {
    local(async {
        let platform = Platform::start().await;
        let steps = r#"{ do = "product" }, { do = "think", seconds = [50, 60] }"#;
        for (load, stalled) in [
            ("open = { schedule = \"constant\", rate = 50 }", false),
            ("closed = { clients = 5 }", false),
            ("open = { schedule = \"constant\", rate = 50 }", true),
        ] {
            let stop = Stop::default();
            let (_, running) = phase(&platform, 1, &stop, &format!("seconds = 60\n{load}"), steps).await;
            let recorder = running.recorder.clone();
            let asking = async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                if stalled {
                    platform.stall(Duration::from_secs(60));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                stop.ask();
            };
            let both = async { tokio::join!(running.load(1.0), asking) };
            tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
            assert!(with(&recorder, "product", |product| product.good) >= 5);
            assert!(recorder.lasted() < Duration::from_secs(5));
        }
    })
    .await;
}

#[tokio::test]
async fn an_open_loop_does_not_ask_again_and_a_closed_one_waits_as_it_is_told() {
    local(async {
        let platform = Platform::start().await;
        platform.refuses.set(true);
        for (load, least, most) in [
            ("seconds = 0.5\nopen = { schedule = \"constant\", rate = 100 }", 50, 50),
            ("seconds = 0.5\nclosed = { clients = 3 }", 3, 3),
        ] {
            let (_, running) = phase(&platform, 1, &Stop::default(), load, r#"{ do = "order" }"#).await;
            let recorder = running.recorder.clone();
            running.load(1.0).await;
            with(&recorder, "order", |order| {
                assert!((least..=most).contains(&order.refused), "{} refusals", order.refused);
                assert_eq!(order.refused_without_time, 0);
            });
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_a_failure() {
    local(async {
        let platform = Platform::start().await;
        let load = "seconds = 0.3\nclosed = { clients = 1 }";
        let (_, running) = phase(&platform, 1, &Stop::default(), load, r#"{ do = "browse" }"#).await;
        let recorder = running.recorder.clone();
        platform.garbles.set(true);
        running.load(1.0).await;
        with(&recorder, "browse", |browse| {
            assert_eq!((browse.good, browse.broken["a page that cannot be read"]), (0, browse.count));
        });
    })
    .await;
}
