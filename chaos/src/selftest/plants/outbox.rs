//! I4.

use uuid::Uuid;
use viscount_contracts::{
    Topic,
    events::{
        inventory::v1::{InventoryDeducted, InventoryReserved},
        orders::v1::{OrderCompleted, OrderCreated},
    },
};

use crate::{
    audit::{Dataset, Handled},
    selftest::{Where, bed::*, plants::plants},
};

/// The message on the topic of an order's last event of this kind.
fn record(data: &Dataset) -> Option<(usize, Uuid)> {
    let done = data.events.get(first::<OrderCompleted>(data)?)?;
    let record = data.records.iter().position(|record| record.id == Some(done.id))?;
    Some((record, done.stream))
}

/// Changes that message.
fn changed(data: &mut Dataset, change: impl FnOnce(&mut crate::audit::Record)) -> Option<Where> {
    let (record, order) = record(data)?;
    change(&mut data.records[record]);
    at(order)
}

plants! {
    I4 "an event is missing on its topic", "is not on orders.events.v1", |data| {
        let (record, order) = record(data)?;
        data.records.remove(record);
        at(order)
    };
    I4 "a topic is not there", "is not on payments.events.v1", |data| {
        data.topics.iter_mut().find(|shape| shape.topic == Topic::Payments)?.partitions = 0;
        data.records.retain(|record| record.topic != Topic::Payments);
        nowhere()
    };
    I4 "a message has another order's key", "has the key", |data| {
        changed(data, |record| record.key = Some(Uuid::from_u128(7).to_string().into()))
    };
    I4 "a message lies on another partition", "belongs on partition", |data| {
        changed(data, |record| record.partition = (record.partition + 1) % 6)
    };
    I4 "a message says something else than its event", "the message is another", |data| {
        changed(data, |record| record.digest ^= 1)
    };
    I4 "a message has another position", "its event position", |data| {
        changed(data, |record| record.position = record.position.map(|position| position + 1))
    };
    I4 "a message of an event that nobody has committed", "which is not in the outbox", |data| {
        let (found, order) = record(data)?;
        let mut stray = data.records.get(found)?.clone();
        (stray.id, stray.offset) = (Some(Uuid::from_u128(7)), 1_000_000);
        data.records.push(stray);
        at(order)
    };
    I4 "a message that is no event", "is no event of ours", |data| {
        changed(data, |record| record.id = None)?;
        nowhere()
    };
    I4 "a later event overtakes an earlier one", "came after position", |data| {
        let (later, order) = record(data)?;
        let created = data.events.get(event::<OrderCreated>(data, order)?)?.id;
        let earlier = data.records.iter().position(|record| record.id == Some(created))?;
        data.records.swap(earlier, later);
        nowhere()
    };
    I4 "a message is there twice though no relay was harmed", "is there once more", @ |terms| terms.doubles = false, |data| {
        let (found, order) = record(data)?;
        let mut double = data.records.get(found)?.clone();
        double.offset = 1_000_000;
        data.records.push(double);
        at(order)
    };
    I4 "an event is dropped from the outbox", "has no event at position", |data| {
        let done = first::<OrderCompleted>(data)?;
        data.events.remove(done);
        nowhere()
    };
    I4 "two events have one position", "two events at position", |data| {
        let done = first::<OrderCompleted>(data)?;
        data.events[done].position -= 1;
        nowhere()
    };
    I4 "the log's head is ahead of its events", "its head says", |data| {
        data.logs.iter_mut().find(|log| log.service == Topic::Payments)?.head += 1;
        nowhere()
    };
    I4 "an event is handled that nobody has committed", "which nobody has committed", |data| {
        data.handled.push(Handled { service: Topic::Orders, event: Uuid::from_u128(7) });
        nowhere()
    };
    I4 "an event is handled by who does not read it", "which it does not read", |data| {
        let event = data.events.get(first::<OrderCompleted>(data)?)?.id;
        data.handled.push(Handled { service: Topic::Catalog, event });
        nowhere()
    };
    I4 "an event is handled twice", "twice", |data| {
        let double = data.handled.first()?.clone();
        data.handled.push(double);
        nowhere()
    };
    I4 "an event could not be handled", "could not be handled", |data| {
        let event = data.events.get(first::<OrderCompleted>(data)?)?.clone();
        data.letters.push(letter(event.id, Some(event.stream)));
        at(event.stream)
    };
    I4 "the end of an order does not reach its reservation", "and its reservation is held", |data| {
        let sold = first::<InventoryDeducted>(data)?;
        at(data.events.remove(sold).stream)
    };
    I4 "an order never reaches inventory", "inventory says nothing of it", |data| {
        let order = order(data, "completed")?;
        forget(data, Topic::Inventory, order);
        at(order)
    };
    I4 "an order never reaches payments", "and its payment is missing", |data| {
        let order = order(data, "completed")?;
        forget(data, Topic::Payments, order);
        at(order)
    };
    I4 "a reservation is over other pieces than were ordered", "its reservation is over", |data| {
        let held = first::<InventoryReserved>(data)?;
        edit::<InventoryReserved>(data, held, |held| held.lines[0].quantity += 1)?;
        of(data, held)
    };
    I4 "a reservation of an order that there is not", "there is no such order", |data| {
        let order = order(data, "completed")?;
        forget(data, Topic::Orders, order);
        at(order)
    };
    I4 "a cancelled order never reaches inventory", "inventory says nothing of it", |data| {
        let order = order(data, "cancelled")?;
        forget(data, Topic::Inventory, order);
        data.reservations.retain(|row| row.id != order);
        at(order)
    };
    I4 "an event is set aside beside the poison", "could not be handled", @ |terms| terms.letters = true, |data| {
        let event = data.events.get(first::<OrderCompleted>(data)?)?.clone();
        data.letters.push(letter(event.id, Some(event.stream)));
        at(event.stream)
    };
    I4 "the brokers have not acknowledged the last event", "have acknowledged", |data| {
        data.logs.iter_mut().find(|log| log.service == Topic::Orders)?.relayed -= 1;
        nowhere()
    };
    I4 "a service goes on committing while it is read", "went on committing", |data| {
        data.logs.iter_mut().find(|log| log.service == Topic::Payments)?.head_after += 1;
        nowhere()
    };
    I4 "a service goes on committing before it is read", "went on committing", |data| {
        let log = data.logs.iter_mut().find(|log| log.service == Topic::Payments)?;
        log.head_before = Some(log.head - 1);
        nowhere()
    };
}
