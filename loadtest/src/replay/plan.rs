//! What is to be done for each invoice. Pure: from the file and the catalogue's skus, before the first request.
//!
//! - An invoice becomes an order of its customer: its lines, those of one product added up. An order has a largest size,
//!   an invoice has none: a very large one becomes several.
//! - An invoice that begins with C takes back lines that were sold before: the latest purchase of the same customer and
//!   stock code that has so many pieces left, at the same price if there is one; else pieces of several. Where it takes
//!   back all of an untouched order, that order is cancelled, or refunded when it is too late for that.
//! - A line that cannot be replayed keeps its reason.

use std::collections::{BTreeMap, HashMap};

use super::{
    amount::Amount,
    file::{Invoice, Line},
    reason::Reason,
};

/// The most products of an order: the contract allows a thousand lines, and a request of 64 KiB.
const MOST_LINES: usize = 800;
/// The most pieces of a line.
const MOST_PIECES: i64 = 1_000_000;

/// A product, by its place in the catalogue that was looked at.
pub type Product = usize;

/// What is known of a stock code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It is on sale.
    OnSale(Product),
    /// It is on sale in another currency than most.
    OtherCurrency,
}

/// The plan.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// In the order of the file.
    pub steps: Vec<Step>,
    /// Orders to be placed.
    pub orders: Vec<Order>,
    /// Invoices that take back.
    pub reversals: Vec<Reversal>,
    /// What each line came to, invoice by invoice.
    pub fates: Vec<Vec<Fate>>,
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Place an order.
    Order(usize),
    /// Take back.
    Reversal(usize),
}

/// An order to be placed.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Whose invoice.
    pub invoice: usize,
    /// Pieces of each product.
    pub goods: BTreeMap<Product, i64>,
}

/// An invoice that takes back.
#[derive(Debug, Clone, PartialEq)]
pub struct Reversal {
    /// Which invoice.
    pub invoice: usize,
    /// What it takes back of which order.
    pub backs: Vec<Back>,
}

/// What is taken back of one order.
#[derive(Debug, Clone, PartialEq)]
pub struct Back {
    /// Which order.
    pub order: usize,
    /// Pieces of each product.
    pub goods: BTreeMap<Product, i64>,
    /// True when it is all of an order of which nothing was taken back before.
    pub whole: bool,
}

/// What a line came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It is part of an order.
    Ordered {
        /// Which.
        order: usize,
        /// As which product.
        product: Product,
    },
    /// It takes back.
    Returned {
        /// Pieces of which orders.
        parts: Vec<Part>,
        /// Pieces that were not bought.
        unbought: i64,
    },
    /// It is not replayed.
    Unused(Reason),
}

/// Pieces that one line takes back of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which back of the reversal.
    pub back: usize,
    /// Of which order.
    pub order: usize,
    /// Of what.
    pub product: Product,
    /// How many.
    pub pieces: i64,
}

/// Pieces that were bought and may come back.
struct Lot {
    order: usize,
    price: Amount,
    left: i64,
}

type Bought<'a> = HashMap<(&'a str, &'a str), Vec<Lot>>;

/// Plans everything.
pub fn plan(invoices: &[Invoice], offers: &HashMap<String, Offer>) -> Plan {
    let mut plan = Plan::default();
    let mut bought: Bought<'_> = HashMap::new();
    let mut left: Vec<BTreeMap<Product, i64>> = Vec::new();
    for (number, invoice) in invoices.iter().enumerate() {
        let fates = if invoice.is_reversal() {
            plan.take_back(number, invoice, offers, &mut bought, &mut left)
        } else {
            plan.sell(number, invoice, offers, &mut bought, &mut left)
        };
        plan.fates.push(fates);
    }
    plan
}

impl Plan {
    fn sell<'a>(
        &mut self,
        number: usize,
        invoice: &'a Invoice,
        offers: &HashMap<String, Offer>,
        bought: &mut Bought<'a>,
        left: &mut Vec<BTreeMap<Product, i64>>,
    ) -> Vec<Fate> {
        let first = self.orders.len();
        let mut fates = Vec::with_capacity(invoice.lines.len());
        for line in &invoice.lines {
            let product = match sellable(line, offers) {
                Ok(product) => product,
                Err(reason) => {
                    fates.push(Fate::Unused(reason));
                    continue;
                }
            };
            let fits = |order: &Order| match order.goods.get(&product) {
                Some(pieces) => pieces + line.quantity <= MOST_PIECES,
                None => order.goods.len() < MOST_LINES,
            };
            let at = self.orders[first..].iter().position(fits).map_or(self.orders.len(), |at| first + at);
            if at == self.orders.len() {
                self.steps.push(Step::Order(at));
                self.orders.push(Order { invoice: number, goods: BTreeMap::new() });
                left.push(BTreeMap::new());
            }
            for goods in [&mut self.orders[at].goods, &mut left[at]] {
                *goods.entry(product).or_default() += line.quantity;
            }
            if let Some(customer) = &invoice.customer {
                let lots = bought.entry((customer, &line.code)).or_default();
                lots.push(Lot { order: at, price: line.price, left: line.quantity });
            }
            fates.push(Fate::Ordered { order: at, product });
        }
        fates
    }

    fn take_back<'a>(
        &mut self,
        number: usize,
        invoice: &'a Invoice,
        offers: &HashMap<String, Offer>,
        bought: &mut Bought<'a>,
        left: &mut [BTreeMap<Product, i64>],
    ) -> Vec<Fate> {
        let mut backs: Vec<Back> = Vec::new();
        let mut fates = Vec::with_capacity(invoice.lines.len());
        for line in &invoice.lines {
            let product = match returnable(line, offers) {
                Ok(product) => product,
                Err(reason) => {
                    fates.push(Fate::Unused(reason));
                    continue;
                }
            };
            let Some(customer) = &invoice.customer else {
                fates.push(Fate::Unused(Reason::ReturnNobody));
                continue;
            };
            let wanted = -line.quantity;
            let lots = bought.get_mut(&(customer.as_str(), line.code.as_str()));
            let taken = lots.map(|lots| take(lots, wanted, line.price)).unwrap_or_default();
            let mut parts = Vec::with_capacity(taken.len());
            for (order, pieces) in taken {
                let back = backs.iter().position(|back| back.order == order).unwrap_or_else(|| {
                    let whole = left[order] == self.orders[order].goods;
                    backs.push(Back { order, goods: BTreeMap::new(), whole });
                    backs.len() - 1
                });
                *backs[back].goods.entry(product).or_default() += pieces;
                *left[order].entry(product).or_default() -= pieces;
                parts.push(Part { back, order, product, pieces });
            }
            let unbought = wanted - parts.iter().map(|part| part.pieces).sum::<i64>();
            fates.push(Fate::Returned { parts, unbought });
        }
        for back in &mut backs {
            back.whole &= back.goods == self.orders[back.order].goods;
        }
        if !backs.is_empty() {
            self.steps.push(Step::Reversal(self.reversals.len()));
            self.reversals.push(Reversal { invoice: number, backs });
        }
        fates
    }
}

/// The product that a line sells, or why it is not sold.
fn sellable(line: &Line, offers: &HashMap<String, Offer>) -> Result<Product, Reason> {
    if line.quantity <= 0 {
        return Err(Reason::WriteOff);
    }
    let product = priced(line, offers)?;
    if line.quantity > MOST_PIECES { Err(Reason::TooMany) } else { Ok(product) }
}

/// The product that a line takes back, or why it does not.
fn returnable(line: &Line, offers: &HashMap<String, Offer>) -> Result<Product, Reason> {
    if line.quantity >= 0 { Err(Reason::OutOnReversal) } else { priced(line, offers) }
}

fn priced(line: &Line, offers: &HashMap<String, Offer>) -> Result<Product, Reason> {
    match line.price.cmp(&Amount::ZERO) {
        std::cmp::Ordering::Less => return Err(Reason::NegativePrice),
        std::cmp::Ordering::Equal => return Err(Reason::Free),
        std::cmp::Ordering::Greater => {}
    }
    match offers.get(&line.code) {
        Some(Offer::OnSale(product)) => Ok(*product),
        Some(Offer::OtherCurrency) => Err(Reason::OtherCurrency),
        None if line.code.is_empty() => Err(Reason::NoCode),
        None if is_no_goods(&line.code) => Err(Reason::NotGoods),
        None => Err(Reason::NotInCatalogue),
    }
}

/// Codes such as POST, DOT, D, M, BANK CHARGES, C2 (carriage): goods have a number.
fn is_no_goods(code: &str) -> bool {
    code == "C2" || !code.bytes().any(|byte| byte.is_ascii_digit())
}

/// Takes pieces out of the lots; may come out at fewer than wanted.
fn take(lots: &mut Vec<Lot>, wanted: i64, price: Amount) -> Vec<(usize, i64)> {
    let latest = |which: &dyn Fn(&Lot) -> bool| lots.iter().rposition(which);
    let one =
        latest(&|lot| lot.left >= wanted && lot.price == price).or_else(|| latest(&|lot| lot.left >= wanted));
    let mut taken: Vec<(usize, i64)> = Vec::new();
    let mut missing = wanted;
    for at in one.map_or_else(|| (0..lots.len()).rev().collect(), |at| vec![at]) {
        let pieces = lots[at].left.min(missing);
        lots[at].left -= pieces;
        missing -= pieces;
        taken.push((lots[at].order, pieces));
        if missing == 0 {
            break;
        }
    }
    lots.retain(|lot| lot.left > 0);
    taken
}

#[cfg(test)]
pub mod tests;
