//! After the load: what is unanswered is asked, and every order is read until it is final.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use uuid::Uuid;

use super::{
    Kept,
    server::{Reply, Seen, Server},
    world,
};
use crate::{
    clients::{figures::LoadFigures, settle::settle, world::World},
    history::Wanted,
};

const ORDER: &str = "01a2010b-74b6-727d-8ff7-cfd33a88300e";

/// What settling comes to where the shop answers so; `place` is what clients have done before.
async fn settled(
    answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    within: Duration,
    place: impl FnOnce(&World),
) -> LoadFigures {
    let server = Server::start(answer).await;
    let kept = Kept::new();
    let world = Arc::new(world(&server, &kept, "timeout = \"5s\""));
    place(&world);
    settle(&world, within).await;
    world.figures()
}

fn order(status: &str) -> Reply {
    Reply::Json(200, vec![], json!({"id": ORDER, "status": status}))
}

fn known(world: &World) {
    world.book().accepted(ORDER.parse().unwrap(), 0);
}

#[tokio::test]
async fn an_order_that_nobody_could_read_is_read_again() {
    let reads = AtomicU32::new(0);
    let answer = move |_: &Seen| match reads.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Json(503, vec![], json!({})),
        _ => order("completed"),
    };
    let figures = settled(answer, Duration::ZERO, known).await;
    assert_eq!((figures.not_final.len(), figures.unread.len()), (0, 0), "{figures:?}");
    assert_eq!(figures.orders["completed"], 1);
    assert!(figures.last_final.is_some());
}

#[tokio::test]
async fn an_order_that_was_accepted_late_has_its_time_all_the_same() {
    let (tries, begun) = (AtomicU32::new(0), Instant::now());
    let answer = move |seen: &Seen| match (seen.method.as_str(), tries.fetch_add(1, Ordering::Relaxed)) {
        ("POST", 0) => Reply::Json(503, vec![("Retry-After", "1")], json!({})),
        ("POST", _) => Reply::Json(201, vec![], json!({"id": ORDER, "status": "created"})),
        _ if begun.elapsed() < Duration::from_millis(1_400) => order("created"),
        _ => order("completed"),
    };
    let figures = settled(answer, Duration::from_millis(900), |world| {
        let lines = vec![Wanted { product: Uuid::now_v7(), quantity: 1 }];
        let question = world.order(0, "key".to_owned(), lines, "tok_visa");
        world.book().asked(question);
    });
    let figures = figures.await;
    assert_eq!((figures.unanswered.len(), figures.not_final.len()), (0, 0), "{figures:?}");
}
