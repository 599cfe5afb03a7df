//! The payments' double entry: every transaction sums to zero, is told by one event, and says what that event says.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;
use viscount_contracts::Topic;

use crate::audit::{
    dataset::{Dataset, PostingRow},
    facts::Facts,
    verdict::{Findings, Promise, wrong},
};

/// What a transaction has to look like.
struct Due {
    order: Uuid,
    event: usize,
    debit: &'static str,
    credit: &'static str,
    amount: i64,
    currency: String,
}

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    let mut posted: BTreeMap<Uuid, Vec<&PostingRow>> = BTreeMap::new();
    for row in &data.ledger {
        posted.entry(row.transaction).or_default().push(row);
    }
    let mut due = due(data, facts);
    for (transaction, rows) in posted {
        let order = rows.first().map(|row| row.order).unwrap_or_default();
        let mut add = |what: String| found.add(Promise::I3, wrong(what).order(order));
        let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
        for row in &rows {
            *sums.entry(&row.currency).or_default() += row.amount;
        }
        for (currency, sum) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
            add(format!("ledger transaction {transaction} sums to {sum} {currency}, not to zero"));
        }
        let Some(due) = due.remove(&transaction) else {
            add(format!("no event tells of ledger transaction {transaction}"));
            continue;
        };
        let of = due.currency.as_str();
        let mut wanted = [(due.debit, due.amount, of), (due.credit, -due.amount, of)];
        let mut said: Vec<(&str, i64, &str)> =
            rows.iter().map(|row| (row.account.as_str(), row.amount, row.currency.as_str())).collect();
        wanted.sort_unstable();
        said.sort_unstable();
        if said != wanted || rows.iter().any(|row| row.order != due.order) {
            add(format!("the ledger says {said:?} in {transaction}, its event says {wanted:?}"));
        }
    }
    for (transaction, due) in due {
        let what = format!("the ledger misses transaction {transaction} of {}", due.amount);
        found.add(Promise::I3, wrong(what).order(due.order).events([due.event]));
    }
}

/// The transactions that the events tell of, by their events' ids.
fn due(data: &Dataset, facts: &Facts<'_>) -> HashMap<Uuid, Due> {
    let mut due = HashMap::new();
    let mut add = |order: Uuid, event: usize, (debit, credit), amount, currency: &str| {
        let told = data.events.get(event).filter(|told| told.service == Topic::Payments);
        if let Some(told) = told {
            due.insert(told.id, Due { order, event, debit, credit, amount, currency: currency.to_owned() });
        }
    };
    for (order, payment) in &facts.payments {
        for capture in &payment.captures {
            add(*order, capture.event, ("provider_balance", "sales"), capture.amount, &capture.currency);
        }
        for refund in payment.refunds.values() {
            for (event, amount, _) in &refund.done {
                add(*order, *event, ("refunds", "provider_balance"), *amount, &refund.currency);
            }
        }
    }
    due
}
