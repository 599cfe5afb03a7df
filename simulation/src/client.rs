//! Buyers: they place, repeat with the same key, cancel, ask for money back, and may never hear the answer. What they
//! were told is kept, and compared with whatever they are told later.

use viscount_contracts::{Currency, Money, OrderId, ProductId, Quantity, RefundId, UserId};
use viscount_inventory::domain::{Adjustment, Kind as Movement, Location};
use viscount_orders::domain::{CancelledBy, Command, Draft, Offer, PaymentMeans, Status, price};

use crate::{
    inventory::{Inventory, Work as StockWork},
    node::{Ended, Node, Origin, Outcome},
    orders::{Body, Claim, Orders, Work},
    provider::DECLINED,
    shared::{IdKind, Shared, id, number},
};

/// Products that are sold.
pub const PRODUCTS: u64 = 3;
/// What buyers do in one episode at the most.
const MOST: usize = 16;
/// Of that, what is left for those who want money back: they come last.
const REFUNDS: usize = 6;

/// What is asked for.
#[derive(Debug, Clone)]
pub enum Wish {
    /// A new order.
    Place(Box<Draft>),
    /// Money back.
    Refund(OrderId, Option<i64>),
    /// An end to an order.
    Cancel(OrderId),
}

/// What a client knows of one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// It was done; this was the answer.
    Done(Body),
    /// It was refused.
    Refused,
}

/// One request, with all of its repetitions.
#[derive(Debug, Clone)]
pub struct Request {
    /// Under which key.
    pub claim: Claim,
    /// What.
    pub wish: Wish,
    /// What is known of it.
    pub heard: Heard,
}

/// All that buyers did and heard.
#[derive(Debug, Default)]
pub struct Clients {
    /// By number.
    pub requests: Vec<Request>,
}

fn product(number: usize) -> ProductId {
    ProductId::from(id(IdKind::Product, number as u64 % PRODUCTS + 1))
}

fn draft(customer: UserId, shared: &mut Shared) -> Option<Draft> {
    let lines = 1 + shared.choices.pick(2);
    let first = shared.choices.pick(PRODUCTS as usize);
    let quantity = Quantity::new(1 + shared.choices.pick(2) as i64).ok()?;
    let wanted: Vec<_> = (first..first + lines).map(|number| (product(number), quantity)).collect();
    let offers: Vec<Offer> = (0..PRODUCTS)
        .map(|at| Offer {
            sku: format!("sku-{at}"),
            name: format!("thing {at}"),
            price: Money::new(100 * (at as i64 + 1), Currency::GBP),
            on_sale: true,
        })
        .collect();
    let (lines, total) = price(&wanted, |product| offers.get((number(product.uuid()) - 1) as usize)).ok()?;
    let token = if shared.choices.once_in(6) { DECLINED } else { "tok_visa" }.to_owned();
    Some(Draft {
        customer,
        lines,
        total,
        means: PaymentMeans { method: "card".to_owned(), token },
        address: None,
    })
}

/// Goods come in, or get lost.
pub fn deliver(inventory: &mut Node<Inventory>, shared: &mut Shared) -> bool {
    let product = product(shared.choices.pick(PRODUCTS as usize));
    let location = if shared.choices.once_in(3) { Location::new("annex").ok() } else { None };
    let location = location.unwrap_or_else(Location::main);
    let (delta, kind) =
        [(2, Movement::Receipt), (1, Movement::Receipt), (-1, Movement::Damage)][shared.choices.pick(3)];
    let at = shared.choices.pick(inventory.replicas.len());
    shared.note(|| format!("{delta} of product {} at {location}", number(product.uuid())));
    let adjustment = Adjustment { location, delta, kind, note: None };
    inventory.ask(at, Origin::Client(0), StockWork::Adjust(product, adjustment), None);
    true
}

impl Clients {
    /// Somebody does something.
    pub fn act(&mut self, orders: &mut Node<Orders>, shared: &mut Shared) -> bool {
        let known: Vec<(usize, OrderId)> = self
            .requests
            .iter()
            .enumerate()
            .filter_map(|(at, request)| match (&request.wish, &request.heard) {
                (Wish::Place(_), Heard::Done(body)) => Some((at, body.order)),
                _ => None,
            })
            .collect();
        let kind = shared.choices.pick(8);
        if kind < 5 && self.requests.len() >= MOST - REFUNDS {
            return false;
        }
        let request = match kind {
            7 if !self.requests.is_empty() => shared.choices.pick(self.requests.len()),
            3 | 4 if !known.is_empty() => {
                let (at, order) = known[shared.choices.pick(known.len())];
                self.add(self.requests[at].claim.0, Wish::Cancel(order))
            }
            5 | 6 if !known.is_empty() => {
                let rows = &orders.db.tables.rows;
                let is_completed = |id: &OrderId| {
                    rows.get(id).is_some_and(|row| {
                        matches!(row.status, Status::Completed | Status::PartiallyRefunded)
                    })
                };
                let completed: Vec<_> = known.iter().filter(|(_, order)| is_completed(order)).collect();
                // Mostly of what was delivered; but anybody may ask.
                if completed.is_empty() && !shared.choices.once_in(8) {
                    return false;
                }
                let (at, order) = match completed.is_empty() {
                    true => known[shared.choices.pick(known.len())],
                    false => *completed[shared.choices.pick(completed.len())],
                };
                let amount = [None, Some(50)][shared.choices.pick(2)];
                self.add(self.requests[at].claim.0, Wish::Refund(order, amount))
            }
            _ => {
                let customer = UserId::from(id(IdKind::User, 1 + shared.choices.pick(2) as u64));
                let Some(draft) = draft(customer, shared) else { return false };
                self.add(customer, Wish::Place(Box::new(draft)))
            }
        };
        if request >= MOST {
            self.requests.truncate(MOST);
            return false;
        }
        let at = shared.choices.pick(orders.replicas.len());
        self.send(request, at, orders, shared)
    }

    fn add(&mut self, customer: UserId, wish: Wish) -> usize {
        let claim = (customer, self.requests.len() as u32);
        self.requests.push(Request { claim, wish, heard: Heard::Nothing });
        self.requests.len() - 1
    }

    /// Sends a request, for the first time or again, to a replica.
    pub fn send(
        &mut self,
        at: usize,
        replica: usize,
        orders: &mut Node<Orders>,
        shared: &mut Shared,
    ) -> bool {
        let Request { claim, wish, .. } = self.requests[at].clone();
        let (order, command, claim) = match wish {
            Wish::Place(draft) => (None, Command::Create(draft), Some(claim)),
            Wish::Refund(order, amount) => {
                let refund = RefundId::from(shared.id(IdKind::Refund));
                let amount = amount.map(|amount| Money::new(amount, Currency::GBP));
                let reason = String::new();
                (Some(order), Command::RequestRefund { refund, amount, reason }, Some(claim))
            }
            Wish::Cancel(order) => {
                let (by, reason) = (CancelledBy::Customer, String::new());
                (Some(order), Command::Cancel { by, reason }, None)
            }
        };
        let order = order.unwrap_or_else(|| OrderId::from(shared.id(IdKind::Order)));
        let name = command.name();
        shared.note(|| format!("client: request {at}, {name} {}, to orders-{replica}", number(order.uuid())));
        let memory = &mut orders.replicas[replica].memory;
        if let Some(claim) = claim {
            if memory.known.contains(&claim)
                && let Some(body) = orders.db.tables.answers.get(&claim).cloned()
            {
                self.hear(at, Heard::Done(body), shared);
                return true;
            }
            if !memory.under_way.insert(claim) {
                return true;
            }
        }
        orders.ask(replica, Origin::Client(at), Work::new(order, command, claim), None);
        true
    }

    /// A request is over: the client is told, unless the answer gets lost.
    pub fn ended(&mut self, ended: Ended<Orders>, orders: &mut Node<Orders>, shared: &mut Shared) {
        let Origin::Client(at) = ended.origin else { return };
        let memory = &mut orders.replicas[ended.replica].memory;
        let stored = ended.work.claim.and_then(|claim| orders.db.tables.answers.get(&claim).cloned());
        if let Some(claim) = ended.work.claim {
            memory.under_way.remove(&claim);
            if stored.is_some() {
                memory.known.insert(claim);
            }
        }
        let heard = match (ended.outcome, stored) {
            (Outcome::Done(Some(body)), _) => Heard::Done(body),
            // Before a refusal is told: the answer to the first request with this key, if there was one.
            (Outcome::KeyTaken | Outcome::Refused(_), Some(body)) => Heard::Done(body),
            (Outcome::Refused(_), None) => Heard::Refused,
            _ => return,
        };
        if !shared.choices.once_in(5) {
            self.hear(at, heard, shared);
        }
    }

    /// A client hears something of a request.
    pub fn hear(&mut self, at: usize, heard: Heard, shared: &mut Shared) {
        let request = &mut self.requests[at];
        shared.note(|| format!("client: request {at} hears {heard:?}"));
        let keyed = !matches!(request.wish, Wish::Cancel(_));
        match (&request.heard, &heard) {
            (Heard::Done(before), Heard::Done(now)) if keyed && before != now => {
                shared.violate(format!("request {at} was answered {before:?}, and then {now:?}"));
            }
            (Heard::Done(_), Heard::Refused) if keyed => {
                shared.violate(format!("request {at} was done, and then refused"));
            }
            _ => request.heard = heard,
        }
    }
}
