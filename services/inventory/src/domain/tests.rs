//! The rules, as examples and as properties.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;
use viscount_contracts::{ProductId, Quantity, ReservationId};

use super::*;

fn place(name: &str) -> Location {
    Location::new(name).unwrap()
}

fn pieces(pieces: i64) -> Quantity {
    Quantity::new(pieces).unwrap()
}

fn product(number: u128) -> ProductId {
    ProductId::from(Uuid::from_u128(number))
}

fn balance(levels: &[(&str, i64, i64)]) -> Balance {
    let levels = levels
        .iter()
        .map(|(name, on_hand, reserved)| Level {
            location: place(name),
            on_hand: *on_hand,
            reserved: *reserved,
            version: 1,
        })
        .collect();
    Balance { levels, ..Balance::unknown(product(1)) }
}

fn adjustment(location: &str, delta: i32) -> Adjustment {
    Adjustment { location: place(location), delta, kind: Kind::Correction, note: None }
}

#[test]
fn two_lines_of_one_product_are_one_wish() {
    let lines =
        Lines::new([(product(2), pieces(3)), (product(1), pieces(1)), (product(2), pieces(4))]).unwrap();
    assert_eq!(lines.iter().collect::<Vec<_>>(), [(product(1), pieces(1)), (product(2), pieces(7))]);
}

#[test]
fn impossible_lines_are_refused() {
    assert_eq!(Lines::new([]), Err(LinesError::Empty));
    let most = (product(1), Quantity::MAX);
    assert_eq!(Lines::new([most, most]), Err(LinesError::TooMuch(product(1))));
    let many = (0..=Lines::MAX as u128).map(|number| (product(number), pieces(1)));
    assert_eq!(Lines::new(many), Err(LinesError::TooMany));
}

#[test]
fn one_place_that_has_all_is_preferred() {
    let mut stock = Stock::of(&balance(&[("a", 3, 0), ("b", 9, 4), ("c", 50, 0)]));
    assert_eq!(stock.take(pieces(5)), Take::Held(vec![(place("b"), 5)]));
}

#[test]
fn a_hold_is_split_over_places_when_no_place_has_all() {
    let mut stock = Stock::of(&balance(&[("a", 3, 0), ("b", 9, 4), ("c", 4, 4)]));
    assert_eq!(stock.available(), 8);
    assert_eq!(stock.take(pieces(8)), Take::Held(vec![(place("b"), 5), (place("a"), 3)]));
    assert_eq!(stock.available(), 0);
}

#[test]
fn a_shortage_that_only_undecided_holds_make_has_to_wait() {
    let mut stock = Stock::of(&balance(&[("a", 10, 0)]));
    let Take::Held(parts) = stock.take(pieces(8)) else { panic!("eight of ten are there") };
    assert_eq!(stock.take(pieces(5)), Take::Wait);
    stock.give_back(&parts);
    assert_eq!(stock.take(pieces(5)), Take::Held(vec![(place("a"), 5)]));
    stock.confirm();
    assert_eq!(stock.take(pieces(6)), Take::Short { available: 5 });
}

#[test]
fn doubt_is_settled_by_looking_and_only_when_nothing_is_undecided() {
    let mut stock = Stock::of(&balance(&[("a", 10, 0)]));
    assert!(matches!(stock.take(pieces(1)), Take::Held(_)));
    stock.doubt();
    assert_eq!(stock.take(pieces(1)), Take::Wait);
    assert!(!stock.correct(&balance(&[("a", 2, 0)])), "a hold is undecided");
    stock.confirm();
    assert_eq!(stock.take(pieces(1)), Take::Doubtful);
    assert!(stock.correct(&balance(&[("a", 2, 1)])));
    assert_eq!(stock.take(pieces(2)), Take::Short { available: 1 });
}

#[test]
fn stock_cannot_be_adjusted_below_what_is_reserved() {
    let balance = balance(&[("a", 10, 4), ("b", 100, 0)]);
    assert!(balance.adjust(adjustment("a", -6), 5).is_ok());
    assert_eq!(balance.adjust(adjustment("a", -7), 5), Err(BelowReserved { on_hand: 10, reserved: 4 }));
    assert_eq!(balance.adjust(adjustment("new", -1), 5), Err(BelowReserved { on_hand: 0, reserved: 0 }));
    assert!(balance.adjust(adjustment("b", 1_000_000_000), 5).is_err(), "more than can be counted");
}

#[test]
fn the_first_receipt_tells_that_there_is_some_and_warns_of_nothing() {
    let unknown = Balance::unknown(product(1));
    let few = unknown.adjust(adjustment("main", 3), 5).unwrap();
    assert_eq!(few.notices, [Notice::Crossed(Totals { on_hand: 3, reserved: 0 })]);
    assert_eq!(few.sign, Sign { in_stock: true, low: true });
    let many = unknown.adjust(adjustment("main", 30), 5).unwrap();
    assert_eq!(many.sign, Sign { in_stock: true, low: false });
}

#[test]
fn falling_to_the_threshold_warns_once() {
    let high = Balance { sign: Sign { in_stock: true, low: false }, ..balance(&[("a", 6, 0)]) };
    assert_eq!(high.notices(5).0, []);
    let fell = high.adjust(adjustment("a", -1), 5).unwrap();
    assert_eq!(fell.notices, [Notice::Low { available: 5, threshold: 5 }]);
    let low = Balance { sign: fell.sign, ..balance(&[("a", 5, 0)]) };
    assert_eq!(low.adjust(adjustment("a", -1), 5).unwrap().notices, []);
}

#[test]
fn selling_the_last_reserved_piece_is_no_news() {
    let sold_out = Balance { sign: Sign { in_stock: false, low: true }, ..balance(&[("a", 0, 0)]) };
    assert_eq!(sold_out.notices(5).0, []);
}

const CANCEL: End = End::Release(Reason::Cancelled);

#[test]
fn what_was_called_off_before_it_came_holds_nothing() {
    assert_eq!(end(None, CANCEL), Ending::Note(State::Released));
    assert_eq!(ask(Some(State::Released)), Asking::Answered);
}

#[test]
fn what_was_sold_before_it_came_is_sold_when_it_comes() {
    assert_eq!(end(None, End::Sell), Ending::Note(State::SaleNoted));
    assert_eq!(ask(Some(State::SaleNoted)), Asking::HoldAndSell);
}

#[test]
fn nothing_is_given_back_twice_or_sold_twice() {
    assert_eq!(end(Some(State::Released), CANCEL), Ending::Done);
    assert_eq!(end(Some(State::Expired), CANCEL), Ending::Done);
    assert_eq!(end(Some(State::Sold), End::Sell), Ending::Done);
    assert_eq!(end(Some(State::Sold), CANCEL), Ending::TooLate);
    assert_eq!(end(Some(State::Released), End::Sell), Ending::TooLate);
}

#[test]
fn names_of_places_are_plain() {
    for good in ["main", "A-1.b_2", &"x".repeat(64)] {
        assert!(Location::new(good).is_ok(), "{good}");
    }
    for bad in ["", "a b", "å", "a\"b", "a\0b", &"x".repeat(65)] {
        assert!(Location::new(bad).is_err(), "{bad}");
    }
}

/// What happens to one product's holds.
#[derive(Debug, Clone)]
enum Step {
    Take(i64),
    Confirm(prop::sample::Index),
    GiveBack(prop::sample::Index),
    Refused(prop::sample::Index),
    /// The other replica holds so many, if they are there.
    Elsewhere(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1i64..8).prop_map(Step::Take),
        2 => any::<prop::sample::Index>().prop_map(Step::Confirm),
        1 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
        1 => any::<prop::sample::Index>().prop_map(Step::Refused),
        1 => (1i64..8).prop_map(Step::Elsewhere),
    ]
}

/// The database: places with what is there and what is held, guarded as the table is.
struct Shelves(BTreeMap<Location, (i64, i64)>);

impl Shelves {
    fn write(&mut self, parts: &[(Location, u32)]) -> bool {
        let mut after = self.0.clone();
        for (location, part) in parts {
            let (on_hand, reserved) = after.entry(location.clone()).or_default();
            *reserved += i64::from(*part);
            if !fits(*on_hand, *reserved) {
                return false;
            }
        }
        self.0 = after;
        true
    }

    fn free(&self) -> i64 {
        self.0.values().map(|(on_hand, reserved)| on_hand - reserved).sum()
    }

    fn balance(&self) -> Balance {
        let levels = self
            .0
            .iter()
            .map(|(location, (on_hand, reserved))| Level {
                location: location.clone(),
                on_hand: *on_hand,
                reserved: *reserved,
                version: 1,
            })
            .collect();
        Balance { levels, ..Balance::unknown(product(1)) }
    }
}

proptest! {
    /// Whatever happens, here and in another replica: a hold has exactly the pieces asked for; nobody is refused who
    /// could be served by what the actor knows; what waits, waits for somebody; and the database never overflows.
    #[test]
    fn holds_are_whole_and_never_oversell(
        places in prop::collection::vec(0i64..12, 1..4),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let named = places.iter().enumerate().map(|(number, on_hand)| (place(&format!("p{number}")), (*on_hand, 0)));
        let mut shelves = Shelves(named.collect());
        let mut stock = Stock::of(&shelves.balance());
        let mut holds: Vec<Vec<(Location, u32)>> = Vec::new();
        for step in steps {
            match step {
                Step::Take(wanted) => match stock.take(pieces(wanted)) {
                    Take::Held(parts) => {
                        prop_assert_eq!(parts.iter().map(|(_, part)| i64::from(*part)).sum::<i64>(), wanted);
                        prop_assert!(parts.iter().all(|(_, part)| *part > 0));
                        holds.push(parts);
                    }
                    Take::Wait => prop_assert!(!holds.is_empty()),
                    Take::Doubtful => {
                        prop_assert!(holds.is_empty());
                        prop_assert!(stock.correct(&shelves.balance()));
                        prop_assert_eq!(stock.available(), shelves.free() as u64);
                    }
                    Take::Short { available } => {
                        prop_assert!(holds.is_empty());
                        prop_assert!(available < wanted as u64);
                        // The actor looks before it refuses; then it knows as much as the database.
                        prop_assert!(stock.correct(&shelves.balance()));
                        prop_assert_eq!(stock.available(), shelves.free() as u64);
                    }
                },
                Step::Confirm(index) if !holds.is_empty() => {
                    let parts = holds.swap_remove(index.index(holds.len()));
                    if shelves.write(&parts) {
                        stock.confirm();
                    } else {
                        stock.give_back(&parts);
                        stock.doubt();
                    }
                }
                Step::GiveBack(index) if !holds.is_empty() => {
                    stock.give_back(&holds.swap_remove(index.index(holds.len())));
                }
                Step::Refused(index) if !holds.is_empty() => {
                    stock.give_back(&holds.swap_remove(index.index(holds.len())));
                    stock.doubt();
                }
                Step::Elsewhere(wanted) => {
                    if let Take::Held(parts) = Stock::of(&shelves.balance()).take(pieces(wanted)) {
                        prop_assert!(shelves.write(&parts));
                    }
                }
                _ => {}
            }
            prop_assert_eq!(stock.undecided() as usize, holds.len());
            prop_assert!(shelves.0.values().all(|(on_hand, reserved)| fits(*on_hand, *reserved)));
        }
    }

    /// In whatever order and however often the events of an order come: at most one hold, which ends at most once, and
    /// the ledger agrees with where the reservation stands.
    #[test]
    fn a_reservation_is_held_once_and_ends_once(
        steps in prop::collection::vec(
            prop_oneof![Just(None), Just(Some(CANCEL)), Just(Some(End::Release(Reason::Expired))), Just(Some(End::Sell))],
            1..12,
        ),
    ) {
        let id = ReservationId::new();
        let portions = [Portion { product: product(1), location: place("a"), quantity: 3 }];
        let mut state = None;
        let mut ledger: Vec<Movement> = Vec::new();
        for step in steps {
            match step {
                None => match ask(state) {
                    Asking::Hold => {
                        ledger.extend(Movement::reserve(id, &portions));
                        state = Some(State::Held);
                    }
                    Asking::HoldAndSell => {
                        ledger.extend(Movement::reserve(id, &portions));
                        ledger.extend(Movement::sell(id, &portions));
                        state = Some(State::Sold);
                    }
                    Asking::Answered => {}
                },
                Some(how) => match end(state, how) {
                    Ending::Settle(after) => {
                        match how {
                            End::Sell => ledger.extend(Movement::sell(id, &portions)),
                            End::Release(_) => ledger.extend(Movement::release(id, &portions)),
                        }
                        state = Some(after);
                    }
                    Ending::Note(after) => state = Some(after),
                    Ending::Done | Ending::TooLate => {}
                },
            }
            let net = net(ledger.iter()).into_values().next().unwrap_or((0, 0));
            let expected = match state {
                Some(State::Held) => (0, 3),
                Some(State::Sold) => (-3, 0),
                _ => (0, 0),
            };
            prop_assert_eq!(net, expected);
        }
    }

    /// Along any path of availability, a crossing is told exactly when none becomes some or some none, and a warning
    /// comes once per fall to the threshold.
    #[test]
    fn news_is_told_once_per_crossing(path in prop::collection::vec(0i64..12, 1..40), threshold in 0u32..8) {
        let mut sign = Sign::default();
        let (mut had_some, mut was_low) = (false, true);
        for available in path {
            let now = Balance { sign, ..balance(&[("a", available, 0)]) };
            let (notices, after) = now.notices(threshold);
            let crossed = notices.iter().any(|notice| matches!(notice, Notice::Crossed(_)));
            let warned = notices.iter().any(|notice| matches!(notice, Notice::Low { .. }));
            let low = available <= i64::from(threshold);
            prop_assert_eq!(crossed, had_some != (available > 0));
            prop_assert_eq!(warned, low && !was_low);
            (had_some, was_low) = (available > 0, low);
            sign = after;
            prop_assert_eq!(Balance { sign, ..now }.notices(threshold).0, []);
        }
    }
}
