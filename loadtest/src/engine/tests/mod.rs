#![allow(clippy::unwrap_used)]
//! The loops against a small platform in the same process.

mod platform;

use std::{future::Future, rc::Rc, time::Duration};

use tokio::task::LocalSet;

use self::platform::Platform;
use super::{Running, prepare};
use crate::{
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
    };
    (world, running)
}

fn with<T>(recorder: &Recorder, name: &str, look: impl FnOnce(&Operation) -> T) -> T {
    let operations = recorder.operations();
    look(&operations.iter().find(|(known, _)| *known == name).unwrap().1)
}

/// Coordinated omission: a server stands still for 400 of 1,000 ms. Of 200 requests a second, 80 were to be made meanwhile,
/// and had to wait 200 ms on average. Whoever counts from the sending of a request that waits for the one before it sees
/// one slow request.
#[tokio::test]
async fn a_stall_is_seen_by_every_arrival_that_was_meant_to_be_served_in_it() {
    local(async {
        let platform = Platform::start().await;
        let (stop, step) = (Stop::default(), r#"{ do = "product" }"#);
        let load = "seconds = 1\nopen = { schedule = \"constant\", rate = 200 }";
        let (_, running) = phase(&platform, 1, &stop, load, step).await;
        let recorder = running.recorder.clone();
        let stalling = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            platform.stall(Duration::from_millis(400));
        };
        tokio::join!(running.load(1.0), stalling);
        with(&recorder, "product", |product| {
            assert_eq!((product.count, product.good), (200, 200), "the schedule was kept");
            let slow = product.latency.len() - product.latency.count_between(0, 100_000);
            assert!((50..=75).contains(&slow), "{slow} arrivals waited for more than 100 ms, of 60");
            assert!(product.latency.max() >= 380_000, "{} µs", product.latency.max());
        });

        let platform = Platform::start().await;
        let (_, running) = phase(&platform, 1, &stop, "seconds = 1\nclosed = { clients = 1 }", step).await;
        let recorder = running.recorder.clone();
        let stalling = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            platform.stall(Duration::from_millis(400));
        };
        tokio::join!(running.load(1.0), stalling);
        with(&recorder, "product", |product| {
            let slow = product.latency.len() - product.latency.count_between(0, 100_000);
            assert_eq!(slow, 1, "a closed loop of one client sees it once: that is why there is an open one");
        });
    })
    .await;
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
        for load in ["open = { schedule = \"constant\", rate = 50 }", "closed = { clients = 5 }"] {
            let stop = Stop::default();
            let (_, running) = phase(&platform, 1, &stop, &format!("seconds = 60\n{load}"), steps).await;
            let recorder = running.recorder.clone();
            let asking = async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                stop.ask();
            };
            let both = async { tokio::join!(running.load(1.0), asking) };
            tokio::time::timeout(Duration::from_secs(3), both).await.unwrap();
            assert!(with(&recorder, "product", |product| product.good) >= 5);
            assert!(recorder.lasted() < Duration::from_secs(2));
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
