//! Whole journeys against a small shop.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Kept, load,
    server::{Act, Reply, Seen, Server},
    target,
};
use crate::{
    clients::{Clients, Load, LoadFigures, SetUpError, Stop},
    history::{Call, Line, Outcome},
};

type Keys = HashMap<(String, String), (Vec<u8>, Uuid)>;

/// Keeps its promises: one order for a key, no more sold than there is.
#[derive(Default)]
struct Shop {
    stock: Mutex<HashMap<String, i64>>,
    /// By token and key: the request, and the order.
    keys: Mutex<Keys>,
    orders: Mutex<HashMap<String, &'static str>>,
    streams: Mutex<u32>,
    /// Asked for when there are so many orders.
    enough: Option<(usize, Stop)>,
    /// Asked for when so many streams were opened.
    enough_streams: Option<(u32, Stop)>,
}

impl Shop {
    fn answer(&self, seen: &Seen) -> Reply {
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        let parts: Vec<&str> = seen.path.split('/').skip(2).collect();
        match (seen.method.as_str(), &parts[..]) {
            ("POST", ["products"]) => {
                let id = Uuid::now_v7().to_string();
                self.stock.lock().unwrap().insert(id.clone(), 0);
                Reply::Json(201, vec![], json!({"id": id, "sku": body["sku"]}))
            }
            ("POST", ["inventory", "adjust"]) => {
                let product = body["product_id"].as_str().unwrap();
                *self.stock.lock().unwrap().get_mut(product).unwrap() += body["delta"].as_i64().unwrap();
                Reply::Json(200, vec![], json!({}))
            }
            ("POST", ["orders"]) => self.place(seen, &body),
            ("GET", ["orders", _, stream]) if stream.starts_with("stream?") => {
                *self.streams.lock().unwrap() += 1;
                if let Some((most, stop)) = &self.enough_streams
                    && *self.streams.lock().unwrap() >= *most
                {
                    stop.ask();
                }
                Reply::Stall
            }
            ("GET", ["orders", order]) => {
                let status = self.orders.lock().unwrap()[*order];
                Reply::Json(200, vec![], json!({"id": order, "status": status}))
            }
            ("POST", ["orders", _, "cancel"]) => {
                Reply::Json(409, vec![], json!({"type": "/problems/order-state"}))
            }
            ("POST", ["orders", order, "refund"]) => {
                let part = body.get("amount").is_some();
                let status = if part { "partially_refunded" } else { "refunded" };
                self.orders.lock().unwrap().insert((*order).to_owned(), status);
                Reply::Json(200, vec![], json!({"id": order, "status": "completed"}))
            }
            other => panic!("{other:?}"),
        }
    }

    fn place(&self, seen: &Seen, body: &Value) -> Reply {
        let mut stock = self.stock.lock().unwrap();
        let lines = body["lines"].as_array().unwrap();
        let wanted = lines.iter().map(|line| (line["product_id"].as_str().unwrap(), &line["quantity"]));
        let wanted: Vec<(&str, i64)> =
            wanted.map(|(product, pieces)| (product, pieces.as_i64().unwrap())).collect();
        let unknown = wanted.iter().enumerate().filter(|(_, (product, _))| !stock.contains_key(*product));
        let errors: Vec<Value> =
            unknown.map(|(line, _)| json!({"pointer": format!("/lines/{line}/product_id")})).collect();
        if !errors.is_empty() {
            return Reply::Json(422, vec![], json!({"type": "/problems/unknown-product", "errors": errors}));
        }
        let key = (seen.bearer.clone(), seen.key.clone().unwrap());
        let mut keys = self.keys.lock().unwrap();
        if let Some((first, order)) = keys.get(&key) {
            if *first != seen.body {
                return Reply::Json(422, vec![], json!({"type": "/problems/idempotency-key-reused"}));
            }
            let replayed = vec![("Idempotent-Replayed", "true")];
            return Reply::Json(201, replayed, json!({"id": order, "status": "created", "total": total()}));
        }
        let order = Uuid::now_v7();
        keys.insert(key, (seen.body.clone(), order));
        let is_there = wanted.iter().all(|(product, pieces)| stock[*product] >= *pieces);
        if is_there {
            for (product, pieces) in wanted {
                *stock.get_mut(product).unwrap() -= pieces;
            }
        }
        let status = if is_there { "completed" } else { "rejected" };
        self.orders.lock().unwrap().insert(order.to_string(), status);
        if let Some((most, stop)) = &self.enough
            && keys.len() >= *most
        {
            stop.ask();
        }
        Reply::Json(201, vec![], json!({"id": order, "status": "created", "total": total()}))
    }
}

fn total() -> Value {
    json!({"amount": 1999, "currency": "GBP"})
}

async fn run(load: &Load, doors: usize, shop: Shop, stop: &Stop) -> (LoadFigures, Vec<Line>, Vec<Vec<Seen>>) {
    let shop = Arc::new(shop);
    let mut servers = Vec::new();
    for _ in 0..=doors {
        let shop = shop.clone();
        servers.push(Server::start(move |seen: &Seen| shop.answer(seen)).await);
    }
    let replicas: Vec<&str> = servers[1..].iter().map(|server| server.door.as_str()).collect();
    let kept = Kept::new();
    let clients = Clients::prepare(load, &target(&servers[0].door, &replicas), &kept.recorder).await.unwrap();
    clients.run(stop).await.unwrap();
    clients.settle(Duration::from_secs(20)).await;
    let lines = kept.lines().await;
    (clients.figures(), lines, servers.iter().map(Server::seen).collect())
}

fn operations(lines: &[Line]) -> impl Iterator<Item = (&Call, &Outcome)> {
    lines.iter().filter_map(|line| match line {
        Line::Operation(operation) => Some((&operation.call, &operation.outcome)),
        Line::Stream(_) => None,
    })
}

#[tokio::test]
async fn visitors_order_and_everything_is_read_back() {
    let stop = Stop::default();
    let shop = Shop { enough: Some((150, stop.clone())), ..Shop::default() };
    let fields =
        "rate = 300.0\nproducts = 3\nbuyers = 4\nrepeat_at_once = 0.2\nother_body = 0.2\nrefund = 0.3";
    let (figures, lines, _) = run(&load("orders", fields), 0, shop, &stop).await;
    assert!(figures.accepted >= 150 && figures.visits >= figures.accepted, "{figures:?}");
    assert_eq!((figures.not_final.len(), figures.unanswered.len(), figures.unknown), (0, 0, 0));
    assert!(figures.troubles.is_empty(), "{:?}", figures.troubles);
    assert_eq!(
        figures.seconds.iter().map(|second| u64::from(second.accepted)).sum::<u64>(),
        figures.accepted
    );
    assert!(figures.streams > 0 && figures.orders["refunded"] > 0, "{figures:?}");
    let (mut accepted, mut read, mut bodies) = (HashSet::new(), HashSet::new(), HashMap::new());
    let (mut replayed_answers, mut reused) = (0, 0);
    for (call, outcome) in operations(&lines) {
        match (call, outcome) {
            (Call::PlaceOrder { buyer, key, lines, .. }, Outcome::Ok { body, replayed, .. }) => {
                accepted.insert(body["id"].to_string());
                replayed_answers += u32::from(*replayed);
                assert_eq!(
                    bodies.entry((*buyer, key.clone())).or_insert(lines),
                    &lines,
                    "one body for a key"
                );
            }
            (Call::PlaceOrder { .. }, Outcome::Refused { problem, .. }) => {
                reused += u32::from(problem == "/problems/idempotency-key-reused");
            }
            (Call::ReadOrder { order, .. }, Outcome::Ok { .. }) => {
                read.insert(format!("\"{order}\""));
            }
            _ => {}
        }
    }
    assert_eq!(accepted.len() as u64, figures.accepted);
    assert!(read.is_superset(&accepted), "every order is read back");
    assert!(replayed_answers > 0 && reused > 0, "{replayed_answers} {reused}");
    assert!(operations(&lines).any(|(call, _)| matches!(call, Call::Cancel { .. })));
}

#[tokio::test]
async fn one_key_many_times_at_once_is_one_order() {
    let load = load("same_key", "rounds = 3\nat_once = 20\nproducts = 2");
    let (figures, _, seen) = run(&load, 2, Shop::default(), &Stop::default()).await;
    assert_eq!((figures.accepted, figures.rounds.len()), (3, 3));
    for round in &figures.rounds {
        assert_eq!((round.asked, round.answered, round.orders, round.bodies), (20, 20, 1, 1), "{round:?}");
        assert_eq!((round.completed, round.ended, round.open), (1, 0, 0), "{round:?}");
    }
    for replica in &seen[1..] {
        let placed =
            replica.iter().filter(|seen| seen.key.as_ref().is_some_and(|key| key.ends_with("-round-1")));
        assert_eq!(placed.count(), 10, "each replica is asked for its share");
    }
}

#[tokio::test]
async fn the_last_pieces_are_sold_once() {
    let load = load("last_pieces", "rounds = 2\nat_once = 12\npieces = 3");
    let (figures, lines, _) = run(&load, 2, Shop::default(), &Stop::default()).await;
    assert_eq!((figures.accepted, figures.rounds.len()), (24, 2));
    for round in &figures.rounds {
        assert_eq!((round.orders, round.completed, round.ended, round.open), (12, 3, 9, 0), "{round:?}");
    }
    let received = operations(&lines).filter(|(call, _)| matches!(call, Call::Adjust { delta: 3, .. }));
    assert_eq!(received.count(), 2, "a product of its own for each round");
}

#[tokio::test]
async fn streams_are_held_open_and_orders_are_placed_for_them() {
    let stop = Stop::default();
    let shop = Shop { enough_streams: Some((30, stop.clone())), ..Shop::default() };
    let fields =
        "rate = 1000.0\nwatchers = 12\nwatchers_per_order = 3\nslow_readers = 0.5\nslow_pause = \"1ms\"";
    let (figures, lines, _) = run(&load("streams", fields), 0, shop, &stop).await;
    assert!(figures.streams >= 30, "{figures:?}");
    assert!(figures.troubles.is_empty() && figures.not_final.is_empty(), "{figures:?}");
    let mut watched: HashMap<Uuid, u32> = HashMap::new();
    for line in &lines {
        if let Line::Stream(stream) = line {
            *watched.entry(stream.order).or_default() += 1;
        }
    }
    assert!(
        watched.values().all(|watchers| *watchers <= 3) && watched.values().any(|watchers| *watchers == 3)
    );
    let slow =
        |call: &Call| matches!(call, Call::PlaceOrder { payment_token, .. } if payment_token == "tok_slow");
    assert!(operations(&lines).filter(|(call, _)| slow(call)).count() >= 8);
}

#[tokio::test]
async fn a_load_that_cannot_begin_says_why() {
    let kept = Kept::new();
    let prepared = async |load: &Load, door: &str| {
        let prepared = Clients::prepare(load, &target(door, &[]), &kept.recorder).await;
        prepared.err().unwrap()
    };
    let server =
        Server::start(|_: &Seen| Reply::Json(403, vec![], json!({"type": "/problems/forbidden"}))).await;
    server.script(&[Act::Hang]);
    let refused = prepared(&load("orders", ""), &server.door).await.to_string();
    assert!(refused.starts_with("creating a product did not succeed"), "{refused}");
    assert!(refused.contains("403") && refused.contains("/problems/forbidden"), "{refused}");
    let wrong = prepared(&load("orders", "buyers = 0"), &server.door).await;
    assert!(matches!(wrong, SetUpError::Load(_)), "{wrong}");
    let wrong = prepared(&load("orders", ""), "127.0.0.1:8080").await;
    assert!(matches!(&wrong, SetUpError::Door(door) if door == "127.0.0.1:8080"), "{wrong}");
    let mut target = target(&server.door, &[]);
    target.tokens = Arc::new(|_, _| Box::pin(async { Err("no key".to_owned()) }));
    let wrong = Clients::prepare(&load("orders", ""), &target, &kept.recorder).await.err().unwrap();
    assert_eq!(wrong.to_string(), "no token: no key");
}
