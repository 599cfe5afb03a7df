//! I3: one capture for each paid order; captured − refunded as the order says; the provider's own books agree.

use std::collections::HashMap;

use sqlx::Row;
use uuid::Uuid;
use viscount_contracts::Topic;

use super::{
    events::Places,
    facts::Order,
    payments::Payment,
    report::{Promise, Report},
    world::World,
};
use crate::failure::Failure;

/// What payments' tables and the provider say of one order.
#[derive(Default)]
struct Books {
    /// Payments' currency and the provider's name for the charge.
    currency: Option<String>,
    reference: Option<String>,
    /// The sums of the accounts.
    balance: i64,
    sales: i64,
    refunds: i64,
    /// A question to the provider is open: it may know more than payments.
    open: bool,
    charges: Vec<Charge>,
}

/// Money that the provider took.
struct Charge {
    reference: String,
    amount: i64,
    returned: i64,
    currency: String,
}

/// Compares what orders, payments, their ledger and the provider say.
pub async fn check(
    world: &World,
    places: &Places,
    facts: &HashMap<Uuid, Order>,
    payments: &HashMap<Uuid, Payment>,
    report: &mut Report,
) -> Result<(), Failure> {
    let books = read(world, report).await?;
    let (nothing, unpaid) = (Books::default(), Payment::default());
    let mut paid = 0;
    for (id, order) in facts {
        let mut wrong = |what: String| {
            report.violation(Promise::I3, format!("order {id}"), format!("{}: {what}", order.status));
        };
        let payment = payments.get(id).unwrap_or(&unpaid);
        of_order(order, &mut wrong);
        // What orders have not heard yet, they cannot say.
        let heard = payment.told_orders <= places.of(Topic::Orders, Topic::Payments);
        let (captured, refunded) = (payment.captured(), payment.refunded());
        if order.is_settled() && heard && (captured, refunded) != (order.captured(), order.refunded) {
            wrong(format!(
                "its events say {} taken and {} returned, payments say {captured} and {refunded} ({})",
                order.captured(),
                order.refunded,
                payment.status
            ));
        }
        of_payment(payment, books.get(id).unwrap_or(&nothing), order, &mut wrong);
        paid += usize::from(order.is_delivered());
    }
    report.checked(Promise::I3, format!("{paid} paid orders"));

    for (id, payment) in
        payments.iter().filter(|(id, payment)| payment.captured() > 0 && !facts.contains_key(id))
    {
        report.violation(
            Promise::I3,
            format!("order {id}"),
            format!("payments took {} for it, and there is no such order", payment.captured()),
        );
    }
    for (id, books) in books.iter().filter(|(id, _)| !facts.contains_key(id)) {
        for charge in &books.charges {
            report.violation(
                Promise::I3,
                format!("order {id}"),
                format!(
                    "the provider took {} for it ({}), and there is no such order",
                    charge.amount, charge.reference
                ),
            );
        }
    }
    Ok(())
}

/// What an order's own events say of its money.
fn of_order(order: &Order, wrong: &mut impl FnMut(String)) {
    if order.captures.len() > 1 {
        wrong(format!("{} captures", order.captures.len()));
    }
    if order.refunded > order.captured() {
        wrong(format!("{} returned of {} taken", order.refunded, order.captured()));
    }
    if order.is_delivered() {
        if order.captured() != order.total {
            wrong(format!("{} taken, and it costs {}", order.captured(), order.total));
        }
    } else if order.is_settled() && order.captured() != order.refunded {
        wrong(format!("{} taken and only {} returned", order.captured(), order.refunded));
    }
}

/// What payments' events, its ledger and the provider say of one payment.
fn of_payment(payment: &Payment, books: &Books, order: &Order, wrong: &mut impl FnMut(String)) {
    let (captured, refunded) = (payment.captured(), payment.refunded());
    if payment.captures.len() > 1 {
        wrong(format!("payments took money {} times", payment.captures.len()));
    }
    if (books.balance, books.sales, books.refunds) != (captured - refunded, -captured, refunded) {
        wrong(format!(
            "the ledger says {} balance, {} sales and {} refunds, where {captured} were taken and {refunded} returned",
            books.balance, books.sales, books.refunds
        ));
    }
    if captured > 0 && books.currency.as_ref().is_some_and(|currency| *currency != order.currency) {
        wrong(format!(
            "ordered in {}, paid in {}",
            order.currency,
            books.currency.as_deref().unwrap_or_default()
        ));
    }
    if books.charges.len() > 1 {
        wrong(format!("the provider charged it {} times", books.charges.len()));
    }
    // Another provider keeps its books where they cannot be read from here.
    let simulated = !books.charges.is_empty() || books.reference.as_deref().is_some_and(is_simulated);
    if !simulated || books.open || !order.is_settled() {
        return;
    }
    let took: i64 = books.charges.iter().map(|charge| charge.amount).sum();
    let returned: i64 = books.charges.iter().map(|charge| charge.returned).sum();
    if (took, returned) != (captured, refunded) {
        wrong(format!(
            "the provider took {took} and returned {returned}, payments say {captured} and {refunded}"
        ));
    }
    if let [charge] = books.charges.as_slice()
        && captured > 0
    {
        if books.reference.as_ref() != Some(&charge.reference) {
            wrong(format!("payments name charge {:?}, the provider {}", books.reference, charge.reference));
        }
        if charge.currency != order.currency {
            wrong(format!("ordered in {}, charged in {}", order.currency, charge.currency));
        }
    }
}

/// True for the simulator's names of charges.
fn is_simulated(reference: &str) -> bool {
    reference.strip_prefix("ch_").is_some_and(|number| {
        number.len() == 16
            && number.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

async fn read(world: &World, report: &mut Report) -> Result<HashMap<Uuid, Books>, Failure> {
    let mut books: HashMap<Uuid, Books> = HashMap::new();
    // The payments were read before: what the provider has done since, they may still be writing down. A question that
    // is open by then tells.
    let charges = sqlx::query(
        "select idempotency_key, metadata::jsonb ->> 'order_id', 'ch_' || lpad(to_hex(sequence), 16, '0'), amount,
            amount_refunded, currency from charges where status = 'succeeded' and captured",
    )
    .fetch_all(&world.simulator)
    .await?;
    report.checked(Promise::I3, format!("{} charges at the provider", charges.len()));
    for row in charges {
        let (key, named): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        let (reference, amount): (String, i64) = (row.try_get(2)?, row.try_get(3)?);
        let Some(order) =
            [named.as_ref(), Some(&key)].into_iter().flatten().find_map(|id| id.parse::<Uuid>().ok())
        else {
            let what = format!("the provider took {amount} under the key {key:?}, for no order");
            report.violation(Promise::I3, format!("charge {reference}"), what);
            continue;
        };
        let charge = Charge { reference, amount, returned: row.try_get(4)?, currency: row.try_get(5)? };
        books.entry(order).or_default().charges.push(charge);
    }
    let payments = sqlx::query(
        "select p.order_id, p.currency, p.provider_reference,
            exists (select 1 from open_calls c where c.order_id = p.order_id)
         from payments p",
    )
    .fetch_all(&world.payments)
    .await?;
    for row in payments {
        let entry = books.entry(row.try_get(0)?).or_default();
        (entry.currency, entry.reference, entry.open) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    }
    let ledger = sqlx::query(
        "select order_id, coalesce(sum(amount) filter (where account = 'provider_balance'), 0)::bigint,
            coalesce(sum(amount) filter (where account = 'sales'), 0)::bigint,
            coalesce(sum(amount) filter (where account = 'refunds'), 0)::bigint
         from ledger group by order_id",
    )
    .fetch_all(&world.payments)
    .await?;
    for row in ledger {
        let entry = books.entry(row.try_get(0)?).or_default();
        (entry.balance, entry.sales, entry.refunds) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    }
    Ok(books)
}
