//! The projections of this service that are made of events alone, made anew: see [`viscount_chassis::replay`].

use viscount_chassis::replay::{Projection as Made, Replay, Table};
use viscount_contracts::{Envelope, OrderId, Topic};

use crate::{
    book::Change,
    domain::{self, Order},
    store::{self, OrdersWriter, Projection, Row},
    view::OrderView,
};

const ORDERS: [Table; 1] = [Table::new("orders", &["id"]).without(&["waits_since"])];
const BOOK: [Table; 1] = [Table::new("price_book", &["product_id"])];
/// What the one statement of this service's writer names, besides the projection that is made anew.
const OF_ORDERS: [&str; 3] = ["order_deadlines", "idempotency_keys", "price_book"];
const OF_BOOK: [&str; 3] = ["order_deadlines", "idempotency_keys", "orders"];

/// `orders`: what reads and lists are answered from. `price-book`: what the catalogue offers.
pub fn projections() -> Vec<Box<dyn Replay>> {
    vec![
        Box::new(Made {
            name: "orders",
            topic: Topic::Orders,
            tables: &ORDERS,
            others: &OF_ORDERS,
            writer: OrdersWriter,
            steps: order,
        }),
        Box::new(Made {
            name: "price-book",
            topic: Topic::Catalog,
            tables: &BOOK,
            others: &OF_BOOK,
            writer: OrdersWriter,
            steps: offer,
        }),
    ]
}

/// The order as it began, when that is new, and as it has become.
fn order(before: &[Envelope], fresh: &[Envelope]) -> Result<Vec<Projection>, String> {
    let written = after(None, before)?;
    let began = match (&written, fresh.first()) {
        (None, Some(first)) => after(None, std::slice::from_ref(first))?,
        _ => None,
    };
    let rest = if began.is_some() { &fresh[1..] } else { fresh };
    let since = began.as_ref().or(written.as_ref()).map(|order| order.version);
    let last = after(began.clone().or(written), rest)?.filter(|order| Some(order.version) > since);
    let first = began.map(|order| row(Some(OrderView::from(&order)), order));
    Ok(first.into_iter().chain(last.map(|order| row(None, order))).collect())
}

/// The order after these events.
fn after(order: Option<Order>, events: &[Envelope]) -> Result<Option<Order>, String> {
    events.iter().try_fold(order, |order, event| {
        let happened = store::decode(event).map_err(|error| error.to_string())?;
        Ok(domain::evolve(OrderId::from(event.key), order, &happened, event.occurred_at))
    })
}

fn row(view: Option<OrderView>, order: Order) -> Projection {
    let row = Row { lines: view.map(|view| view.lines), order, look_after: None };
    Projection::Order { row: Box::new(row), answer: None }
}

/// The newest offer of a product.
fn offer(before: &[Envelope], fresh: &[Envelope]) -> Result<Vec<Projection>, String> {
    let mut newest: Option<Change> = None;
    for event in before.iter().chain(fresh) {
        let known = newest.as_ref().map(|change| change.offer.clone());
        newest = Change::of(event, known).map_err(|error| error.to_string())?.or(newest);
    }
    Ok(newest.into_iter().map(Projection::Offer).collect())
}
