//! The file's books against the platform's, to the last piece and penny. Pure.
//!
//! The file says what each line should have come to. What it came to is read from the platform: the lines of its
//! orders, the money it took and gave back. Line by line the difference is put down to a [`Reason`]; the sum of all of
//! these must be the difference of the two books, which is computed from the payments, not from the lines. What is left
//! over is unexplained, and there must be nothing left over. Where the platform contradicts itself or what was asked of
//! it (an order that lacks a line, money taken twice), that is named whether the sums agree or not.

use std::{
    collections::BTreeMap,
    ops::{Add, AddAssign, Neg, Sub},
};

use super::{
    amount::Amount,
    file::{Invoice, Line},
    plan::{Fate, Part, Plan, Product},
    reason::Reason,
};
use crate::streams::Status;

/// Pieces and their money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Pieces.
    pub pieces: i64,
    /// Money.
    pub money: Amount,
}

/// One side's books. What goes out is positive, what comes back negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Books {
    /// Sold.
    pub sold: Sum,
    /// Taken back.
    pub returned: Sum,
}

/// What became of an order that was to be placed.
#[derive(Debug, Clone, PartialEq)]
pub enum Placed {
    /// There is none.
    Not(Reason),
    /// It was accepted, and this is what the platform says of it.
    Order(Box<Facts>),
}

/// What the platform says of an order and its payment.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Its id, for people.
    pub id: String,
    /// Where it stands.
    pub status: Status,
    /// Why it ended badly.
    pub reason: Option<String>,
    /// Its lines.
    pub lines: Vec<FactLine>,
    /// Its total.
    pub total: Amount,
    /// What the order says has come back.
    pub refunded: Amount,
    /// What the payment says was taken.
    pub captured: Amount,
    /// What the payment says was given back.
    pub paid_back: Amount,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct FactLine {
    /// What; nothing when it is none of ours.
    pub product: Option<Product>,
    /// Pieces.
    pub quantity: i64,
    /// The price of one.
    pub price: Amount,
    /// The price of all.
    pub total: Amount,
}

/// What became of what was to be taken back of one order.
#[derive(Debug, Clone, PartialEq)]
pub enum Returned {
    /// The whole order was cancelled.
    Cancelled,
    /// This was asked to be refunded, and accepted.
    Refunded(Amount),
    /// The order was not completed: there was nothing to give back.
    Unsold,
    /// The refund was not accepted.
    Refused(String),
    /// The replay ended before.
    NotReplayed,
}

/// All lines with one reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// In words.
    pub reason: String,
    /// Lines concerned.
    pub lines: u64,
    /// File less platform.
    pub difference: Sum,
    /// Whether it must not be.
    pub failure: bool,
}

/// How the two books compare.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconciliation {
    /// Lines that were compared.
    pub lines: u64,
    /// Those that agree to the penny.
    pub agreeing: u64,
    /// The file's books.
    pub file: Books,
    /// The platform's books.
    pub platform: Books,
    /// What explains the difference, the largest first.
    pub classes: Vec<Class>,
    /// What does not.
    pub unexplained: Sum,
    /// Where the platform contradicts itself or what was asked of it.
    pub contradictions: Vec<String>,
}

impl Reconciliation {
    /// True when everything is explained, and nothing happened that must not.
    pub fn is_clean(&self) -> bool {
        self.unexplained == Sum::default()
            && self.contradictions.is_empty()
            && !self.classes.iter().any(|class| class.failure)
    }
}

/// Compares. `placed` is by order, `returned` by reversal and back; `received` says that goods were received for every piece.
pub fn reconcile(
    invoices: &[Invoice],
    plan: &Plan,
    placed: &[Placed],
    returned: &[Vec<Returned>],
    received: bool,
) -> Reconciliation {
    let mut ledger = Ledger::default();
    let judge = Judge { plan, placed, returned, called_off: called_off(plan, placed.len(), returned) };
    let mut reversals = plan.reversals.iter().enumerate().peekable();
    for (number, (invoice, fates)) in invoices.iter().zip(&plan.fates).enumerate() {
        let reversal = reversals.next_if(|(_, reversal)| reversal.invoice == number).map(|(at, _)| at);
        for (line, fate) in invoice.lines.iter().zip(fates) {
            let mut differences = Differences::default();
            judge.line(line, fate, reversal, &mut differences);
            ledger.enter(line, differences);
        }
    }
    let platform = judge.books();
    let difference = ledger.file.net() - platform.net();
    let explained = ledger.classes.values().fold(Sum::default(), |sum, (_, difference)| sum + *difference);
    let mut classes: Vec<Class> = ledger
        .classes
        .into_iter()
        .map(|(reason, (lines, difference))| Class {
            reason: reason.to_string(),
            lines,
            difference,
            failure: reason.is_failure(received),
        })
        .collect();
    classes.sort_by_key(|class| std::cmp::Reverse(class.lines));
    Reconciliation {
        lines: ledger.lines,
        agreeing: ledger.agreeing,
        file: ledger.file,
        platform,
        classes,
        unexplained: difference - explained,
        contradictions: judge.contradictions(),
    }
}

/// Money that was asked back of each order, and accepted.
pub fn asked_back(plan: &Plan, returned: &[Vec<Returned>]) -> Vec<Amount> {
    let mut asked = vec![Amount::ZERO; plan.orders.len()];
    for (reversal, outcomes) in plan.reversals.iter().zip(returned) {
        for (back, outcome) in reversal.backs.iter().zip(outcomes) {
            if let Returned::Refunded(amount) = outcome {
                asked[back.order] += *amount;
            }
        }
    }
    asked
}

/// Which orders were cancelled by a reversal.
fn called_off(plan: &Plan, orders: usize, returned: &[Vec<Returned>]) -> Vec<bool> {
    let mut called_off = vec![false; orders];
    for (reversal, outcomes) in plan.reversals.iter().zip(returned) {
        for (back, outcome) in reversal.backs.iter().zip(outcomes) {
            called_off[back.order] |= *outcome == Returned::Cancelled;
        }
    }
    called_off
}

type Differences = Vec<(Reason, Sum)>;

#[derive(Default)]
struct Ledger {
    lines: u64,
    agreeing: u64,
    file: Books,
    classes: BTreeMap<Reason, (u64, Sum)>,
}

impl Ledger {
    fn enter(&mut self, line: &Line, mut differences: Differences) {
        let whole = Sum::of(line.quantity, line.price);
        if line.quantity < 0 {
            self.file.returned += whole;
        } else {
            self.file.sold += whole;
        }
        differences.retain(|(_, difference)| *difference != Sum::default());
        self.lines += 1;
        self.agreeing += u64::from(differences.is_empty());
        differences.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut last = None;
        for (reason, difference) in differences {
            let again = last.as_ref() == Some(&reason);
            let class = self.classes.entry(reason.clone()).or_default();
            class.0 += u64::from(!again);
            class.1 += difference;
            last = Some(reason);
        }
    }
}

struct Judge<'a> {
    plan: &'a Plan,
    placed: &'a [Placed],
    returned: &'a [Vec<Returned>],
    called_off: Vec<bool>,
}

impl Judge<'_> {
    /// Puts down what is different about a line.
    fn line(&self, line: &Line, fate: &Fate, reversal: Option<usize>, differences: &mut Differences) {
        let whole = Sum::of(line.quantity, line.price);
        match fate {
            Fate::Unused(reason) => differences.push((reason.clone(), whole)),
            Fate::Ordered { order, product } => match self.unsold(*order) {
                Some(reason) => differences.push((reason, whole)),
                None => {
                    let here = self.price(*order, *product).times(line.quantity);
                    differences.push((Reason::SalePrice, Sum { pieces: 0, money: whole.money - here }));
                }
            },
            Fate::Returned { parts, unbought } => {
                differences.push((Reason::ReturnUnbought, -Sum::of(*unbought, line.price)));
                for part in parts {
                    self.part(line, part, reversal, differences);
                }
            }
        }
    }

    fn part(&self, line: &Line, part: &Part, reversal: Option<usize>, differences: &mut Differences) {
        let whole = -Sum::of(part.pieces, line.price);
        let outcome = reversal.and_then(|reversal| self.returned.get(reversal)?.get(part.back));
        let reason = match outcome {
            Some(Returned::Refunded(_)) => {
                let here = -self.price(part.order, part.product).times(part.pieces);
                differences.push((Reason::ReturnPrice, Sum { pieces: 0, money: whole.money - here }));
                differences.push((Reason::PiecesStay, Sum { pieces: whole.pieces, money: Amount::ZERO }));
                return;
            }
            Some(Returned::Cancelled) => Reason::CalledOff,
            Some(Returned::Unsold) => Reason::ReturnUnsold,
            Some(Returned::Refused(why)) => Reason::RefundRefused(why.clone()),
            Some(Returned::NotReplayed) | None => Reason::NotReplayed,
        };
        differences.push((reason, whole));
    }

    /// Why nothing of an order was sold; `None` when it was.
    fn unsold(&self, order: usize) -> Option<Reason> {
        let facts = match self.placed.get(order) {
            None => return Some(Reason::NotReplayed),
            Some(Placed::Not(reason)) => return Some(reason.clone()),
            Some(Placed::Order(facts)) => facts,
        };
        let why = || facts.reason.clone().unwrap_or_else(|| "without a reason".to_owned());
        match facts.status {
            Status::Completed | Status::PartiallyRefunded | Status::Refunded => None,
            Status::Rejected => Some(Reason::Rejected(why())),
            Status::Cancelled if self.called_off[order] => Some(Reason::CalledOff),
            Status::Cancelled => Some(Reason::Cancelled(why())),
            Status::Created | Status::Validated | Status::Paid => Some(Reason::Unfinished),
        }
    }

    /// What a piece cost here.
    fn price(&self, order: usize, product: Product) -> Amount {
        let Some(Placed::Order(facts)) = self.placed.get(order) else { return Amount::ZERO };
        let line = facts.lines.iter().find(|line| line.product == Some(product));
        line.map_or(Amount::ZERO, |line| line.price)
    }

    /// The platform's books: pieces of the orders that stand, money as the payments have it.
    fn books(&self) -> Books {
        let mut books = Books::default();
        for (order, placed) in self.placed.iter().enumerate() {
            let Placed::Order(facts) = placed else { continue };
            if self.unsold(order).is_none() {
                books.sold.pieces += facts.lines.iter().map(|line| line.quantity).sum::<i64>();
            }
            books.sold.money += facts.captured;
            books.returned.money += -facts.paid_back;
        }
        books
    }

    fn contradictions(&self) -> Vec<String> {
        let asked = asked_back(self.plan, self.returned);
        let mut found = Vec::new();
        for ((planned, placed), asked) in self.plan.orders.iter().zip(self.placed).zip(asked) {
            if let Placed::Order(facts) = placed {
                found.extend(
                    facts.contradictions(&planned.goods, asked).map(|what| format!("{}: {what}", facts.id)),
                );
            }
        }
        found
    }
}

impl Facts {
    /// Where an order contradicts itself, its payment, or what was asked for.
    fn contradictions(
        &self,
        goods: &BTreeMap<Product, i64>,
        asked_back: Amount,
    ) -> impl Iterator<Item = String> {
        let mut has: BTreeMap<Option<Product>, i64> = BTreeMap::new();
        for line in &self.lines {
            *has.entry(line.product).or_default() += line.quantity;
        }
        let ordered = goods.iter().map(|(product, pieces)| (Some(*product), *pieces)).collect();
        let sum: Amount = self.lines.iter().map(|line| line.total).sum();
        let stands = matches!(self.status, Status::Completed | Status::PartiallyRefunded | Status::Refunded);
        let (taken, back) = if stands { (self.total, asked_back) } else { (self.captured, self.captured) };
        let checks = [
            (has != ordered, "its lines are not those that were ordered".to_owned()),
            (
                self.lines.iter().any(|line| line.price.times(line.quantity) != line.total),
                "a line's total is not its price times its pieces".to_owned(),
            ),
            (sum != self.total, format!("its lines come to {sum}, its total is {}", self.total)),
            (self.captured != taken, format!("{} were taken for an order of {taken}", self.captured)),
            (
                self.paid_back != back,
                format!("{} were given back where {back} should have been", self.paid_back),
            ),
            (
                self.refunded != self.paid_back,
                format!("the order says {} came back, its payment {}", self.refunded, self.paid_back),
            ),
            (!self.status.is_final(), "it did not become final".to_owned()),
        ];
        checks.into_iter().filter_map(|(wrong, what)| wrong.then_some(what))
    }
}

impl Books {
    /// What is left: sold less taken back.
    pub fn net(&self) -> Sum {
        self.sold + self.returned
    }
}

impl Sum {
    fn of(pieces: i64, price: Amount) -> Self {
        Self { pieces, money: price.times(pieces) }
    }
}

impl Add for Sum {
    type Output = Sum;
    fn add(self, other: Sum) -> Sum {
        Sum { pieces: self.pieces + other.pieces, money: self.money + other.money }
    }
}

impl Sub for Sum {
    type Output = Sum;
    fn sub(self, other: Sum) -> Sum {
        self + -other
    }
}

impl Neg for Sum {
    type Output = Sum;
    fn neg(self) -> Sum {
        Sum { pieces: -self.pieces, money: -self.money }
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        *self = *self + other;
    }
}

#[cfg(test)]
mod tests;
