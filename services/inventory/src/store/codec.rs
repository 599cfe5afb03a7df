//! Between the domain and its protobuf events: the one place that knows both.

use jiff::Timestamp;
use viscount_chassis::store::NewEvent;
use viscount_contracts::{DecodeError, Envelope, ProductId, ReservationId, events::inventory::v1 as proto};

use crate::domain::{Adjustment, Lines, Notice, Reason, Reservation, ShortLine};

fn order_id(id: ReservationId, of_order: bool) -> String {
    if of_order { id.text() } else { String::new() }
}

fn lines(reservation: &Reservation) -> Vec<proto::Line> {
    reservation
        .lines()
        .into_iter()
        .map(|(product, quantity)| proto::Line { product_id: product.text(), quantity })
        .collect()
}

/// All lines are held.
pub fn reserved(id: ReservationId, of_order: bool, wanted: &Lines, now: Timestamp) -> NewEvent {
    let lines = wanted
        .iter()
        .map(|(product, quantity)| proto::Line { product_id: product.text(), quantity: quantity.get() })
        .collect();
    let event =
        proto::InventoryReserved { reservation_id: id.text(), order_id: order_id(id, of_order), lines };
    NewEvent::new(id, 1, &event, now)
}

/// No line is held.
pub fn rejected(id: ReservationId, of_order: bool, short: &[ShortLine], now: Timestamp) -> NewEvent {
    let short_lines = short
        .iter()
        .map(|line| proto::ShortLine {
            product_id: line.product_id.text(),
            wanted: line.wanted,
            available: line.available,
        })
        .collect();
    let event =
        proto::InventoryRejected { reservation_id: id.text(), order_id: order_id(id, of_order), short_lines };
    NewEvent::new(id, 1, &event, now)
}

/// What was held is free again. `after` is the reservation after the event.
pub fn released(after: &Reservation, reason: Reason, now: Timestamp) -> NewEvent {
    let event = proto::InventoryReleased {
        reservation_id: after.id.text(),
        order_id: order_id(after.id, after.of_order),
        lines: lines(after),
        reason: reason.name().to_owned(),
    };
    NewEvent::new(after.id, after.version, &event, now)
}

/// What was held has left the house. `after` is the reservation after the event.
pub fn deducted(after: &Reservation, now: Timestamp) -> NewEvent {
    let event = proto::InventoryDeducted {
        reservation_id: after.id.text(),
        order_id: order_id(after.id, after.of_order),
        lines: lines(after),
    };
    NewEvent::new(after.id, after.version, &event, now)
}

/// Stock was changed by hand.
pub fn adjusted(product: ProductId, adjustment: &Adjustment, version: i32, now: Timestamp) -> NewEvent {
    let event = proto::InventoryAdjusted {
        product_id: product.text(),
        location: adjustment.location.to_string(),
        delta: adjustment.delta,
        reason: adjustment.kind.name().to_owned(),
    };
    NewEvent::new(product, version, &event, now)
}

/// News of a product, whose events have come to `version`.
pub fn notices(product: ProductId, notices: &[Notice], version: i32, now: Timestamp) -> Vec<NewEvent> {
    let product_id = product.text();
    (version + 1..)
        .zip(notices)
        .map(|(version, notice)| match *notice {
            Notice::Crossed(totals) => {
                let event = proto::InventoryUpdated {
                    product_id: product_id.clone(),
                    on_hand: count(totals.on_hand),
                    reserved: count(totals.reserved),
                    available: count(totals.available()),
                };
                NewEvent::new(product, version, &event, now)
            }
            Notice::Low { available, threshold } => {
                let event = proto::LowStockAlert {
                    product_id: product_id.clone(),
                    available: count(available),
                    threshold,
                };
                NewEvent::new(product, version, &event, now)
            }
        })
        .collect()
}

fn count(pieces: i64) -> u32 {
    u32::try_from(pieces.max(0)).unwrap_or(u32::MAX)
}

/// What a rejection told.
pub fn short_lines(event: &Envelope) -> Result<Vec<ShortLine>, DecodeError> {
    let rejected: proto::InventoryRejected = event.decode()?;
    rejected
        .short_lines
        .iter()
        .map(|line| {
            let product_id: ProductId = line
                .product_id
                .parse()
                .map_err(|problem: uuid::Error| event.unreadable::<proto::InventoryRejected>(problem))?;
            Ok(ShortLine { product_id, wanted: line.wanted, available: line.available })
        })
        .collect()
}
