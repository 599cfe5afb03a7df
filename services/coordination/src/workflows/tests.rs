//! The view is the same whatever the interleaving of the topics, the cut of the batches and the redeliveries.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use proptest::prelude::*;
use prost::Message;
use uuid::Uuid;
use viscount_contracts::{
    Envelope, EventId, Topic,
    events::{common::v1::Money, inventory::v1 as inventory, orders::v1 as orders},
};

use super::{
    fold::{Change, Part, Seen, Workflow, fold},
    kind::Status,
    view::{Patience, State, What},
};

const PATIENCE: Patience = Patience {
    stuck_after: Duration::from_secs(30),
    stock: Duration::from_secs(900),
    payment: Duration::from_secs(1_800),
};

/// Whole lives, stream by stream: what orders, inventory and payments say.
const LIVES: [[&[&str]; 3]; 6] = [
    [
        &["OrderCreated", "OrderValidated", "OrderPaymentProcessed", "OrderCompleted"],
        &["InventoryReserved", "InventoryDeducted"],
        &["PaymentProcessed"],
    ],
    [&["OrderCreated", "OrderRejected"], &["InventoryRejected"], &[]],
    [
        &["OrderCreated", "OrderPaymentNoted", "OrderCancelled", "OrderRefundRequested", "OrderRefunded"],
        &["InventoryReserved", "InventoryReleased"],
        &["PaymentPending", "PaymentProcessed", "PaymentRefundPending", "PaymentRefunded"],
    ],
    [
        &[
            "OrderCreated",
            "OrderValidated",
            "OrderPaymentProcessed",
            "OrderCompleted",
            "OrderRefundRequested",
        ],
        &["InventoryReserved"],
        &["PaymentProcessed", "PaymentRefundPending"],
    ],
    [&["OrderCreated"], &["InventoryReserved"], &[]],
    [&["OrderCreated", "OrderValidated", "OrderFromTheFuture"], &["InventoryReserved"], &["PaymentPending"]],
];

fn money(amount: i64) -> Option<Money> {
    Some(Money { amount, currency: "GBP".into() })
}

fn data(kind: &str, order: Uuid) -> Vec<u8> {
    let order_id = order.to_string();
    match kind {
        "InventoryReserved" => {
            inventory::InventoryReserved { order_id, ..Default::default() }.encode_to_vec()
        }
        "InventoryRejected" => {
            inventory::InventoryRejected { order_id, ..Default::default() }.encode_to_vec()
        }
        "InventoryReleased" => {
            inventory::InventoryReleased { order_id, ..Default::default() }.encode_to_vec()
        }
        "InventoryDeducted" => {
            inventory::InventoryDeducted { order_id, ..Default::default() }.encode_to_vec()
        }
        "OrderCompleted" => {
            orders::OrderCompleted { total: money(500), ..Default::default() }.encode_to_vec()
        }
        "OrderRefunded" => {
            orders::OrderRefunded { refunded: money(200), ..Default::default() }.encode_to_vec()
        }
        _ => Vec::new(),
    }
}

fn event(topic: Topic, order: Uuid, version: i32, kind: &str) -> Arc<Envelope> {
    let seed =
        order.as_u128() ^ (u128::from(topic.name().len() as u8) << 40) ^ version.unsigned_abs() as u128;
    Arc::new(Envelope {
        id: EventId::from(Uuid::from_u128(seed)),
        topic,
        position: 0,
        key: order,
        version,
        kind: topic.kind_named(kind),
        occurred_at: Timestamp::from_second(1_700_000_000 + i64::from(version)).unwrap(),
        traceparent: (version != 2).then(|| format!("00-{:032x}-00f067aa0ba902b7-01", order.as_u128() | 1)),
        data: data(kind, order).into(),
    })
}

/// Each order's streams.
fn streams(lives: &[usize]) -> Vec<Vec<Arc<Envelope>>> {
    let each = lives.iter().enumerate().flat_map(|(at, life)| {
        let order = Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + at as u128);
        super::TOPICS.into_iter().zip(LIVES[*life]).map(move |(topic, kinds)| {
            (1..).zip(kinds).map(|(version, kind)| event(topic, order, version, kind)).collect()
        })
    });
    each.collect()
}

/// What the table's statement does, in memory.
impl Workflow {
    /// A workflow that begins with this change.
    fn begin(change: &Change) -> Self {
        let mut workflow = Self {
            order: change.order,
            status: Status::Unknown,
            since: change.started,
            refunds: 0,
            total: None,
            refunded: 0,
            started: change.started,
            updated: change.updated,
            trace: None,
            seen: [0; 3],
            answers: [0; 3],
            timelines: Default::default(),
        };
        workflow.apply(change);
        workflow
    }

    /// Takes a change in. False, and nothing has happened, when a part of it was seen before.
    fn apply(&mut self, change: &Change) -> bool {
        let news = |(part, seen): (&Part, &i32)| part.first == 0 || part.first > *seen;
        if !change.parts.iter().zip(&self.seen).all(news) {
            return false;
        }
        self.status = change.status.unwrap_or(self.status);
        self.since = change.since.unwrap_or(self.since);
        self.refunds += change.refunds;
        self.total = change.total.or(self.total);
        self.refunded = change.refunded.unwrap_or(self.refunded);
        self.started = self.started.min(change.started);
        self.updated = self.updated.max(change.updated);
        self.trace = self.trace.or(change.trace);
        for (stream, part) in change.parts.iter().enumerate().filter(|(_, part)| part.first > 0) {
            self.seen[stream] = part.version;
            if part.answer > 0 {
                self.answers[stream] = part.answer;
            }
            self.timelines[stream].extend_from_slice(&part.timeline);
        }
        true
    }
}

/// What the consumer and the table do together.
#[derive(Default)]
struct Memory(HashMap<Uuid, Workflow>);

impl Memory {
    fn seen(&self, order: Uuid) -> Seen {
        self.0.get(&order).map_or([0; 3], |workflow| workflow.seen)
    }

    fn keep(&mut self, events: &[Arc<Envelope>]) {
        for change in fold(events, |_| [0; 3]) {
            let taken = match self.0.entry(change.order) {
                Entry::Vacant(place) => {
                    place.insert(Workflow::begin(&change));
                    true
                }
                Entry::Occupied(mut workflow) => workflow.get_mut().apply(&change),
            };
            if !taken {
                let own: Vec<_> = events.iter().filter(|it| it.key == change.order).cloned().collect();
                for change in fold(&own, |order| self.seen(order)) {
                    assert!(
                        self.0.get_mut(&change.order).unwrap().apply(&change),
                        "what was seen is left out"
                    );
                }
            }
        }
    }
}

/// The same events, with the trace told anew where a batch began. Everything else has to be equal.
fn told(memory: &Memory) -> Vec<(Workflow, String)> {
    let mut told: Vec<_> = memory
        .0
        .values()
        .map(|workflow| {
            let timeline = serde_json::to_string(&workflow.timeline()).unwrap();
            (Workflow { timelines: Default::default(), ..workflow.clone() }, timeline)
        })
        .collect();
    told.sort_by_key(|(workflow, _)| workflow.order);
    told
}

proptest! {
    #[test]
    fn any_interleaving_and_redelivery_gives_the_same_view(
        lives in prop::collection::vec(0..LIVES.len(), 1..5),
        steps in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..4, 0_usize..3), 0..60),
        cuts in prop::collection::vec(1_usize..9, 1..9),
    ) {
        let streams = streams(&lives);
        let mut straight = Memory::default();
        straight.keep(&streams.concat());
        // Some of a stream, then of another; and now and then a stream comes again from an earlier place.
        let mut at = vec![0_usize; streams.len()];
        let mut line = Vec::new();
        for (which, taken, back) in steps {
            let which = which.index(streams.len());
            let from = at[which].saturating_sub(back);
            let to = (from + taken).min(streams[which].len());
            line.extend_from_slice(&streams[which][from..to]);
            at[which] = at[which].max(to);
        }
        for (stream, at) in streams.iter().zip(&at) {
            line.extend_from_slice(&stream[*at..]);
        }
        let mut crooked = Memory::default();
        let (mut rest, mut cuts) = (line.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (batch, left) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            crooked.keep(batch);
            rest = left;
        }
        prop_assert_eq!(told(&crooked), told(&straight));
    }
}

fn lived(life: usize) -> Workflow {
    let mut memory = Memory::default();
    memory.keep(&streams(&[life]).concat());
    memory.0.into_values().next().unwrap()
}

#[test]
fn each_state_says_what_it_waits_for() {
    let early = Timestamp::from_second(1_700_000_010).unwrap();
    let states = LIVES.iter().enumerate().map(|(life, _)| {
        let view = lived(life).view(&PATIENCE, early);
        (view.status, view.waits_for, view.state)
    });
    assert_eq!(
        states.collect::<Vec<_>>(),
        [
            ("completed", None, State::Finished),
            ("rejected", None, State::Finished),
            ("cancelled", None, State::Finished),
            ("completed", Some(What::Refund), State::Running),
            ("created", Some(What::StockAnswer), State::Running),
            ("validated", Some(What::Payment), State::Running),
        ]
    );
    assert_eq!(
        lived(5).timeline().last().unwrap().kind,
        "OrderFromTheFuture",
        "a newer program's event is told"
    );
}

#[test]
fn what_waits_for_too_long_is_stuck() {
    let workflow = lived(4);
    let at = |seconds: i64| Timestamp::from_second(1_700_000_001 + seconds).unwrap();
    assert_eq!(workflow.view(&PATIENCE, at(30)).state, State::Running);
    assert_eq!(workflow.view(&PATIENCE, at(31)).state, State::Stuck);
    let impatient = Patience { stock: Duration::from_secs(5), ..PATIENCE };
    assert_eq!(workflow.view(&impatient, at(6)).state, State::Stuck, "past its deadline");
    assert_eq!(workflow.view(&PATIENCE, at(6)).due_at, Some(at(900)));
}

#[test]
fn money_that_is_back_shows_in_the_status() {
    let mut workflow = lived(0);
    workflow.refunded = 200;
    assert_eq!(workflow.status_name(), "partially_refunded");
    workflow.refunded = 500;
    assert_eq!(workflow.status_name(), "refunded");
    assert_eq!(workflow.status, Status::Completed);
}

#[test]
fn what_is_not_about_an_order_is_left_alone() {
    let order = Uuid::from_u128(7);
    let foreign = [
        event(Topic::Inventory, order, 1, "InventoryUpdated"),
        event(Topic::Catalog, order, 1, "ProductCreated"),
        Arc::new(Envelope {
            data: inventory::InventoryReserved::default().encode_to_vec().into(),
            ..(*event(Topic::Inventory, order, 1, "InventoryReserved")).clone()
        }),
    ];
    assert_eq!(fold(&foreign, |_| [0; 3]), []);
}
