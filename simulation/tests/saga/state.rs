//! The small world, small enough to be put into a set: an order is the list of what happened to it, and what a replica
//! has in memory of it is how much of that list it knows.

use std::hash::{DefaultHasher, Hash, Hasher};

use viscount_inventory::domain::{State as Held, Stock};

pub const ORDERS: usize = 2;
pub const REPLICAS: usize = 2;

/// What happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fact {
    Created,
    Validated,
    OutOfStock,
    Declined,
    Noted,
    Paid,
    Completed,
    CancelledByBuyer,
    CancelledByDeadline,
    RefundRequested,
    Refunded,
    RefundFailed,
}

/// What happened to a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Money {
    Processed,
    Failed,
    Voided,
    RefundPending,
    Refunded,
    RefundFailed,
}

/// What inventory told of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Told {
    Reserved,
    Rejected,
    Released,
    Deducted,
}

/// What makes a replica of orders decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// What inventory told, by number.
    Inventory(u8),
    /// What payments told, by number.
    Payments(u8),
    /// The buyer calls it off.
    Cancel,
    /// A deadline of the status after this many events.
    Expire(u8),
}

/// What a replica of orders has decided and not yet committed: on how many events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decided {
    pub order: usize,
    pub cause: Cause,
    pub on: u8,
}

/// What a replica of inventory is about to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reserving {
    /// It has put the piece aside.
    Holds(usize),
    /// There was none.
    Rejects(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The events of each order; place n is version n + 1.
    pub orders: [Vec<Fact>; ORDERS],
    pub money: [Vec<Money>; ORDERS],
    pub told: [Vec<Told>; ORDERS],
    /// What the inbox of each service has of each order's topic: that of orders from inventory and payments, that of
    /// inventory and of payments from orders.
    pub from_inventory: [u8; ORDERS],
    pub from_payments: [u8; ORDERS],
    pub by_inventory: [u8; ORDERS],
    pub by_payments: [u8; ORDERS],
    /// What each replica of orders knows of each order; 0 when it would have to read.
    pub known: [[u8; ORDERS]; REPLICAS],
    pub decided: [Option<Decided>; REPLICAS],
    /// In the house and held, in inventory's database.
    pub stock: (i64, i64),
    pub sold: i64,
    pub reservations: [Option<Held>; ORDERS],
    /// Each replica of inventory has the product in mind; `None` when it would have to read.
    pub shelves: [Option<Stock>; REPLICAS],
    pub reserving: [Option<Reserving>; REPLICAS],
    /// How often the provider has taken the money of each order, and returned it.
    pub charged: [u8; ORDERS],
    pub returned: [u8; ORDERS],
    /// The provider refuses the cards of these orders.
    pub bad_card: [bool; ORDERS],
    /// An event was written under a version that another one has.
    pub forked: bool,
    pub crashes: u8,
    pub repeats: u8,
    pub called_off: bool,
}

impl State {
    pub fn new(bad_card: [bool; ORDERS]) -> Self {
        Self {
            orders: [vec![Fact::Created], vec![Fact::Created]],
            money: Default::default(),
            told: Default::default(),
            from_inventory: [0; ORDERS],
            from_payments: [0; ORDERS],
            by_inventory: [0; ORDERS],
            by_payments: [0; ORDERS],
            known: [[0; ORDERS]; REPLICAS],
            decided: [None; REPLICAS],
            stock: (1, 0),
            sold: 0,
            reservations: [None; ORDERS],
            shelves: [None, None],
            reserving: [None; REPLICAS],
            charged: [0; ORDERS],
            returned: [0; ORDERS],
            bad_card,
            forked: false,
            crashes: 0,
            repeats: 0,
            called_off: false,
        }
    }

    /// Passes over messages that mean nothing to who gets them, and forgets which of two equal replicas is which: ways that
    /// differ in nothing else are one.
    pub fn settle(&mut self) {
        for at in 0..ORDERS {
            let orders = &self.orders[at];
            skip(&mut self.by_inventory[at], orders, |fact| {
                matches!(fact, Fact::Validated | Fact::Noted | Fact::Paid | Fact::RefundRequested)
                    || matches!(fact, Fact::Refunded | Fact::RefundFailed)
            });
            skip(&mut self.by_payments[at], orders, |fact| {
                let wanted = [
                    Fact::Validated,
                    Fact::CancelledByBuyer,
                    Fact::CancelledByDeadline,
                    Fact::RefundRequested,
                ];
                !wanted.contains(fact)
            });
            skip(&mut self.from_inventory[at], &self.told[at], |told| {
                matches!(told, Told::Released | Told::Deducted)
            });
            skip(&mut self.from_payments[at], &self.money[at], |money| {
                matches!(money, Money::Voided | Money::RefundPending)
            });
        }
        if hash(&(self.known[0], self.decided[0])) > hash(&(self.known[1], self.decided[1])) {
            self.known.swap(0, 1);
            self.decided.swap(0, 1);
        }
        if hash(&(&self.shelves[0], self.reserving[0])) > hash(&(&self.shelves[1], self.reserving[1])) {
            self.shelves.swap(0, 1);
            self.reserving.swap(0, 1);
        }
    }

    /// True while a message, a decision or a reservation is under way.
    pub fn has_work(&self) -> bool {
        let behind = |read: &u8, written: usize| usize::from(*read) < written;
        self.decided.iter().any(Option::is_some)
            || self.reserving.iter().any(Option::is_some)
            || (0..ORDERS).any(|at| {
                let events = self.orders[at].len();
                behind(&self.by_inventory[at], events)
                    || behind(&self.by_payments[at], events)
                    || behind(&self.from_inventory[at], self.told[at].len())
                    || behind(&self.from_payments[at], self.money[at].len())
            })
    }

    /// True while an order waits for inventory or payments.
    pub fn waits(&self, at: usize) -> bool {
        self.orders[at].iter().all(|fact| matches!(fact, Fact::Created | Fact::Validated | Fact::Noted))
    }
}

fn skip<T>(read: &mut u8, messages: &[T], means_nothing: impl Fn(&T) -> bool) {
    while messages.get(usize::from(*read)).is_some_and(&means_nothing) {
        *read += 1;
    }
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
