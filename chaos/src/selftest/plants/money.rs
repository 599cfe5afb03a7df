//! I3.

use jiff::SignedDuration;
use uuid::Uuid;
use viscount_contracts::{
    Topic,
    events::{
        common::v1::Money,
        orders::v1::{
            OrderCancelled, OrderCompleted, OrderCreated, OrderPaymentProcessed, OrderRefundRequested,
            OrderRefunded,
        },
        payments::v1::{PaymentProcessed, PaymentRefunded},
    },
};

use crate::{
    audit::OpenCallRow,
    selftest::{bed::*, plants::plants},
};

/// So much more.
fn more(money: &mut Option<Money>, pennies: i64) {
    if let Some(money) = money {
        money.amount += pennies;
    }
}

fn in_euros(money: Money) -> Money {
    Money { currency: "EUR".to_owned(), ..money }
}

plants! {
    I3 "payments take the money twice", "payments took its money 2 times", |data| {
        let taken = first::<PaymentProcessed>(data)?;
        again(data, taken)?;
        of(data, taken)
    };
    I3 "an order is paid twice", "was paid 2 times", |data| {
        let paid = first::<OrderPaymentProcessed>(data)?;
        again(data, paid)?;
        of(data, paid)
    };
    I3 "an order is paid with less than it costs", "costs", |data| {
        let paid = first::<OrderPaymentProcessed>(data)?;
        edit::<OrderPaymentProcessed>(data, paid, |said| more(&mut said.amount, -1))?;
        of(data, paid)
    };
    I3 "more goes back than was taken", "returned of", |data| {
        let done = event_of::<OrderRefunded>(data, "refunded")?;
        edit::<OrderRefunded>(data, done, |said| more(&mut said.amount, 1))?;
        of(data, done)
    };
    I3 "a refund is done twice", "payments did refund", |data| {
        let done = first::<PaymentRefunded>(data)?;
        again(data, done)?;
        of(data, done)
    };
    I3 "an order counts a refund twice", "was done 2 times", |data| {
        let done = event_of::<OrderRefunded>(data, "partially_refunded")?;
        again(data, done)?;
        of(data, done)
    };
    I3 "payments return what the order never asked for", "never asked for", |data| {
        let done = first::<PaymentRefunded>(data)?;
        edit::<PaymentRefunded>(data, done, |done| done.refund_id = Uuid::from_u128(7).to_string())?;
        of(data, done)
    };
    I3 "payments return another amount than the order says", "payments say", |data| {
        let done = first::<PaymentRefunded>(data)?;
        edit::<PaymentRefunded>(data, done, |said| more(&mut said.amount, -1))?;
        of(data, done)
    };
    I3 "less goes back than was asked for", "were asked for", |data| {
        let asked = first::<OrderRefundRequested>(data)?;
        edit::<OrderRefundRequested>(data, asked, |said| more(&mut said.amount, 1))?;
        of(data, asked)
    };
    I3 "money of a cancelled order is kept", "were taken and only 0 returned", |data| {
        let paid = event_of::<OrderPaymentProcessed>(data, "completed")?;
        let order = data.events[paid].stream;
        let done = event::<OrderCompleted>(data, order)?;
        (data.events[done].kind, data.events[done].data) = ("OrderCancelled".into(), Box::default());
        edit::<OrderCancelled>(data, done, |cancelled| cancelled.cancelled_by = "admin".to_owned())?;
        at(order)
    };
    I3 "an order is paid in another currency", "paid in", |data| {
        let taken = first::<PaymentProcessed>(data)?;
        edit::<PaymentProcessed>(data, taken, |said| said.amount = said.amount.take().map(in_euros))?;
        of(data, taken)
    };
    I3 "money is taken for an order that there is not", "there is no such order", |data| {
        let taken = first::<PaymentProcessed>(data)?;
        let order = data.events[taken].stream;
        forget(data, Topic::Orders, order);
        at(order)
    };
    I3 "a ledger transaction does not sum to zero", "not to zero", |data| {
        let row = data.ledger.first_mut()?;
        row.amount += 1;
        at(row.order)
    };
    I3 "a ledger transaction is missing", "the ledger misses", |data| {
        let row = data.ledger.first()?.clone();
        data.ledger.retain(|other| other.transaction != row.transaction);
        at(row.order)
    };
    I3 "a ledger transaction that no event tells of", "no event tells of", |data| {
        let mut rows: Vec<_> = data.ledger.iter().take(2).cloned().collect();
        rows.iter_mut().for_each(|row| row.transaction = Uuid::from_u128(7));
        let order = rows.first()?.order;
        data.ledger.extend(rows);
        at(order)
    };
    I3 "the ledger has money on another account", "the ledger says", |data| {
        let row = data.ledger.iter_mut().find(|row| row.account == "sales")?;
        row.account = "refunds".to_owned();
        at(row.order)
    };
    I3 "a charge at the provider that payments do not know", "which payments do not know", |data| {
        let failed = data.payments.iter().find(|row| row.status == "failed")?.order;
        data.charges.iter_mut().find(|charge| charge.key == failed.to_string())?.taken = true;
        at(failed)
    };
    I3 "the provider charges an order twice, under two keys", "the provider took its money 2 times", |data| {
        let mut charge = data.charges.iter().find(|charge| charge.taken)?.clone();
        let order = charge.key.parse().ok()?;
        (charge.sequence, charge.key) = (1_000_000, "another key".to_owned());
        (charge.order, charge.returned) = (Some(order).map(|order: Uuid| order.to_string()), 0);
        data.charges.push(charge);
        at(order)
    };
    I3 "the provider has one key twice", "more than once", |data| {
        let charge = data.charges.iter().find(|charge| charge.taken)?.clone();
        let order = charge.key.parse().ok()?;
        data.charges.push(charge);
        at(order)
    };
    I3 "the provider takes money for no order", "for no order", |data| {
        let charge = data.charges.iter_mut().find(|charge| charge.taken)?;
        (charge.key, charge.order) = ("stray".to_owned(), None);
        nowhere()
    };
    I3 "the provider takes another amount", "payments say", |data| {
        let charge = data.charges.iter_mut().find(|charge| charge.taken)?;
        charge.amount += 1;
        at(charge.key.parse().ok()?)
    };
    I3 "the provider knows nothing of a capture", "of which the provider knows nothing", |data| {
        let gone = data.charges.iter().position(|charge| charge.taken && charge.returned == 0)?;
        at(data.charges.remove(gone).key.parse().ok()?)
    };
    I3 "the provider knows nothing of a refund", "by refund", |data| {
        let gone = data.returns.pop()?;
        let charge = data.charges.iter_mut().find(|charge| charge.sequence == gone.charge)?;
        charge.returned -= gone.amount;
        at(charge.key.parse().ok()?)
    };
    I3 "the provider returns what payments do not know", "which payments do not know", |data| {
        let mut more = data.returns.first()?.clone();
        (more.sequence, more.key) = (1_000_000, Uuid::from_u128(7).to_string());
        let charge = data.charges.iter().find(|charge| charge.sequence == more.charge)?;
        let order = charge.key.parse().ok()?;
        data.returns.push(more);
        at(order)
    };
    I3 "the provider's refunds are not what its charge says", "its refunds come to", |data| {
        let charge = data.charges.iter_mut().find(|charge| charge.returned > 0)?;
        charge.returned -= 1;
        at(charge.key.parse().ok()?)
    };
    I3 "a question to the provider is never answered", "has not answered", |data| {
        let order = order(data, "completed")?;
        let opened_at = data.collected_at?;
        data.collected_at = opened_at.checked_add(SignedDuration::from_hours(1)).ok();
        data.open_calls.push(OpenCallRow { key: order, order, kind: "charge".to_owned(), opened_at });
        at(order)
    };
    I3 "a question is open when everything is collected", "has not answered", |data| {
        let order = order(data, "completed")?;
        let opened_at = data.collected_at?;
        data.open_calls.push(OpenCallRow { key: order, order, kind: "charge".to_owned(), opened_at });
        at(order)
    };
    I3 "a charge is unknown while a refund is asked for", "which payments do not know", |data| {
        let failed = data.payments.iter().find(|row| row.status == "failed")?.order;
        data.charges.iter_mut().find(|charge| charge.key == failed.to_string())?.taken = true;
        let opened_at = data.collected_at?;
        data.open_calls.push(OpenCallRow { key: Uuid::from_u128(7), order: failed, kind: "refund".to_owned(), opened_at });
        at(failed)
    };
    I3 "an order costs a penny more than its lines", "its lines come to", |data| {
        let created = first::<OrderCreated>(data)?;
        edit::<OrderCreated>(data, created, |said| more(&mut said.total, 1))?;
        of(data, created)
    };
    I3 "a line costs a penny more than its pieces", "pieces at", |data| {
        let created = first::<OrderCreated>(data)?;
        edit::<OrderCreated>(data, created, |said| {
            more(&mut said.total, 1);
            said.lines.iter_mut().take(1).for_each(|line| more(&mut line.line_total, 1));
        })?;
        of(data, created)
    };
    I3 "the provider returns another currency", "payments say", |data| {
        let first = data.returns.first_mut()?;
        first.currency = "EUR".to_owned();
        let charge = first.charge;
        at(data.charges.iter().find(|row| row.sequence == charge)?.key.parse().ok()?)
    };
    I3 "the ledger is kept in another currency", "the ledger says", |data| {
        let (transaction, order) = data.ledger.first().map(|row| (row.transaction, row.order))?;
        let rows = data.ledger.iter_mut().filter(|row| row.transaction == transaction);
        rows.for_each(|row| row.currency = "EUR".to_owned());
        at(order)
    };
    I3 "a refund is asked for in another currency", "returned in", |data| {
        let asked = first::<OrderRefundRequested>(data)?;
        edit::<OrderRefundRequested>(data, asked, |said| said.amount = said.amount.take().map(in_euros))?;
        of(data, asked)
    };
    I3 "money goes back in another currency", "returned in", |data| {
        let done = first::<PaymentRefunded>(data)?;
        edit::<PaymentRefunded>(data, done, |said| said.amount = said.amount.take().map(in_euros))?;
        of(data, done)
    };
}
