//! The names of this service's own metrics, and what an order that went on means for them.

use metrics::{counter, histogram};
use viscount_chassis::{
    metrics::{Closed, Label},
    telemetry::{TraceContext, exporting, metrics::Exemplars},
};

use viscount_contracts::Currency;

use crate::domain::{Order, Status};

const STATUS: Label = Label(
    "status",
    "`created`, `validated`, `paid`, `completed`, `rejected`, `cancelled`, `partially_refunded` or `refunded`",
);
const WAITING: Label = Label(
    "status",
    "`created`: waits for stock; `validated`: waits for payment; `paid`: waits for fulfilment",
);
const CURRENCY: Label = Label("currency", "ISO 4217: those that the catalogue has prices in");

viscount_chassis::metrics::list! {
    ORDERS = counter("orders_total", [STATUS], "Orders that came to a status.");
    FINAL_SECONDS = histogram("order_final_seconds",
        [Label("status", "`completed`, `rejected` or `cancelled`: what the order ended as")],
        "From accepted to final; with `completed`, from created to completed. With exemplars.");
    OPEN = gauge("orders_open", [WAITING],
        "Orders that wait, counted in the database every ten seconds, 20,000 at the most. Each replica tells the same: take the maximum.");
    STUCK = gauge("orders_stuck", [WAITING],
        "Those of them that have waited in their status for more than a minute. `paid` counts only while nobody outside has to fulfil.");
    REVENUE = counter("orders_revenue_minor_units_total", [CURRENCY], "Totals of the orders that were completed.");
    REFUNDED = counter("orders_refunded_minor_units_total", [CURRENCY], "Money that was returned.");
    STREAM_WATCHERS = gauge("order_stream_watchers", [], "Watchers of orders, over websockets and server-sent events.");
}

/// The name of every status.
const STATUSES: [&str; Status::ALL.len()] = {
    let (mut names, mut at) = ([""; Status::ALL.len()], 0);
    while at < names.len() {
        names[at] = Status::ALL[at].name();
        at += 1;
    }
    names
};

/// Counters whose series are all known. Those of money begin with the first price in their currency.
pub(crate) const CLOSED: &[Closed] = &[Closed(ORDERS, "status", &STATUSES)];

/// Orders may be paid in this currency from now on.
pub(crate) fn takes(currency: Currency) {
    drop(counter!(REVENUE, "currency" => currency.to_string()));
    drop(counter!(REFUNDED, "currency" => currency.to_string()));
}

/// Counts what became of an order, in the trace of whatever brought it about.
pub(crate) fn went_on(before: Option<&Order>, order: &Order, traceparent: Option<&str>) {
    count_refunds(before, order);
    if before.is_some_and(|before| before.status == order.status) {
        return;
    }
    counter!(ORDERS, "status" => order.status.name()).increment(1);
    if order.status.is_final() && before.is_none_or(|before| !before.status.is_final()) {
        let took = order.updated_at.duration_since(order.created_at).as_secs_f64();
        histogram!(FINAL_SECONDS, "status" => order.status.name()).record(took);
        if exporting() {
            let trace = traceparent.and_then(TraceContext::parse).and_then(TraceContext::exemplar);
            Exemplars::of(FINAL_SECONDS, &[("status", order.status.name())]).note(took, trace);
        }
    }
    if order.status == Status::Completed {
        counter!(REVENUE, "currency" => order.total.currency().to_string())
            .increment(order.total.amount().unsigned_abs());
    }
}

fn count_refunds(before: Option<&Order>, order: &Order) {
    if order.refunds.is_empty() {
        return;
    }
    let before = before.map_or(0, |before| before.refunded().amount());
    let returned = order.refunded().amount() - before;
    if returned > 0 {
        counter!(REFUNDED, "currency" => order.total.currency().to_string())
            .increment(returned.unsigned_abs());
    }
}
