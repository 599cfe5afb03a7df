//! I1, I2 and I5.

use jiff::SignedDuration;
use uuid::Uuid;
use viscount_contracts::{
    Event as _, Topic,
    events::{
        inventory::v1::{InventoryAdjusted, InventoryDeducted, InventoryReserved},
        orders::v1::{OrderCompleted, OrderPaymentProcessed, OrderRefunded, OrderValidated},
    },
};

use crate::{
    audit::Dataset,
    selftest::{bed::*, plants::plants},
};

/// How many pieces of a product have left the house.
fn pieces_sold(data: &Dataset, product: &str) -> i64 {
    let sold = (0..data.events.len()).filter(|at| data.events[*at].kind == InventoryDeducted::KIND);
    sold.filter_map(|at| says::<InventoryDeducted>(data, at))
        .flat_map(|sold| sold.lines)
        .filter(|line| line.product_id == product)
        .map(|line| i64::from(line.quantity))
        .sum()
}

plants! {
    I1 "one piece more is sold than came in", "by the events", |data| {
        let sold = first::<InventoryDeducted>(data)?;
        let product = says::<InventoryDeducted>(data, sold)?.lines.first()?.product_id.clone();
        let all: i64 = pieces_sold(data, &product);
        let came = event::<InventoryAdjusted>(data, product.parse().ok()?)?;
        edit::<InventoryAdjusted>(data, came, |came| came.delta = i32::try_from(all - 1).unwrap_or(0))?;
        nowhere()
    };
    I1 "the ledger reserves what is not on hand", "by the ledger", |data| {
        let held = data.movements.iter().find(|movement| movement.kind == "reserve")?.product;
        data.movements.iter_mut().find(|movement| movement.product == held && movement.on_hand > 0)?.on_hand = 0;
        nowhere()
    };
    I1 "a reservation is sold twice", "left the reservation 2 times, 2 of these by a sale", |data| {
        let sold = first::<InventoryDeducted>(data)?;
        again(data, sold)?;
        of(data, sold)
    };
    I1 "more is sold than was held", "were sold where", |data| {
        let sold = first::<InventoryDeducted>(data)?;
        edit::<InventoryDeducted>(data, sold, |sold| sold.lines[0].quantity += 1)?;
        of(data, sold)
    };
    I1 "an order's pieces are reserved twice", "reserved 2 times", |data| {
        let held = first::<InventoryReserved>(data)?;
        again(data, held)?;
        of(data, held)
    };

    I2 "an order is stuck", "is still validated", |data| {
        let order = order(data, "completed")?;
        let (paid, done) = (event::<OrderPaymentProcessed>(data, order)?, event::<OrderCompleted>(data, order)?);
        data.events.remove(paid.max(done));
        data.events.remove(paid.min(done));
        data.collected_at = data.collected_at?.checked_add(SignedDuration::from_hours(1)).ok();
        at(order)
    };
    I2 "an order waits when everything is collected", "is still validated", |data| {
        let order = order(data, "completed")?;
        let (paid, done) = (event::<OrderPaymentProcessed>(data, order)?, event::<OrderCompleted>(data, order)?);
        data.events.remove(paid.max(done));
        data.events.remove(paid.min(done));
        data.collected_at = data.events.iter().filter(|event| event.stream == order).map(|event| event.at).max();
        at(order)
    };
    I2 "a refund waits when everything is collected", "has no outcome", |data| {
        let done = first::<OrderRefunded>(data)?;
        let order = data.events.remove(done).stream;
        data.collected_at = data.events.iter().filter(|event| event.stream == order).map(|event| event.at).max();
        at(order)
    };
    I2 "an order becomes final long after the load", "s after the load ended", |data| {
        let done = first::<OrderCompleted>(data)?;
        data.events[done].at = data.events[done].at.checked_add(SignedDuration::from_hours(1)).ok()?;
        of(data, done)
    };
    I2 "a refund has no outcome", "has no outcome", |data| {
        let done = first::<OrderRefunded>(data)?;
        let order = data.events.remove(done).stream;
        data.collected_at = data.collected_at?.checked_add(SignedDuration::from_hours(1)).ok();
        at(order)
    };
    I2 "an accepted order is lost", "there are no events of it", |data| {
        let (_, order) = accepted(data)?;
        forget(data, Topic::Orders, order);
        at(order)
    };

    I5 "an event is dropped from the middle of a stream", "where 2 should be", |data| {
        let validated = first::<OrderValidated>(data)?;
        let order = data.events.remove(validated).stream;
        at(order)
    };
    I5 "a version is skipped", "where 4 should be", |data| {
        let done = first::<OrderCompleted>(data)?;
        data.events[done].version += 1;
        of(data, done)
    };
    I5 "two events have one version", "a fork", |data| {
        let done = first::<OrderCompleted>(data)?;
        data.events[done].version -= 1;
        of(data, done)
    };
    I5 "versions are committed the wrong way round", "version 2", |data| {
        let validated = event_of::<OrderValidated>(data, "completed")?;
        let order = data.events[validated].stream;
        let done = event::<OrderCompleted>(data, order)?;
        (data.events[validated].version, data.events[done].version) = (4, 2);
        at(order)
    };
    I5 "an event id is there twice", "event id", |data| {
        let done = first::<OrderCompleted>(data)?;
        let copy = again(data, done)?;
        data.events[copy].id = data.events[done].id;
        data.events[copy].stream = Uuid::from_u128(1);
        nowhere()
    };
    I5 "a row of stock has missed a version", "its row has version", |data| {
        data.stock.first_mut()?.version += 1;
        nowhere()
    };
}
