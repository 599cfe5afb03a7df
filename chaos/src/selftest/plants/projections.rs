//! I7.

use uuid::Uuid;
use viscount_contracts::{
    Event as _,
    events::{
        inventory::v1::InventoryUpdated,
        orders::v1::{OrderCompleted, OrderCreated},
    },
};

use crate::{
    audit::{Dataset, OrderRow},
    selftest::{Where, bed::*, plants::plants},
};

/// Changes the row of a completed order.
fn row(data: &mut Dataset, change: impl FnOnce(&mut OrderRow)) -> Option<Where> {
    let row = data.orders.iter_mut().find(|row| row.status == "completed")?;
    change(row);
    at(row.id)
}

plants! {
    I7 "an order's row has another status", "its status is", |data| row(data, |row| row.status = "paid".to_owned());
    I7 "an order's row is a version behind", "its version is", |data| row(data, |row| row.version -= 1);
    I7 "an order's row costs a penny more", "its total is", |data| row(data, |row| row.total += 1);
    I7 "an order's row has a penny more refunded", "its refunded is", |data| row(data, |row| row.refunded += 1);
    I7 "an order's row is over other lines", "its lines is", |data| row(data, |row| row.lines = "[]".into());
    I7 "an order's row is somebody else's", "its customer is", |data| row(data, |row| row.customer = Uuid::from_u128(7));
    I7 "an order's row has another reason", "its reason is", |data| {
        let row = data.orders.iter_mut().find(|row| row.status == "rejected")?;
        row.reason = None;
        at(row.id)
    };
    I7 "an order has no row", "has events and no row", |data| at(data.orders.pop()?.id);
    I7 "a row has no order", "has a row and no events", |data| {
        let mut more = data.orders.first()?.clone();
        more.id = Uuid::from_u128(7);
        data.orders.push(more);
        at(Uuid::from_u128(7))
    };
    I7 "an event cannot be read", "cannot be replayed", |data| {
        let created = first::<OrderCreated>(data)?;
        data.events[created].data = [0xff; 9].into();
        of(data, created)
    };
    I7 "an event of an order that is none", "cannot be replayed", |data| {
        let done = first::<OrderCompleted>(data)?;
        data.events[done].kind = "OrderForgotten".into();
        of(data, done)
    };
    I7 "an order is sold at a price that never was", "never cost", |data| {
        let created = first::<OrderCreated>(data)?;
        edit::<OrderCreated>(data, created, |created| created.lines[0].unit_price = None)?;
        of(data, created)
    };
    I7 "the price book is a penny off", "the price book says", |data| {
        data.prices.first_mut()?.amount += 1;
        nowhere()
    };
    I7 "a row of stock is a piece off", "in the row, ", |data| {
        data.stock.first_mut()?.on_hand += 1;
        nowhere()
    };
    I7 "stock is not what the events say", "in the rows, ", |data| {
        data.stock.first_mut()?.on_hand += 1;
        data.movements.first_mut()?.on_hand += 1;
        nowhere()
    };
    I7 "a movement is lost", "the movements come to", |data| {
        let lost = data.movements.iter().position(|movement| movement.kind == "sell")?;
        at(data.movements.remove(lost).reservation?)
    };
    I7 "a reservation's row is in another state", "the reservation's state", |data| {
        let row = data.reservations.iter_mut().find(|row| row.state == "sold")?;
        row.state = "held".to_owned();
        at(row.id)
    };
    I7 "a reservation's row holds a piece more", "pieces is", |data| {
        let row = data.reservations.iter_mut().find(|row| row.state == "sold")?;
        *row.quantities.first_mut()? += 1;
        at(row.id)
    };
    I7 "a reservation has no row", "the reservation has events and no row", |data| at(data.reservations.pop()?.id);
    I7 "a payment's row has a penny more", "the payment's captured", |data| {
        let row = data.payments.iter_mut().find(|row| row.captured > 0)?;
        row.captured += 1;
        at(row.order)
    };
    I7 "a payment's row has another reference", "reference is", |data| {
        let row = data.payments.iter_mut().find(|row| row.captured > 0)?;
        row.reference = Some("ch_7".to_owned());
        at(row.order)
    };
    I7 "a payment has no row", "the payment has events and no row", |data| at(data.payments.pop()?.order);
    I7 "a refund's row is in another state", "the state is", |data| {
        let row = data.refunds.iter_mut().find(|row| row.state == "done")?;
        row.state = "open".to_owned();
        at(row.order)
    };
    I7 "a refund has no row", "has events and no row", |data| at(data.refunds.pop()?.order);
    I7 "a product's row has another price", "its price is", |data| {
        data.products.first_mut()?.price += 1;
        nowhere()
    };
    I7 "a product has no row", "has events and no row", |data| {
        data.products.pop()?;
        nowhere()
    };
    I7 "the catalogue has missed what inventory told last", "the catalogue knows", |data| {
        data.availability.first_mut()?.version -= 1;
        nowhere()
    };
    I7 "a product that is there is told to have run out", "can be sold", |data| {
        let told = data.events.iter().rposition(|event| event.kind == InventoryUpdated::KIND)?;
        let product = data.events[told].stream;
        let there = data.stock.iter().filter(|row| row.product == product);
        let other = u32::from(there.map(|row| row.on_hand - row.reserved).sum::<i64>() == 0);
        edit::<InventoryUpdated>(data, told, |told| told.available = other)?;
        data.availability.iter_mut().find(|row| row.product == product)?.available = i64::from(other);
        nowhere()
    };
}
