//! I8.

use serde_json::{Value, json};
use uuid::Uuid;
use viscount_contracts::{
    Topic,
    events::{
        inventory::v1::InventoryAdjusted,
        orders::v1::{OrderCancelled, OrderCreated, OrderRefundRequested},
    },
};

use crate::{
    audit::{Dataset, KeyRow},
    history::{Call, Line, Operation, Outcome, StreamEnd},
    selftest::{Where, bed::*, plants::plants},
};

/// Changes the answer of the first order that was accepted.
fn answer(data: &mut Dataset, change: impl FnOnce(&mut Value)) -> Option<Where> {
    let (operation, order) = accepted(data)?;
    body(operation, change)?;
    at(order)
}

fn body(operation: &mut Operation, change: impl FnOnce(&mut Value)) -> Option<()> {
    match &mut operation.outcome {
        Outcome::Ok { body, .. } => {
            change(body);
            Some(())
        }
        Outcome::Refused { .. } | Outcome::Unknown { .. } => None,
    }
}

/// The first order that was accepted, asked for once more as `change` has it, later.
fn repeated(data: &mut Dataset, change: impl FnOnce(&mut Operation)) -> Option<Where> {
    let order = accepted(data)?.1;
    once_more(data, |one| matches!(one.call, Call::PlaceOrder { .. }), change)?;
    at(order)
}

/// The first good one of these operations once more as `change` has it, later.
fn once_more(
    data: &mut Dataset,
    is: impl Fn(&Operation) -> bool,
    change: impl FnOnce(&mut Operation),
) -> Option<()> {
    let (last, _) = last_line(data)?;
    let mut more = operation(data, |one| is_ok(one) && is(one))?.clone();
    more.id = last + 1;
    (more.begun, more.ended) = (more.ended + HALF_A_SECOND, more.ended + HALF_A_SECOND);
    change(&mut more);
    data.history.push(Line::Operation(more));
    Some(())
}

const HALF_A_SECOND: jiff::SignedDuration = jiff::SignedDuration::from_millis(500);

/// Has every try with this key refused.
fn refuse(data: &mut Dataset, is: impl Fn(&Call) -> bool) {
    for line in &mut data.history {
        if let Line::Operation(operation) = line
            && is(&operation.call)
        {
            operation.outcome = refused(409);
        }
    }
}

/// Takes these operations out of the history.
fn unseen(data: &mut Dataset, is: impl Fn(&Call) -> bool) {
    data.history.retain(|line| !matches!(line, Line::Operation(operation) if is(&operation.call)));
}

/// The last good read of an order that had come far.
fn late_read(data: &mut Dataset) -> Option<&mut Operation> {
    let far = |one: &Operation| match &one.outcome {
        Outcome::Ok { body, .. } => body["version"].as_i64() >= Some(4),
        Outcome::Refused { .. } | Outcome::Unknown { .. } => false,
    };
    let read = |one: &Operation| matches!(one.call, Call::ReadOrder { .. }) && far(one);
    data.history.iter_mut().rev().find_map(|line| match line {
        Line::Operation(operation) if read(operation) => Some(operation),
        Line::Operation(_) | Line::Stream(_) => None,
    })
}

/// That read once more as `change` has it, later.
fn read_again(data: &mut Dataset, change: impl FnOnce(&mut Operation)) -> Option<Where> {
    let (last, _) = last_line(data)?;
    let read = late_read(data)?;
    let (order, mut more) = (shown(read)?, read.clone());
    more.id = last + 1;
    (more.begun, more.ended) = (more.ended + HALF_A_SECOND, more.ended + HALF_A_SECOND);
    change(&mut more);
    data.history.push(Line::Operation(more));
    at(order)
}

/// The event of the first stock that a client has brought.
fn brought(data: &mut Dataset) -> Option<usize> {
    let adjust = operation(data, |one| matches!(one.call, Call::Adjust { .. }) && is_ok(one))?;
    let Call::Adjust { product, .. } = adjust.call else { return None };
    event::<InventoryAdjusted>(data, product)
}

/// What is remembered with the first order that was accepted.
fn remembered(data: &mut Dataset) -> Option<(&mut KeyRow, Uuid)> {
    let (operation, order) = accepted(data)?;
    let Call::PlaceOrder { buyer, key, .. } = operation.call.clone() else { return None };
    let row = data.keys.iter_mut().find(|row| row.principal == buyer && row.key == key)?;
    Some((row, order))
}

plants! {
    I8 "an order is accepted that there is not", "there is no such order", |data| {
        let planted = Uuid::from_u128(7);
        answer(data, |body| body["id"] = json!(planted))?;
        at(planted)
    };
    I8 "an order is answered with other lines", "its answer shows", |data| answer(data, |body| body["lines"] = json!([]));
    I8 "an order is over other pieces than were asked for", "the order is over", |data| {
        let (operation, order) = accepted(data)?;
        if let Call::PlaceOrder { lines, .. } = &mut operation.call {
            lines.first_mut()?.quantity += 1;
        }
        at(order)
    };
    I8 "an order is somebody else's", "the order is of", |data| {
        let (_, order) = accepted(data)?;
        let created = event::<OrderCreated>(data, order)?;
        edit::<OrderCreated>(data, created, |created| created.customer_id = Uuid::from_u128(7).to_string())?;
        at(order)
    };
    I8 "an order is paid with another card", "the order is paid with", |data| {
        let (operation, order) = accepted(data)?;
        if let Call::PlaceOrder { payment_token, .. } = &mut operation.call {
            *payment_token = "tok_amex".to_owned();
        }
        at(order)
    };
    I8 "what was refused has an effect", "was refused each time, and there is an order", |data| {
        let (operation, order) = accepted(data)?;
        let Call::PlaceOrder { key, .. } = operation.call.clone() else { return None };
        refuse(data, |call| matches!(call, Call::PlaceOrder { key: other, .. } if *other == key));
        at(order)
    };
    I8 "one key gives two orders", "2 orders were given for it", |data| {
        let other = data.orders.last()?.id;
        repeated(data, |more| _ = body(more, |body| body["id"] = json!(other)))
    };
    I8 "one key gives two answers", "were answered differently", |data| {
        body(accepted(data)?.0, |body| body["version"] = json!(1))?;
        repeated(data, |more| _ = body(more, |body| body["created_at"] = json!("2020-01-01T00:00:00Z")))
    };
    I8 "a taken key is answered as if it were free", "has another body, and was refused with 400", |data| {
        repeated(data, |more| {
            more.outcome = refused(400);
            if let Call::PlaceOrder { payment_token, .. } = &mut more.call {
                payment_token.push('x');
            }
        })
    };
    I8 "two keys are remembered with one order", "2 keys are remembered", |data| {
        let mut row = data.keys.iter().find(|row| row.service == Topic::Orders && row.status == 201)?.clone();
        let shown: Value = serde_json::from_str(&row.body).ok()?;
        row.key.push('x');
        data.keys.push(row);
        at(shown["id"].as_str()?.parse().ok()?)
    };
    I8 "an order that nobody asked for", "nobody asked for it", |data| {
        let (_, order) = accepted(data)?;
        let text = order.to_string();
        data.keys.retain(|row| !row.body.contains(&text));
        at(order)
    };
    I8 "an order under a key that nobody used", "nobody asked under it", |data| {
        let (operation, order) = accepted(data)?;
        let Call::PlaceOrder { key, .. } = operation.call.clone() else { return None };
        unseen(data, |call| matches!(call, Call::PlaceOrder { key: other, .. } if *other == key));
        at(order)
    };
    I8 "a cancelled order is not cancelled", "was told that it is cancelled", |data| {
        let cancel = operation(data, |one| matches!(one.call, Call::Cancel { .. }) && is_ok(one))?;
        let order = shown(cancel)?;
        let cancelled = event::<OrderCancelled>(data, order)?;
        data.events.remove(cancelled);
        at(order)
    };
    I8 "a cancellation is refused and has its effect", "was refused each of", |data| {
        let cancelled = first::<OrderCancelled>(data)?;
        let order = data.events[cancelled].stream;
        refuse(data, |call| matches!(call, Call::Cancel { order: other, .. } if *other == order));
        at(order)
    };
    I8 "an order is cancelled, and nobody asked for that", "nobody asked for that", |data| {
        let cancelled = first::<OrderCancelled>(data)?;
        let order = data.events[cancelled].stream;
        unseen(data, |call| matches!(call, Call::Cancel { order: other, .. } if *other == order));
        at(order)
    };
    I8 "a refund is accepted and never asked for", "no event asks for it", |data| {
        let asked = event_of::<OrderRefundRequested>(data, "refunded")?;
        at(data.events.remove(asked).stream)
    };
    I8 "a refund of another amount is asked for", "was accepted, ", |data| {
        let part = |one: &Operation| matches!(one.call, Call::Refund { amount: Some(_), .. }) && is_ok(one);
        let refund = operation(data, part)?;
        if let Call::Refund { amount: Some(amount), .. } = &mut refund.call {
            *amount += 1;
        }
        at(shown(refund)?)
    };
    I8 "a refund is refused and has its effect", "an answer is remembered", |data| {
        let refund = operation(data, |one| matches!(one.call, Call::Refund { .. }) && is_ok(one))?;
        let order = shown(refund)?;
        refuse(data, |call| matches!(call, Call::Refund { order: other, .. } if *other == order));
        at(order)
    };
    I8 "a refund that nobody was promised", "that nobody was promised", |data| {
        let refund = operation(data, |one| matches!(one.call, Call::Refund { .. }) && is_ok(one))?;
        let order = shown(refund)?;
        unseen(data, |call| matches!(call, Call::Refund { order: other, .. } if *other == order));
        at(order)
    };
    I8 "a repeated refund is answered differently", "answered differently when it was repeated", |data| {
        let (last, _) = last_line(data)?;
        let refund = operation(data, |one| matches!(one.call, Call::Refund { .. }) && is_ok(one))?;
        let (order, mut more) = (shown(refund)?, refund.clone());
        more.id = last + 1;
        body(&mut more, |body| body["updated_at"] = json!("2020-01-01T00:00:00Z"))?;
        data.history.push(Line::Operation(more));
        at(order)
    };
    I8 "a read shows an older version than the client knew", "had shown", |data| {
        read_again(data, |more| _ = body(more, |body| (body["version"], body["status"]) = (json!(1), json!("created"))))
    };
    I8 "an order that was shown is gone", "says that there is none", |data| {
        read_again(data, |more| more.outcome = refused(404))
    };
    I8 "a read shows what the order never was", "where its events say", |data| {
        let read = late_read(data)?;
        body(read, |body| body["refunded"]["amount"] = json!(-1))?;
        at(shown(read)?)
    };
    I8 "a read shows a version that never was", "which is not among its events", |data| {
        let read = late_read(data)?;
        body(read, |body| body["version"] = json!(99))?;
        at(shown(read)?)
    };
    I8 "a read shows another order", "instead", |data| {
        let other = data.orders.first()?.id;
        let read = late_read(data)?;
        let order = shown(read)?;
        body(read, |body| body["id"] = json!(other))?;
        at(order)
    };
    I8 "stock is accepted and never comes", "inventory does not know of it", |data| {
        data.keys.retain(|row| row.service != Topic::Inventory);
        nowhere()
    };
    I8 "stock is refused and comes", "was refused, and had its effect", |data| {
        refuse(data, |call| matches!(call, Call::Adjust { .. }));
        nowhere()
    };
    I8 "stock comes twice under one key", "had its effect more than once", |data| {
        let adjust = operation(data, |one| matches!(one.call, Call::Adjust { .. }))?;
        let Call::Adjust { key, .. } = adjust.call.clone() else { return None };
        let mut row = data.keys.iter().find(|row| row.service == Topic::Inventory && row.key == key)?.clone();
        row.principal = Uuid::from_u128(7);
        data.keys.push(row);
        nowhere()
    };
    I8 "an order is asked for again and refused", "was accepted before, and refused with 422", |data| {
        repeated(data, |more| more.outcome = refused(422))
    };
    I8 "a refund is asked for again and refused", "was accepted before, and refused with 409", |data| {
        once_more(data, |one| matches!(one.call, Call::Refund { .. }), |more| more.outcome = refused(409))?;
        let Some(Line::Operation(Operation { call: Call::Refund { order, .. }, .. })) = data.history.last() else {
            return None;
        };
        at(*order)
    };
    I8 "stock is brought again and refused", "was accepted before, and refused with 409", |data| {
        once_more(data, |one| matches!(one.call, Call::Adjust { .. }), |more| more.outcome = refused(409))?;
        nowhere()
    };
    I8 "one key gives the order as it was, and as it became", "were answered differently", |data| {
        repeated(data, |more| _ = body(more, |body| (body["version"], body["status"]) = (json!(2), json!("validated"))))
    };
    I8 "an answer is not the one that is remembered", "is not what is remembered", |data| {
        let (row, order) = remembered(data)?;
        let mut body: Value = serde_json::from_str(&row.body).ok()?;
        body["created_at"] = json!("2020-01-01T00:00:00Z");
        row.body = body.to_string().into();
        at(order)
    };
    I8 "an answer is remembered for somebody else", "is remembered for", |data| {
        let (row, order) = remembered(data)?;
        row.principal = Uuid::from_u128(7);
        at(order)
    };
    I8 "an order of a buyer who never asked for one", "nobody asked under it", |data| {
        let (operation, order) = accepted(data)?;
        let Call::PlaceOrder { buyer, .. } = operation.call else { return None };
        unseen(data, |call| matches!(call, Call::PlaceOrder { buyer: other, .. } if *other == buyer));
        at(order)
    };
    I8 "a read shows somebody else an older version", "had shown", |data| {
        read_again(data, |more| {
            more.client = u32::MAX;
            _ = body(more, |body| (body["version"], body["status"]) = (json!(1), json!("created")));
        })
    };
    I8 "an order that was shown to somebody else is gone", "says that there is none", |data| {
        read_again(data, |more| (more.client, more.outcome) = (u32::MAX, refused(404)))
    };
    I8 "an order is kept from its buyer", "was refused with 403", |data| read_again(data, |more| more.outcome = refused(403));
    I8 "a stream of an accepted order is not found", "says that there is none", |data| {
        let (last, end) = last_line(data)?;
        let mut more = stream(data, 3)?.clone();
        (more.id, more.client, more.begun, more.ended) = (last + 1, u32::MAX, end, end);
        more.frames.clear();
        more.end = StreamEnd::Refused { status: 404 };
        let order = more.order;
        data.history.push(Line::Stream(more));
        at(order)
    };
    I8 "a read shows nothing", "shows no order", |data| {
        let read = late_read(data)?;
        let order = shown(read)?;
        body(read, |body| *body = json!({}))?;
        at(order)
    };
    I8 "more stock comes than was brought", "nobody has brought", |data| {
        let adjusted = brought(data)?;
        edit::<InventoryAdjusted>(data, adjusted, |adjusted| adjusted.delta += 1)?;
        nowhere()
    };
    I8 "stock is accepted and less comes", "and no event tells of it", |data| {
        let adjusted = brought(data)?;
        edit::<InventoryAdjusted>(data, adjusted, |adjusted| adjusted.delta -= 1)?;
        nowhere()
    };
    I8 "a product is accepted that there is not", "there is no such product", |data| {
        let made = operation(data, |one| matches!(one.call, Call::CreateProduct { .. }) && is_ok(one))?;
        let product = shown(made)?;
        forget(data, Topic::Catalog, product);
        nowhere()
    };
    I8 "all is asked back, and a part is returned", "all that was left", |data| {
        let all = |one: &Operation| matches!(one.call, Call::Refund { amount: None, .. }) && is_ok(one);
        let refund = operation(data, all)?;
        let order = shown(refund)?;
        let Outcome::Ok { body, .. } = &refund.outcome else { return None };
        let version = body["version"].as_i64();
        let asked = data.events.iter().position(|event| {
            (event.service, event.stream, Some(i64::from(event.version))) == (Topic::Orders, order, version)
        })?;
        edit::<OrderRefundRequested>(data, asked, |asked| {
            asked.amount.iter_mut().for_each(|money| money.amount -= 1);
        })?;
        at(order)
    };
}
