//! How runs end: as they should, with an error, or because somebody is tired of waiting.

use std::{rc::Rc, time::Duration};

use super::{Platform, local, phase};
use crate::{
    client::{
        pool::Pool,
        wire::{Ask, Target},
    },
    engine::{GRACE, prepare, run::phases, stage::Stage},
    journey::World,
    measure::{
        components::Components,
        finals::{self, Finals},
        recorder::Recorder,
        usage::Sampler,
    },
    profile::check::parse,
    replay::sender::Sender,
    report::{draft::Draft, model::Report},
    stop::Stop,
};

/// Much longer than anything here takes when it does not wait for the platform, and shorter than when it does.
const SOON: Duration = Duration::from_secs(15);

/// A few orders.
async fn some_orders(platform: &Platform, stop: &Stop) -> (Rc<World>, Rc<Recorder>) {
    let load = "seconds = 0.3\nopen = { schedule = \"constant\", rate = 100 }";
    let (world, running) = phase(platform, 1, stop, load, r#"{ do = "order" }"#).await;
    let recorder = running.recorder.clone();
    running.load(1.0).await;
    (world, recorder)
}

async fn followed(world: &World, recorder: &Recorder, within: Duration) -> Finals {
    finals::follow(&world.target, &world.customers, recorder, within, &world.stop, GRACE).await
}

#[tokio::test]
async fn orders_are_followed_with_a_token_that_has_expired_meanwhile() {
    local(async {
        let platform = Platform::start().await;
        let (world, recorder) = some_orders(&platform, &Stop::default()).await;
        platform.token.set(platform.token.get() + 1);
        let finals = followed(&world, &recorder, SOON).await;
        let accepted = recorder.orders().len() as u64;
        assert_eq!((finals.not_final, finals.lost, finals.orders_completed()), (0, 0, accepted));
        assert!(finals.notes.is_empty(), "{:?}", finals.notes);
    })
    .await;
}

#[tokio::test]
async fn an_order_whose_money_went_back_was_completed_when_its_events_say() {
    local(async {
        let platform = Platform::start().await;
        let (world, recorder) = some_orders(&platform, &Stop::default()).await;
        platform.status.set("refunded");
        let finals = followed(&world, &recorder, SOON).await;
        let accepted = recorder.orders().len() as u64;
        assert_eq!((finals.orders_completed(), finals.untimed, finals.late), (accepted, 0, 0));
        assert_eq!(finals.completed.iter().sum::<u64>(), accepted);
        assert_eq!(finals.created_to_completed.max() / 1_000, 100);
    })
    .await;
}

#[tokio::test]
async fn who_refunds_has_seen_the_order_completed() {
    local(async {
        let platform = Platform::start().await;
        let load = "seconds = 0.2\nopen = { schedule = \"constant\", rate = 100 }";
        let (_, running) =
            phase(&platform, 1, &Stop::default(), load, r#"{ do = "order" }, { do = "refund" }"#).await;
        let recorder = running.recorder.clone();
        running.load(1.0).await;
        let seen =
            recorder.orders().iter().filter(|order| recorder.completed_at(order.order).is_some()).count();
        assert_eq!((seen, recorder.orders().len()), (20, 20));
    })
    .await;
}

#[tokio::test]
async fn following_orders_on_a_platform_that_hangs_ends_soon_after_it_is_asked_to() {
    local(async {
        let platform = Platform::start().await;
        let stop = Stop::default();
        let (world, recorder) = some_orders(&platform, &stop).await;
        platform.stall(Duration::from_secs(600));
        let asking = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stop.ask();
        };
        let both = async { tokio::join!(followed(&world, &recorder, Duration::from_secs(600)), asking).0 };
        let finals = tokio::time::timeout(SOON, both).await.unwrap();
        assert!(finals.notes[0].contains("interrupted"), "{:?}", finals.notes);
        let unknown = recorder.orders().len() as u64;
        assert_eq!(
            (finals.lost, finals.not_final, finals.unseen),
            (0, 0, unknown),
            "not said to be lost, nor to be there"
        );
    })
    .await;
}

#[tokio::test]
async fn a_replay_that_is_told_to_come_later_ends_when_it_is_asked_to() {
    local(async {
        let platform = Platform::start().await;
        let stop = Stop::default();
        let (world, _) = some_orders(&platform, &stop).await;
        platform.refuses.set(true);
        let (pool, customers) = (Pool::new(&world.target, 1), world.customers.clone());
        let sender = Sender { pool, customers, recorder: None, stop: stop.clone() };
        let mut ask = Ask::post("/v1/orders", "{}");
        ask.key = Some("k");
        let refused = platform.count("POST /v1/orders");
        let asking = async {
            while platform.count("POST /v1/orders") == refused {
                tokio::task::yield_now().await;
            }
            stop.ask();
        };
        // A dozen tries, a second between them.
        let both = async { tokio::join!(sender.ask("order", 0, ask, None), asking).0 };
        let answer = tokio::time::timeout(Duration::from_secs(5), both).await.unwrap();
        assert!(answer.is_err());
    })
    .await;
}

/// A run of this profile up to its report, and what ended it.
async fn report(platform: &Platform, text: &str) -> (Report, Result<(), String>) {
    let profile = parse("t", text).unwrap();
    let target = Target::find(&platform.url()).await.unwrap();
    let world = prepare::world(None, &profile, &target, &Stop::default()).await.unwrap();
    let (components, mut draft) = (Components::default(), Draft::new("t", 1, "here"));
    let mut stage = Stage {
        world,
        seed: 1,
        sampler: Rc::new(Sampler::start(components.clone())),
        live: false,
        replay: None,
        components: &components,
        draft: &mut draft,
        peak: None,
        waiting: Vec::new(),
        phases: 0,
        windows: 0,
        connections: 16,
    };
    let ended = phases(&mut stage, &profile, false).await;
    (draft.finish(ended.is_err()), ended.map_err(|failure| failure.to_string()))
}

#[tokio::test]
async fn an_error_does_not_throw_away_what_was_loaded_before_it() {
    local(async {
        let platform = Platform::start().await;
        let text = r#"
            about = "t"
            customers = 1
            [[phase]]
            name = "waits"
            seconds = 0.2
            open = { schedule = "constant", rate = 50 }
            settle = false
            [[phase.journey]]
            steps = [{ do = "product" }, { do = "order" }]
            [[phase]]
            name = "has no rate"
            seconds = 0.2
            open = { schedule = "constant", rate = 1, unit = "peak" }
            [[phase.journey]]
            steps = [{ do = "product" }]
        "#;
        let (report, ended) = report(&platform, text).await;
        assert!(ended.unwrap_err().contains("has no rate"));
        let phase = report.phase("waits").unwrap();
        assert!(phase.orders.accepted > 0 && phase.orders.completed == phase.orders.accepted);
    })
    .await;
}
