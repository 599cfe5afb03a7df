//! The tables of orders: their rows, the promised looks of the deadlines, the answers under keys.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use viscount_contracts::{OrderId, UserId};
use viscount_orders::domain::{Order, Status};

use crate::{defect::Defect, shared::time, store::Tables};

/// How long an order waits for inventory.
pub const STOCK_DEADLINE: SignedDuration = SignedDuration::from_mins(15);
/// How long it waits for payments.
pub const PAYMENT_DEADLINE: SignedDuration = SignedDuration::from_mins(30);
/// How soon the deadlines look at an order for the first time.
const FIRST_LOOK: SignedDuration = SignedDuration::from_secs(20);

/// Whose key, and which.
pub type Claim = (UserId, u32);

/// What a client is told of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Which.
    pub order: OrderId,
    /// Where it stands.
    pub status: Status,
    /// Its version.
    pub version: i32,
    /// Money that is back, in minor units.
    pub refunded: i64,
}

impl Body {
    /// This order, as it is.
    pub fn of(order: &Order) -> Self {
        let refunded = order.refunded().amount();
        Self { order: order.id, status: order.status, version: order.version, refunded }
    }
}

/// What a commit of an order changes.
#[derive(Debug, Clone)]
pub struct Change {
    /// The order afterwards.
    pub after: Order,
    /// How long from now to look whether it still waits.
    pub look_after: Option<SignedDuration>,
    /// The time by the database's clock, which is the true one, in milliseconds.
    pub at: i64,
    /// The answer to keep under a key.
    pub answer: Option<(Claim, Body)>,
}

/// One row of the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Where it stands.
    pub status: Status,
    /// Its version.
    pub version: i32,
    /// When it last changed, by the clock of who changed it.
    pub updated_at: Timestamp,
    /// Since when it stands there, by the database's clock.
    pub since: i64,
}

impl Row {
    /// How many milliseconds too early it would be to say that it has waited long enough.
    pub fn early(&self, now: i64) -> i64 {
        let deadline = match self.status {
            Status::Created => STOCK_DEADLINE,
            Status::Validated => PAYMENT_DEADLINE,
            _ => SignedDuration::ZERO,
        };
        self.since + deadline.as_millis() as i64 - now
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct OrderTables {
    /// Orders.
    pub rows: BTreeMap<OrderId, Row>,
    /// Promised looks.
    pub looks: BTreeSet<(Timestamp, OrderId)>,
    /// Answers under keys.
    pub answers: BTreeMap<Claim, Body>,
}

/// How long from now the deadlines have to look at an order that is committed.
pub fn look_after(order: &Order) -> Option<SignedDuration> {
    match order.status {
        Status::Created => Some(FIRST_LOOK.min(STOCK_DEADLINE)),
        Status::Validated => Some(PAYMENT_DEADLINE).filter(|payment| *payment < STOCK_DEADLINE),
        _ => None,
    }
}

impl Tables for OrderTables {
    type Change = Change;

    fn fits(&self, change: &Change, _: Option<Defect>) -> bool {
        change.answer.as_ref().is_none_or(|(claim, _)| !self.answers.contains_key(claim))
    }

    fn apply(&mut self, change: &Change) {
        let Order { id, status, version, updated_at, .. } = change.after;
        let new = Row { status, version, updated_at, since: change.at };
        let row = self.rows.entry(id).or_insert(new);
        if row.version < version {
            let since = if row.status == status { row.since } else { change.at };
            *row = Row { since, ..new };
        }
        self.looks.extend(change.look_after.map(|after| (time(change.at) + after, id)));
        if let Some((claim, body)) = &change.answer {
            self.answers.insert(*claim, body.clone());
        }
    }

    fn flaw(&self, _: &Change) -> Option<String> {
        None
    }
}

impl OrderTables {
    /// Keeps the promised looks that are due: orders that have waited long enough, with what they wait as. The others are
    /// put off until they will have, or forgotten when they wait no more.
    /// `None` when no look is due.
    pub fn due(&mut self, now: Timestamp, most: usize) -> Option<Vec<(OrderId, Status)>> {
        let looked: Vec<_> = self.looks.iter().take_while(|(at, _)| *at <= now).take(most).copied().collect();
        if looked.is_empty() {
            return None;
        }
        let mut overdue = Vec::new();
        for (at, id) in looked {
            let due = self.rows.get(&id).and_then(|row| match row.status {
                Status::Created => Some((time(row.since) + STOCK_DEADLINE, row.status)),
                Status::Validated => Some((time(row.since) + PAYMENT_DEADLINE, row.status)),
                Status::Paid => Some((now + SignedDuration::from_hours(1), row.status)),
                _ => None,
            });
            match due {
                Some((due, status)) if due <= now => overdue.push((id, status)),
                Some((due, _)) => {
                    self.looks.remove(&(at, id));
                    self.looks.insert((due, id));
                }
                None => {
                    self.looks.remove(&(at, id));
                }
            }
        }
        Some(overdue)
    }
}
