//! A careful client asks until it has an answer, with the same key and the same body.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

use super::{
    Kept,
    server::{Act, Reply, Seen, Server},
    world,
};
use crate::{
    clients::{
        book::{Question, Status},
        settle::settle,
    },
    history::{Call, KEY_IN_USE, Outcome, Wanted},
};

const ORDER: &str = "01a2010b-74b6-727d-8ff7-cfd33a88300e";

fn an_order(status: &str) -> Reply {
    Reply::Json(201, vec![("Idempotent-Replayed", "true")], json!({"id": ORDER, "status": status}))
}

#[tokio::test]
async fn it_asks_until_it_is_answered() {
    let tries = AtomicU32::new(0);
    let server = Server::start(move |_: &Seen| match tries.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Stall,
        1 => Reply::Raw(vec![]),
        2 => Reply::Json(503, vec![("Retry-After", "0")], json!({})),
        3 => Reply::Json(409, vec![], json!({"type": KEY_IN_USE})),
        4 => Reply::Json(429, vec![("Retry-After", "0")], json!({})),
        _ => an_order("created"),
    })
    .await;
    let kept = Kept::new();
    let world = world(&server, &kept, "timeout = \"200ms\"");
    kept.recorder.begin_timeline();
    let lines = vec![Wanted { product: Uuid::now_v7(), quantity: 2 }];
    let question = world.order(0, "the-key".to_owned(), lines, "tok_visa");
    let outcome = world.ask(3, question.clone(), &mut world.random(1)).await;
    assert!(matches!(outcome, Outcome::Ok { status: 201, .. }), "{outcome:?}");

    let seen = server.seen();
    assert_eq!(seen.len(), 6);
    assert_eq!(seen[0].body, question.body);
    assert_eq!(seen[0].key.as_deref(), Some("the-key"));
    assert_eq!(seen[0].bearer, "Bearer buyer");
    assert!(seen.iter().all(|again| *again == seen[0]), "the same request each time: {seen:?}");
    assert!(world.book().unanswered().is_empty());
    let known = world.book().order(ORDER.parse().unwrap()).cloned().unwrap();
    assert_eq!((known.buyer, known.status), (0, Status::Open));

    let seconds = kept.recorder.seconds();
    let sum = |count: fn(&crate::history::Second) -> u32| seconds.iter().map(count).sum::<u32>();
    assert_eq!((sum(|s| s.accepted), sum(|s| s.refused), sum(|s| s.unknown)), (1, 2, 3));
    assert!(kept.recorder.acceptance().max_ms > 200.0, "from the first try on");
    let operations = kept.operations().await;
    assert_eq!(operations.len(), 6, "each try is an operation");
    assert!(operations.iter().all(|operation| operation.client == 3 && operation.call == question.call));
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let server =
        Server::start(|_: &Seen| Reply::Json(409, vec![], json!({"type": "/problems/order-state"}))).await;
    let kept = Kept::new();
    let world = world(&server, &kept, "");
    let question = world.order(0, "a-key".to_owned(), vec![], "tok_visa");
    let outcome = world.ask(0, question, &mut world.random(1)).await;
    assert_eq!(outcome, Outcome::Refused { status: 409, problem: "/problems/order-state".to_owned() });
    assert_eq!(server.seen().len(), 1);
    assert!(world.book().unanswered().is_empty() && world.book().orders().is_empty());
}

#[tokio::test]
async fn what_is_unanswered_when_patience_ends_is_asked_once_more_after_the_load() {
    let (placed, reads) = (AtomicU32::new(0), AtomicU32::new(0));
    let healed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let heals = healed.clone();
    let server = Server::start(move |seen: &Seen| {
        if seen.method == "GET" {
            // Final only when it is read for the third time.
            let status = if reads.fetch_add(1, Ordering::Relaxed) < 2 { "validated" } else { "completed" };
            return Reply::Json(200, vec![], json!({"id": ORDER, "status": status}));
        }
        placed.fetch_add(1, Ordering::Relaxed);
        if heals.load(Ordering::Relaxed) { an_order("created") } else { Reply::Json(502, vec![], json!({})) }
    })
    .await;
    let kept = Kept::new();
    let world = Arc::new(world(&server, &kept, "patience = \"300ms\""));
    let question = world.order(0, "lost".to_owned(), vec![], "tok_visa");
    let outcome = world.ask(0, question.clone(), &mut world.random(1)).await;
    assert!(matches!(outcome, Outcome::Unknown { status: Some(502), .. }), "{outcome:?}");
    let open = world.book().unanswered();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].1.call, question.call);

    healed.store(true, Ordering::Relaxed);
    settle(&world, Duration::from_secs(20)).await;
    assert!(world.book().unanswered().is_empty());
    let figures = world.figures();
    assert_eq!((figures.accepted, figures.not_final, figures.unanswered), (1, vec![], vec![]));
    assert_eq!(figures.orders.get("completed"), Some(&1));
    let posts: Vec<Seen> = server.seen().into_iter().filter(|seen| seen.method == "POST").collect();
    assert!(posts.len() > 2 && posts.iter().all(|post| *post == posts[0]), "the same request: {posts:?}");
    let operations = kept.operations().await;
    let last = operations.iter().rfind(|operation| matches!(operation.call, Call::ReadOrder { .. })).unwrap();
    assert!(matches!(&last.outcome, Outcome::Ok { body, .. } if body["status"] == "completed"));
}

#[tokio::test]
async fn what_never_ends_is_told() {
    let server = Server::start(|seen: &Seen| match (seen.method.as_str(), seen.key.as_deref()) {
        ("GET", _) => Reply::Json(200, vec![], json!({"id": ORDER, "status": "validated"})),
        (_, Some("lost")) => Reply::Json(502, vec![], json!({})),
        _ if seen.path.ends_with("/cancel") => Reply::Json(502, vec![], json!({})),
        _ => an_order("created"),
    })
    .await;
    let kept = Kept::new();
    let world = Arc::new(world(&server, &kept, "patience = \"1ms\""));
    let order: Uuid = ORDER.parse().unwrap();
    let call = Call::Cancel { order, buyer: world.buyer(0).id, key: None };
    world.ask(0, Question { buyer: 0, call, body: "{}".into(), door: 0 }, &mut world.random(1)).await;
    for key in ["lost", "found"] {
        let question = world.order(0, key.to_owned(), vec![], "tok_visa");
        world.ask(0, question, &mut world.random(1)).await;
    }
    settle(&world, Duration::from_millis(10)).await;
    let mut figures = world.figures();
    assert_eq!(figures.not_final, [order]);
    figures.unanswered.sort_unstable();
    assert_eq!(figures.unanswered, [format!("cancel of {ORDER}"), "lost".to_owned()]);
    let reads = server.seen().iter().filter(|seen| seen.method == "GET").count();
    assert!(reads >= 1, "each order is read at least once");
}

#[tokio::test]
async fn orders_whose_money_never_comes_back_hold_nobody_up() {
    let last = Uuid::max();
    let server = Server::start(move |seen: &Seen| {
        let id = &seen.path["/v1/orders/".len()..];
        let status = if id == last.to_string() { "completed" } else { "cancelled" };
        Reply::Json(200, vec![], json!({"id": id, "status": status}))
    })
    .await;
    (0..300).for_each(|_| server.script(&[Act::Tell(1, "created"), Act::Hang]));
    let kept = Kept::new();
    let world = Arc::new(world(&server, &kept, ""));
    for order in (1..=40).map(Uuid::from_u128).chain([last]) {
        world.book().accepted(order, 0);
    }
    let (begun, within) = (Instant::now(), Duration::from_secs(5));
    let settling = settle(&world, within);
    let looking = async {
        while world.book().order(last).unwrap().status == Status::Open {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        begun.elapsed()
    };
    let ((), seen) = tokio::join!(settling, looking);
    assert!(seen < within, "{seen:?}");
    assert_eq!(world.figures().not_final.len(), 40);
}
