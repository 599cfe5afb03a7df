//! What the clients know of their orders, and which of their requests nobody has answered yet.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use crate::history::{Call, Outcome};

/// An order that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Whose, by its number.
    pub buyer: usize,
    /// The last status that was seen.
    pub status: Status,
    /// Money may be on its way back: it was cancelled, or a refund was asked for.
    pub money: bool,
}

/// Where an order stands, as the platform says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// `created`, `validated`, `paid`: something will still happen by itself.
    Open,
    /// `completed`
    Completed,
    /// `rejected`
    Rejected,
    /// `cancelled`
    Cancelled,
    /// `partially_refunded`, `refunded`
    Refunded,
}

impl Status {
    /// Of an order's or a message's body; `None` when it says none that there is.
    pub fn of(body: &Value) -> Option<Self> {
        Some(match body.get("status")?.as_str()? {
            "created" | "validated" | "paid" => Status::Open,
            "completed" => Status::Completed,
            "rejected" => Status::Rejected,
            "cancelled" => Status::Cancelled,
            "partially_refunded" | "refunded" => Status::Refunded,
            _ => return None,
        })
    }

    /// The name in figures.
    pub fn name(self) -> &'static str {
        match self {
            Status::Open => "open",
            Status::Completed => "completed",
            Status::Rejected => "rejected",
            Status::Cancelled => "cancelled",
            Status::Refunded => "refunded",
        }
    }

    /// True when nothing more will happen by itself, but for money on its way back.
    pub fn is_final(self) -> bool {
        self != Status::Open
    }

    /// True when the order was fulfilled, whatever became of its money later.
    pub fn was_completed(self) -> bool {
        matches!(self, Status::Completed | Status::Refunded)
    }
}

/// The order that an answer tells of.
pub fn order_of(body: &Value) -> Option<Uuid> {
    body.get("id")?.as_str()?.parse().ok()
}

/// A request that is asked until it is answered.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who asks, by its number.
    pub buyer: usize,
    /// What.
    pub call: Call,
    /// The same bytes each time.
    pub body: Bytes,
    /// Which door was asked first.
    pub door: usize,
}

/// Every order and every question.
#[derive(Debug, Default)]
pub struct Book {
    orders: HashMap<Uuid, Known>,
    open: BTreeMap<u64, Question>,
    asked: u64,
}

impl Book {
    /// A question begins to be asked; the number is for [`Book::answered`].
    pub fn asked(&mut self, question: Question) -> u64 {
        self.asked += 1;
        self.open.insert(self.asked, question);
        self.asked
    }

    /// It has its answer.
    pub fn answered(&mut self, question: u64) {
        self.open.remove(&question);
    }

    /// Questions without an answer, in the order in which they were asked.
    pub fn unanswered(&self) -> Vec<(u64, Question)> {
        self.open.iter().map(|(number, question)| (*number, question.clone())).collect()
    }

    /// An order was accepted; true when this is news.
    pub fn accepted(&mut self, order: Uuid, buyer: usize) -> bool {
        let known = Known { buyer, status: Status::Open, money: false };
        let news = !self.orders.contains_key(&order);
        self.orders.entry(order).or_insert(known);
        news
    }

    /// Money of an order may be on its way back.
    pub fn money_may_return(&mut self, order: Uuid) {
        if let Some(known) = self.orders.get_mut(&order) {
            known.money = true;
        }
    }

    /// An order was seen in this status; true when it was never seen completed before, and is now.
    pub fn seen(&mut self, order: Uuid, status: Status) -> bool {
        let Some(known) = self.orders.get_mut(&order) else { return false };
        let news = status.was_completed() && !known.status.was_completed();
        // Answers may overtake each other: nobody goes back.
        known.status = known.status.max(status);
        known.money |= matches!(status, Status::Cancelled | Status::Refunded);
        news
    }

    /// What is known of an order.
    pub fn order(&self, order: Uuid) -> Option<&Known> {
        self.orders.get(&order)
    }

    /// How many orders there are in each status.
    pub fn statuses(&self) -> BTreeMap<Status, u64> {
        let mut statuses = BTreeMap::new();
        for known in self.orders.values() {
            *statuses.entry(known.status).or_default() += 1;
        }
        statuses
    }

    /// Every order, in the order of their ids, which is about that of their acceptance.
    pub fn orders(&self) -> Vec<Uuid> {
        let mut orders: Vec<Uuid> = self.orders.keys().copied().collect();
        orders.sort_unstable();
        orders
    }
}

/// True when an outcome says what became of the request; otherwise a careful client asks again with the same key.
///
/// A refusal for the moment is none for good: too many requests, or one with this key under way, which may succeed.
pub fn is_answer(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Ok { .. } => true,
        Outcome::Unknown { .. } | Outcome::Refused { status: 408 | 425 | 429, .. } => false,
        Outcome::Refused { problem, .. } => problem != crate::history::KEY_IN_USE,
    }
}
