//! A basket reserved and sold: the core of inventory, and its events on disk.

use viscount_contracts::{ProductId, Quantity, ReservationId};
use viscount_inventory::{
    codec,
    domain::{
        Asking, Balance, End, Ending, Level, Lines, Location, Movement, Portion, Reservation, State, Stock,
        Take, ask, end, net,
    },
};

use super::world::{NOW, basket as wanted, order};
use crate::{Run, repeat};

/// More than any run takes.
const PLENTY: i64 = 900_000_000;

fn shelf(product: ProductId) -> (ProductId, Stock) {
    let level = |name: &str| Level {
        location: Location::new(name).unwrap(),
        on_hand: PLENTY,
        reserved: 0,
        version: 1,
    };
    let balance = Balance { levels: vec![level("main"), level("north")], ..Balance::unknown(product) };
    (product, Stock::of(&balance))
}

fn hold(shelves: &mut [(ProductId, Stock)], lines: &Lines) -> Vec<Portion> {
    let mut portions = Vec::new();
    for (product, quantity) in lines.iter() {
        let (_, stock) = shelves.iter_mut().find(|(other, _)| *other == product).unwrap();
        let Take::Held(parts) = stock.take(quantity) else { panic!("there is plenty") };
        portions.extend(parts.into_iter().map(|(location, quantity)| Portion {
            product,
            location,
            quantity,
        }));
    }
    portions
}

fn sell(shelves: &mut [(ProductId, Stock)], wanted: &[(ProductId, Quantity)]) -> usize {
    let id = ReservationId::of_order(order());
    let lines = Lines::new(wanted.iter().copied()).unwrap();
    assert_eq!(ask(None), Asking::Hold);
    let portions = hold(shelves, &lines);
    let reserved: Vec<Movement> = Movement::reserve(id, &portions).collect();
    let rows = net(reserved.iter()).len();
    for (_, stock) in shelves.iter_mut() {
        stock.confirm();
    }
    assert_eq!(end(Some(State::Held), End::Sell), Ending::Settle(State::Sold));
    let sold: Vec<Movement> = Movement::sell(id, &portions).collect();
    rows + net(sold.iter()).len()
}

pub fn basket() -> Run {
    let wanted = wanted();
    let mut shelves: Vec<_> = wanted.iter().map(|(product, _)| shelf(*product)).collect();
    repeat(move || sell(&mut shelves, &wanted))
}

pub fn encode() -> Run {
    let id = ReservationId::of_order(order());
    let lines = Lines::new(wanted()).unwrap();
    let mut shelves: Vec<_> = lines.iter().map(|(product, _)| shelf(product)).collect();
    let sold = Reservation {
        id,
        of_order: true,
        state: State::Sold,
        version: 2,
        portions: hold(&mut shelves, &lines),
        short: Vec::new(),
        expires_at: None,
    };
    repeat(move || codec::reserved(id, true, &lines, NOW).data.len() + codec::deducted(&sold, NOW).data.len())
}
