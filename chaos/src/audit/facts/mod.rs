//! What the events alone say, and which lines of the history belong to what. Written from the events' documentation.
//!
//! Nothing is judged here: a second capture is a second entry of a list, an event that cannot be read is noted. Judging is
//! the business of one file for each promise.

mod catalog;
mod committed;
mod history;
mod inventory;
mod orders;
mod payments;

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;
use viscount_contracts::{Event as Contract, Topic, events::common::v1::Money};

pub use self::{
    catalog::Product,
    committed::Committed,
    history::{Answer, History, body, shown, version},
    inventory::{Move, Reservation},
    orders::{Order, RefundState, Step, waits},
    payments::Payment,
};
use super::dataset::{Dataset, Event};

/// Everything that can be known from events and history.
#[derive(Debug, Default)]
pub struct Facts<'a> {
    /// Events by service and stream, as places in the data set; in the order of the log.
    streams: HashMap<(Topic, Uuid), Vec<usize>>,
    /// Orders by id.
    pub orders: HashMap<Uuid, Order>,
    /// Payments by order.
    pub payments: HashMap<Uuid, Payment>,
    /// Reservations by id; an order's has the order's id.
    pub reservations: HashMap<Uuid, Reservation>,
    /// Every change of stock that events tell of, in the order of the log.
    pub moves: Vec<Move>,
    /// What inventory told last of each product: pieces that can be sold, and the event's version.
    pub told: HashMap<Uuid, (i64, i32)>,
    /// Products by id.
    pub products: HashMap<Uuid, Product>,
    /// Events that are not what their type promises: places in the data set, and what is wrong.
    pub unreadable: Vec<(usize, String)>,
    /// What the clients did.
    pub history: History<'a>,
    /// What they knew to be committed.
    pub committed: Committed,
}

impl<'a> Facts<'a> {
    /// All that `data` says.
    pub fn of(data: &'a Dataset) -> Self {
        let mut facts = Self { history: History::of(data), ..Self::default() };
        let mut places: Vec<usize> = (0..data.events.len()).collect();
        places.sort_by_key(|at| (data.events[*at].service, data.events[*at].position));
        for at in places {
            let event = &data.events[at];
            facts.streams.entry((event.service, event.stream)).or_default().push(at);
            if let Err(problem) = facts.take(at, event) {
                facts.unreadable.push((at, problem));
            }
        }
        facts.committed = Committed::of(&facts.history, &facts.orders);
        facts
    }

    fn take(&mut self, at: usize, event: &Event) -> Result<(), String> {
        match event.service {
            Topic::Orders => self.orders.entry(event.stream).or_default().take(at, event),
            Topic::Payments => self.payments.entry(event.stream).or_default().take(at, event),
            Topic::Inventory => self.take_inventory(at, event),
            Topic::Catalog => self.products.entry(event.stream).or_default().take(event),
            Topic::Identity | Topic::Coordination => Ok(()),
        }
    }

    /// The events of a stream, as places in the data set, in the order of the log.
    pub fn stream(&self, service: Topic, stream: Uuid) -> impl Iterator<Item = usize> + '_ {
        self.streams.get(&(service, stream)).into_iter().flatten().copied()
    }

    /// All streams.
    pub fn streams(&self) -> impl Iterator<Item = (Topic, Uuid, &[usize])> {
        self.streams.iter().map(|((service, stream), events)| (*service, *stream, events.as_slice()))
    }

    /// True for what is known to be something else than an order: a product, a user, an instance.
    pub fn is_no_order(&self, id: Uuid) -> bool {
        [Topic::Catalog, Topic::Identity, Topic::Coordination]
            .into_iter()
            .any(|service| self.streams.contains_key(&(service, id)))
    }

    /// The numbers of the lines of the history that are about an order.
    pub fn lines_about(&self, order: Uuid) -> impl Iterator<Item = u64> + '_ {
        self.history.about.get(&order).into_iter().flatten().copied()
    }
}

/// The message of an event.
fn read<E: Contract>(event: &Event) -> Result<E, String> {
    E::decode(&event.data[..]).map_err(|problem| problem.to_string())
}

/// An id in a message.
fn id(text: &str) -> Result<Uuid, String> {
    text.parse().map_err(|problem| format!("{text:?} is no id: {problem}"))
}

/// An amount in a message.
fn money(money: Option<Money>) -> Result<(i64, String), String> {
    money.map(|money| (money.amount, money.currency)).ok_or_else(|| "an amount is missing".to_owned())
}

/// Pieces by product; lines with one product are added up.
fn pieces<'l>(lines: impl IntoIterator<Item = (&'l str, u32)>) -> Result<BTreeMap<Uuid, i64>, String> {
    let mut pieces = BTreeMap::new();
    for (product, quantity) in lines {
        *pieces.entry(id(product)?).or_default() += i64::from(quantity);
    }
    Ok(pieces)
}
