//! What the scenarios have in common: products, money, and events on their way.

use jiff::Timestamp;
use uuid::Uuid;
use viscount_chassis::store::NewEvent;
use viscount_contracts::{Currency, Envelope, Money, OrderId, ProductId, Quantity, Topic, UserId};

/// The basket: product and pieces, four lines.
pub fn basket() -> Vec<(ProductId, Quantity)> {
    (0..4).map(|line| (product(line), Quantity::new(i64::from(line) + 1).unwrap())).collect()
}

/// The product of a line. They are not in the order of their ids, as products in a basket are not.
pub fn product(line: u8) -> ProductId {
    ProductId::from(Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 | u128::from(line ^ 2)))
}

/// Whose order it is.
pub fn customer() -> UserId {
    UserId::from(Uuid::from_u128(0x0198_0000_0000_7000_9000_0000_0000_0001))
}

/// The order.
pub fn order() -> OrderId {
    OrderId::from(Uuid::from_u128(0x0198_0000_0000_7000_a000_0000_0000_0001))
}

/// So many pence.
pub fn gbp(amount: i64) -> Money {
    Money::new(amount, Currency::GBP)
}

/// When all of it happens.
pub const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);

/// An event as it comes from the log.
pub fn delivered(topic: Topic, event: NewEvent) -> Envelope {
    Envelope {
        id: event.id,
        topic,
        position: 1,
        key: event.stream,
        version: event.version,
        kind: event.kind.into(),
        occurred_at: event.occurred_at,
        traceparent: event.traceparent,
        data: event.data.into(),
    }
}
