//! From events to workflows. Pure: nothing goes in but events and how far each workflow has seen them.
//!
//! A workflow has three streams: what orders, inventory and payments say of one order. Each comes in order and at least
//! once; between them there is no order. So each stream is a part of its own, known by the last version that is in it: a
//! [`Change`] is what some events add to each part, and it is taken in when it begins behind what is there. What was seen
//! before is left out ([`fold`]'s `seen`). Whatever the interleaving, the same events come to the same workflow.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use uuid::Uuid;
use viscount_contracts::{
    Envelope, Event as _, Money, Topic,
    events::{
        inventory::v1 as inventory,
        orders::v1::{OrderCompleted, OrderRefunded},
    },
};

use super::{
    kind::{Kind, Status, is_answer},
    timeline::{self, Entry},
};

/// The topics that workflows are made of.
pub const TOPICS: [Topic; 3] = [Topic::Orders, Topic::Inventory, Topic::Payments];

/// How far each stream of a workflow has been seen: versions, in the order of [`TOPICS`].
pub type Seen = [i32; 3];

/// What some events add to one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// The version of the first; 0 when there is none.
    pub first: i32,
    /// The version of the last.
    pub version: i32,
    /// The number of the last answer in it (see [`Kind`]); 0 for none.
    pub answer: u8,
    /// Its entries.
    pub timeline: Vec<u8>,
    trace: Option<Uuid>,
}

/// What some events add to one workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The order.
    pub order: Uuid,
    /// What orders, inventory and payments said, in the order of [`TOPICS`].
    pub parts: [Part; 3],
    /// The status, when it changes.
    pub status: Option<Status>,
    /// Since when something is waited for, when a wait begins.
    pub since: Option<Timestamp>,
    /// How many refunds more, or fewer, are under way.
    pub refunds: i32,
    /// What the order cost, in minor units, when it says so.
    pub total: Option<i64>,
    /// What has been returned so far, in minor units, when it says so.
    pub refunded: Option<i64>,
    /// When the first of these events happened.
    pub started: Timestamp,
    /// When the last of them happened.
    pub updated: Timestamp,
    /// The trace of the first of the order's own events that has one.
    pub trace: Option<Uuid>,
}

/// What these events add, for each order; orders ascending.
pub fn fold<'a>(
    events: impl IntoIterator<Item = &'a Arc<Envelope>>,
    seen: impl Fn(Uuid) -> Seen,
) -> Vec<Change> {
    let mut changes: BTreeMap<Uuid, Change> = BTreeMap::new();
    for event in events {
        let Some(stream) = stream(event) else { continue };
        let known = changes.get(&event.key).map_or(0, |change| change.parts[stream].version);
        if event.version <= known.max(seen(event.key)[stream]) {
            continue;
        }
        let at = event.occurred_at;
        changes.entry(event.key).or_insert_with(|| Change::at(event.key, at)).take(stream, event);
    }
    changes.into_values().collect()
}

/// Which stream an event belongs to; `None` when it is not about an order.
fn stream(event: &Envelope) -> Option<usize> {
    use inventory::{InventoryDeducted, InventoryRejected, InventoryReleased, InventoryReserved};
    let is_of_order = match event.topic {
        Topic::Orders | Topic::Payments => true,
        // Reservations made over HTTP belong to no order, and the others are about products.
        Topic::Inventory => match event.kind.as_ref() {
            InventoryReserved::KIND => {
                event.decode::<InventoryReserved>().is_ok_and(|it| !it.order_id.is_empty())
            }
            InventoryRejected::KIND => {
                event.decode::<InventoryRejected>().is_ok_and(|it| !it.order_id.is_empty())
            }
            InventoryReleased::KIND => {
                event.decode::<InventoryReleased>().is_ok_and(|it| !it.order_id.is_empty())
            }
            InventoryDeducted::KIND => {
                event.decode::<InventoryDeducted>().is_ok_and(|it| !it.order_id.is_empty())
            }
            _ => false,
        },
        _ => false,
    };
    TOPICS.iter().position(|topic| *topic == event.topic).filter(|_| is_of_order)
}

impl Change {
    fn at(order: Uuid, at: Timestamp) -> Self {
        Self {
            order,
            parts: Default::default(),
            status: None,
            since: None,
            refunds: 0,
            total: None,
            refunded: None,
            started: at,
            updated: at,
            trace: None,
        }
    }

    fn take(&mut self, stream: usize, event: &Envelope) {
        let (kind, at) = (Kind::named(event.topic, &event.kind), event.occurred_at);
        let trace = event.traceparent.as_deref().and_then(timeline::trace_id);
        self.started = self.started.min(at);
        self.updated = self.updated.max(at);
        if stream == 0 {
            self.trace = self.trace.or(trace);
            self.decided(&kind, event);
        }
        let part = &mut self.parts[stream];
        if part.first == 0 {
            part.first = event.version;
        }
        part.version = event.version;
        if is_answer(kind.code) {
            part.answer = kind.code;
        }
        let entry = Entry { kind, version: event.version, at, event: event.id.uuid(), trace };
        timeline::push(&mut part.timeline, &entry, part.trace);
        part.trace = trace;
    }

    /// What an event of the order itself decides.
    fn decided(&mut self, kind: &Kind, event: &Envelope) {
        let minor = |money: Option<Money>| money.map(|money| money.amount());
        if let Some(status) = kind.status() {
            self.status = Some(status);
            if status.waits() {
                self.since = Some(event.occurred_at);
            }
        }
        match kind.refunds() {
            0 => {}
            change => {
                self.refunds += change;
                if change > 0 {
                    self.since = Some(event.occurred_at);
                }
            }
        }
        match event.kind.as_ref() {
            OrderCompleted::KIND => {
                let completed = event.decode::<OrderCompleted>().ok();
                let total = completed.and_then(|it| Money::try_from(it.total.as_ref()).ok());
                self.total = minor(total).or(self.total);
            }
            OrderRefunded::KIND => {
                let refunded = event.decode::<OrderRefunded>().ok();
                let refunded = refunded.and_then(|it| Money::try_from(it.refunded.as_ref()).ok());
                self.refunded = minor(refunded).or(self.refunded);
            }
            _ => {}
        }
    }
}

/// A workflow as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    /// The order.
    pub order: Uuid,
    /// Where it stands.
    pub status: Status,
    /// Since when it waits, or has last waited.
    pub since: Timestamp,
    /// Refunds under way.
    pub refunds: i32,
    /// What the order cost, in minor units; known when it is completed.
    pub total: Option<i64>,
    /// What has been returned, in minor units.
    pub refunded: i64,
    /// When its first event happened.
    pub started: Timestamp,
    /// When its last event happened.
    pub updated: Timestamp,
    /// The trace that began it.
    pub trace: Option<Uuid>,
    /// How far each stream has been seen.
    pub seen: Seen,
    /// The last answer in each stream.
    pub answers: [u8; 3],
    /// The entries of each stream.
    pub timelines: [Vec<u8>; 3],
}
