//! Books that agree, and books that do not.

#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::{
    super::plan::{
        plan,
        tests::{any_invoices, invoice, line, offers},
    },
    *,
};

/// The catalogue's prices.
const PRICES: [&str; 4] = ["1", "2.5", "0.99", "18"];

fn price(product: Product) -> Amount {
    Amount::parse(PRICES[product]).unwrap()
}

/// A platform that does what it should; `fate` says how each order ends.
fn platform(plan: &Plan, fate: impl Fn(usize) -> u8) -> (Vec<Placed>, Vec<Vec<Returned>>) {
    let mut placed: Vec<Placed> = plan
        .orders
        .iter()
        .enumerate()
        .map(|(number, order)| {
            let lines: Vec<_> = order
                .goods
                .iter()
                .map(|(&product, &quantity)| FactLine {
                    product: Some(product),
                    quantity,
                    price: price(product),
                    total: price(product).times(quantity),
                })
                .collect();
            let total: Amount = lines.iter().map(|line| line.total).sum();
            let (status, captured) = match fate(number) {
                0 => return Placed::Not(Reason::Refused("422".to_owned())),
                1 => (Status::Rejected, Amount::ZERO),
                _ => (Status::Completed, total),
            };
            Placed::Order(Box::new(Facts {
                id: number.to_string(),
                status,
                reason: Some("insufficient_stock".to_owned()),
                lines,
                total,
                refunded: Amount::ZERO,
                captured,
                paid_back: Amount::ZERO,
            }))
        })
        .collect();
    let back = |placed: &mut Placed, back: &super::super::plan::Back| {
        let Placed::Order(facts) = placed else { return Returned::Unsold };
        if facts.status == Status::Rejected {
            return Returned::Unsold;
        }
        if back.whole && fate(back.order) == 2 {
            (facts.status, facts.captured) = (Status::Cancelled, Amount::ZERO);
            return Returned::Cancelled;
        }
        let amount: Amount = back.goods.iter().map(|(product, pieces)| price(*product).times(*pieces)).sum();
        facts.refunded += amount;
        facts.paid_back += amount;
        facts.status = Status::PartiallyRefunded;
        Returned::Refunded(amount)
    };
    let returned = plan
        .reversals
        .iter()
        .map(|reversal| reversal.backs.iter().map(|one| back(&mut placed[one.order], one)).collect())
        .collect();
    (placed, returned)
}

fn class<'a>(found: &'a Reconciliation, reason: &Reason) -> &'a Class {
    found.classes.iter().find(|class| class.reason == reason.to_string()).unwrap()
}

fn sum(pieces: i64, money: &str) -> Sum {
    Sum { pieces, money: Amount::parse(money).unwrap() }
}

#[test]
fn every_difference_has_its_class() {
    let invoices = [
        invoice("1", "ann", vec![line("A1", 10, "1"), line("B2", 2, "3"), line("X9", 1, "7")]),
        invoice("2", "bob", vec![line("C3", 1, "0.99")]),
        invoice("C3", "ann", vec![line("B2", -1, "3"), line("A1", -12, "1")]),
        invoice("C4", "bob", vec![line("C3", -1, "0.99")]),
    ];
    let plan = plan(&invoices, &offers());
    let (placed, returned) = platform(&plan, |_| 2);
    let found = reconcile(&invoices, &plan, &placed, &returned, true);
    assert!(found.is_clean(), "{found:?}");
    assert_eq!(found.file.net(), sum(0, "8"));
    assert_eq!(class(&found, &Reason::SalePrice).difference, sum(0, "1"));
    assert_eq!(class(&found, &Reason::NotInCatalogue).difference, sum(1, "7"));
    assert_eq!(class(&found, &Reason::ReturnPrice).difference, sum(0, "-0.5"));
    assert_eq!(class(&found, &Reason::PiecesStay).difference, sum(-11, "0"));
    assert_eq!(class(&found, &Reason::ReturnUnbought).difference, sum(-2, "-2"));
    let called_off = class(&found, &Reason::CalledOff);
    assert_eq!((called_off.lines, called_off.difference), (2, sum(0, "0")));
    assert_eq!((found.lines, found.agreeing), (7, 1));
}

#[test]
fn money_that_is_nowhere_explained_is_unexplained() {
    let invoices =
        [invoice("1", "ann", vec![line("A1", 10, "1")]), invoice("C2", "ann", vec![line("A1", -1, "1")])];
    let plan = plan(&invoices, &offers());
    let wrong = |change: &dyn Fn(&mut Facts)| {
        let (mut placed, returned) = platform(&plan, |_| 3);
        let Placed::Order(facts) = &mut placed[0] else { panic!() };
        change(facts);
        let found = reconcile(&invoices, &plan, &placed, &returned, true);
        assert!(!found.is_clean());
        (found.unexplained, found.contradictions.join(" "))
    };
    let (unexplained, told) = wrong(&|facts| facts.captured += Amount::parse("10").unwrap());
    assert_eq!(unexplained, sum(0, "-10"));
    assert!(told.contains("20.00 were taken for an order of 10.00"), "{told}");
    let (unexplained, told) = wrong(&|facts| facts.paid_back = Amount::ZERO);
    assert_eq!(unexplained, sum(0, "-1"));
    assert!(told.contains("given back") && told.contains("its payment"), "{told}");
    let (unexplained, told) = wrong(&|facts| facts.lines[0].quantity = 9);
    assert_eq!(unexplained, sum(1, "0"));
    assert!(told.contains("not those that were ordered"), "{told}");
    let (_, told) = wrong(&|facts| facts.status = Status::Paid);
    assert!(told.contains("final"), "{told}");
}

#[test]
fn goods_that_were_received_cannot_be_missing() {
    let invoices = [invoice("1", "ann", vec![line("A1", 10, "1")])];
    let plan = plan(&invoices, &offers());
    let (placed, returned) = platform(&plan, |_| 1);
    let clean = |received| reconcile(&invoices, &plan, &placed, &returned, received).is_clean();
    assert!(clean(false), "without a token there may be none");
    assert!(!clean(true));
}

proptest! {
    #[test]
    fn a_platform_that_does_what_it_should_is_explained_to_the_penny(
        invoices in any_invoices(), fates in proptest::collection::vec(0u8..5, 30)
    ) {
        let plan = plan(&invoices, &offers());
        let (placed, returned) = platform(&plan, |order| fates[order % fates.len()]);
        let found = reconcile(&invoices, &plan, &placed, &returned, true);
        prop_assert_eq!(found.unexplained, Sum::default());
        prop_assert!(found.contradictions.is_empty(), "{:?}", found.contradictions);
        let explained = found.classes.iter().fold(Sum::default(), |sum, class| sum + class.difference);
        prop_assert_eq!(found.file.net() - explained, found.platform.net());
        let whole = invoices.iter().flat_map(|invoice| &invoice.lines)
            .fold(Sum::default(), |sum, line| sum + Sum::of(line.quantity, line.price));
        prop_assert_eq!(found.file.net(), whole);
    }
}
