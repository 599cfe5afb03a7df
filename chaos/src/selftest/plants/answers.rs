//! I8.

use serde_json::{Value, json};
use uuid::Uuid;
use viscount_contracts::{
    Topic,
    events::orders::v1::{OrderCancelled, OrderCreated, OrderRefundRequested},
};

use crate::{
    audit::Dataset,
    history::{Call, Line, Operation, Outcome},
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
    let last = data.history.iter().map(number).max()?;
    let (operation, order) = accepted(data)?;
    let mut more = operation.clone();
    more.id = last + 1;
    (more.begun, more.ended) = (more.ended + HALF_A_SECOND, more.ended + HALF_A_SECOND);
    change(&mut more);
    data.history.push(Line::Operation(more));
    at(order)
}

const HALF_A_SECOND: jiff::SignedDuration = jiff::SignedDuration::from_millis(500);

fn number(line: &Line) -> u64 {
    match line {
        Line::Operation(operation) => operation.id,
        Line::Stream(stream) => stream.id,
    }
}

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
        let last = data.history.iter().map(number).max()?;
        let refund = operation(data, |one| matches!(one.call, Call::Refund { .. }) && is_ok(one))?;
        let (order, mut more) = (shown(refund)?, refund.clone());
        more.id = last + 1;
        body(&mut more, |body| body["updated_at"] = json!("2020-01-01T00:00:00Z"))?;
        data.history.push(Line::Operation(more));
        at(order)
    };
    I8 "a read shows an older version than the client knew", "had shown", |data| {
        let last = data.history.iter().map(number).max()?;
        let read = late_read(data)?;
        let (order, mut more) = (shown(read)?, read.clone());
        more.id = last + 1;
        (more.begun, more.ended) = (more.ended + HALF_A_SECOND, more.ended + HALF_A_SECOND);
        body(&mut more, |body| (body["version"], body["status"]) = (json!(1), json!("created")))?;
        data.history.push(Line::Operation(more));
        at(order)
    };
    I8 "an order that was shown is gone", "says that there is none", |data| {
        let last = data.history.iter().map(number).max()?;
        let read = late_read(data)?;
        let (order, mut more) = (shown(read)?, read.clone());
        (more.id, more.outcome) = (last + 1, refused(404));
        (more.begun, more.ended) = (more.ended + HALF_A_SECOND, more.ended + HALF_A_SECOND);
        data.history.push(Line::Operation(more));
        at(order)
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
}
