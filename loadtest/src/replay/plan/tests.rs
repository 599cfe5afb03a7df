//! What invoices become.

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
    let twice = plan(
        &[sold(), back("C2", vec![line("B2", -1, "2")]), back("C3", vec![line("A1", -2, "1")])],
        &offers(),
    );
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
