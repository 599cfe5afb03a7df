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
    let one = latest(&|lot| lot.left >= wanted && lot.price == price)
        .or_else(|| latest(&|lot| lot.left >= wanted));
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
pub mod tests {
    #![allow(clippy::unwrap_used, missing_docs)]
    use proptest::prelude::*;

    use super::*;

    pub fn line(code: &str, quantity: i64, price: &str) -> Line {
        Line { code: code.to_owned(), quantity, price: Amount::parse(price).unwrap() }
    }

    pub fn invoice(number: &str, customer: &str, lines: Vec<Line>) -> Invoice {
        let customer = (!customer.is_empty()).then(|| customer.to_owned());
        Invoice { number: number.to_owned(), customer, at: None, lines }
    }

    pub fn offers() -> HashMap<String, Offer> {
        let on_sale = ["A1", "B2", "C3", "POST"].into_iter().enumerate();
        on_sale.map(|(product, code)| (code.to_owned(), Offer::OnSale(product))).collect()
    }

    fn goods(list: &[(Product, i64)]) -> BTreeMap<Product, i64> {
        list.iter().copied().collect()
    }

    #[test]
    fn an_invoice_is_an_order_and_what_reverses_it_a_reversal() {
        let invoices = [
            invoice("1", "ann", vec![line("A1", 2, "1"), line("B2", 1, "2"), line("A1", 3, "1.5")]),
            invoice("C2", "ann", vec![line("A1", -1, "1"), line("B2", -1, "2")]),
            invoice("C3", "bob", vec![line("A1", -1, "1")]),
            invoice("C4", "ann", vec![line("A1", -9, "1")]),
        ];
        let plan = plan(&invoices, &offers());
        assert_eq!(plan.steps, [Step::Order(0), Step::Reversal(0), Step::Reversal(1)]);
        assert_eq!(plan.orders, [Order { invoice: 0, goods: goods(&[(0, 5), (1, 1)]) }]);
        let part = |product, pieces| Part { back: 0, order: 0, product, pieces };
        assert_eq!(plan.reversals[0].backs, [Back { order: 0, goods: goods(&[(0, 1), (1, 1)]), whole: false }]);
        assert_eq!(plan.fates[1][0], Fate::Returned { parts: vec![part(0, 1)], unbought: 0 });
        assert_eq!(plan.fates[2], [Fate::Returned { parts: vec![], unbought: 1 }]);
        let Fate::Returned { parts, unbought } = &plan.fates[3][0] else { panic!() };
        assert_eq!((parts.iter().map(|part| part.pieces).sum::<i64>(), *unbought), (4, 5));
    }

    #[test]
    fn the_latest_purchase_at_the_same_price_is_taken_back() {
        let invoices = [
            invoice("1", "ann", vec![line("A1", 5, "1")]),
            invoice("2", "ann", vec![line("A1", 5, "2")]),
            invoice("3", "ann", vec![line("A1", 2, "1")]),
            invoice("C4", "ann", vec![line("A1", -3, "1")]),
            invoice("C5", "ann", vec![line("A1", -4, "9")]),
        ];
        let plan = plan(&invoices, &offers());
        assert_eq!(plan.reversals[0].backs[0].order, 0, "the third has too few, the second another price");
        assert_eq!(plan.reversals[1].backs[0].order, 1, "no such price: the latest with enough");
    }

    #[test]
    fn taking_back_all_of_an_untouched_order_is_a_cancellation() {
        let sold = || invoice("1", "ann", vec![line("A1", 2, "1"), line("B2", 1, "2")]);
        let back = |number: &str, lines| invoice(number, "ann", lines);
        let whole = plan(&[sold(), back("C2", vec![line("B2", -1, "2"), line("A1", -2, "1")])], &offers());
        assert!(whole.reversals[0].backs[0].whole);
        let twice =
            plan(&[sold(), back("C2", vec![line("B2", -1, "2")]), back("C3", vec![line("A1", -2, "1")])], &offers());
        assert!(!twice.reversals[0].backs[0].whole && !twice.reversals[1].backs[0].whole);
    }

    #[test]
    fn lines_that_are_not_replayed_keep_their_reason() {
        let mut offers = offers();
        offers.insert("D4".to_owned(), Offer::OtherCurrency);
        let sale = |code: &str, quantity, price: &str, expected| {
            let planned = plan(&[invoice("1", "ann", vec![line(code, quantity, price)])], &offers);
            assert_eq!(planned.fates[0], [Fate::Unused(expected)], "{code} {quantity} {price}");
            assert!(planned.steps.is_empty());
        };
        sale("A1", 0, "1", Reason::WriteOff);
        sale("A1", -4, "0", Reason::WriteOff);
        sale("A1", 1, "0", Reason::Free);
        sale("B", 1, "-11062.06", Reason::NegativePrice);
        sale("", 1, "1", Reason::NoCode);
        sale("D", 1, "1", Reason::NotGoods);
        sale("X9", 1, "1", Reason::NotInCatalogue);
        sale("D4", 1, "1", Reason::OtherCurrency);
        sale("A1", 1_000_001, "1", Reason::TooMany);
        let back = |customer: &str, quantity, expected| {
            let planned = plan(&[invoice("C1", customer, vec![line("A1", quantity, "1")])], &offers);
            assert_eq!(planned.fates[0], [Fate::Unused(expected)]);
        };
        back("", -1, Reason::ReturnNobody);
        back("ann", 1, Reason::OutOnReversal);
    }

    #[test]
    fn an_invoice_beyond_the_contracts_limits_becomes_several_orders() {
        let offers: HashMap<_, _> =
            (0..2_000).map(|product| (product.to_string(), Offer::OnSale(product))).collect();
        let lines = (0..2_000).map(|product| line(&product.to_string(), 1, "1")).collect();
        let large = plan(&[invoice("1", "ann", lines)], &offers);
        let sizes: Vec<_> = large.orders.iter().map(|order| order.goods.len()).collect();
        assert_eq!(sizes, [800, 800, 400]);
        let many = plan(&[invoice("1", "ann", vec![line("7", 900_000, "1"), line("7", 200_000, "1")])], &offers);
        assert_eq!(many.orders.len(), 2);
    }

    prop_compose! {
        pub fn any_invoices()(
            list in proptest::collection::vec(
                (any::<bool>(), 0usize..3, proptest::collection::vec((0usize..5, -1i64..7, 0usize..4), 1..6)), 0..25)
        ) -> Vec<Invoice> {
            let mut invoices = Vec::new();
            for (number, (reversal, customer, lines)) in list.into_iter().enumerate() {
                let lines = lines.into_iter().map(|(code, pieces, price)| {
                    let pieces = if reversal { -pieces } else { pieces };
                    line(["A1", "B2", "C3", "POST", "X9"][code], pieces, ["0", "1", "2.55", "-1"][price])
                });
                let name = format!("{}{number}", if reversal { "C" } else { "" });
                invoices.push(invoice(&name, ["", "ann", "bob"][customer], lines.collect()));
            }
            invoices
        }
    }

    proptest! {
        #[test]
        fn nothing_comes_back_that_was_not_bought_and_no_line_is_forgotten(invoices in any_invoices()) {
            let plan = plan(&invoices, &offers());
            let mut left: Vec<_> = plan.orders.iter().map(|order| order.goods.clone()).collect();
            for reversal in &plan.reversals {
                for back in &reversal.backs {
                    prop_assert_eq!(back.whole, left[back.order] == back.goods && back.goods == plan.orders[back.order].goods);
                    let seller = &invoices[plan.orders[back.order].invoice];
                    prop_assert_eq!(&seller.customer, &invoices[reversal.invoice].customer);
                    prop_assert!(plan.orders[back.order].invoice < reversal.invoice);
                    for (product, pieces) in &back.goods {
                        let left = left[back.order].get_mut(product).unwrap();
                        prop_assert!(*pieces > 0 && *left >= *pieces);
                        *left -= pieces;
                    }
                }
            }
            for (invoice, fates) in invoices.iter().zip(&plan.fates) {
                prop_assert_eq!(invoice.lines.len(), fates.len());
                for (line, fate) in invoice.lines.iter().zip(fates) {
                    if let Fate::Returned { parts, unbought } = fate {
                        let taken: i64 = parts.iter().map(|part| part.pieces).sum();
                        prop_assert_eq!(taken + unbought, -line.quantity);
                    }
                }
            }
            let sold: i64 = plan.orders.iter().flat_map(|order| order.goods.values()).sum();
            let ordered: i64 = invoices.iter().zip(&plan.fates).flat_map(|(invoice, fates)| invoice.lines.iter().zip(fates))
                .filter(|(_, fate)| matches!(fate, Fate::Ordered { .. })).map(|(line, _)| line.quantity).sum();
            prop_assert_eq!(sold, ordered);
        }
    }
}
