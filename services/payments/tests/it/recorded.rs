//! Payments whose events were recorded by any version still come to what that version made of them.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};
use viscount_chassis::testing::recorded_events;
use viscount_contracts::{Envelope, OrderId, Topic};
use viscount_payments::{
    codec,
    domain::{Charge, Payment, RefundState},
};

#[test]
fn recorded_payments_come_to_what_they_came_to() {
    for (version, events) in recorded_events(Topic::Payments) {
        let mut streams: BTreeMap<OrderId, Vec<Envelope>> = BTreeMap::new();
        for event in events {
            streams.entry(OrderId::from(event.key)).or_default().push(event);
        }
        let states: Value = streams
            .into_iter()
            .map(|(order, events)| (order.to_string(), state(&codec::restore(order, &events).unwrap())))
            .collect();
        let path = version.join("states").join("payments.json");
        if std::env::var_os("RECORD_EVENTS").is_some() && !path.exists() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("{states:#}\n")).unwrap();
        }
        let recorded: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(states, recorded, "{}", path.display());
    }
}

fn state(payment: &Payment) -> Value {
    json!({
        "version": payment.version(),
        "customer": payment.customer(),
        "charge": charge(payment.charge()),
        "amount": payment.amount(),
        "captured": payment.captured(),
        "refunded": payment.refunded(),
        "refunds": payment.refunds().iter().map(|refund| {
            json!({ "id": refund.id, "amount": refund.amount, "state": refund_state(&refund.state) })
        }).collect::<Vec<_>>(),
    })
}

fn charge(charge: &Charge) -> Value {
    match charge {
        Charge::Expected => json!("expected"),
        Charge::Voided => json!("voided"),
        Charge::Pending { terms, cancelled } => json!({ "pending": {
            "customer": terms.customer, "amount": terms.amount, "token": terms.token, "cancelled": cancelled,
        }}),
        Charge::Captured { amount, reference } => {
            json!({ "captured": { "amount": amount, "reference": reference } })
        }
        Charge::Failed { amount, code, detail } => {
            json!({ "failed": { "amount": amount, "code": code, "detail": detail } })
        }
    }
}

fn refund_state(state: &RefundState) -> Value {
    match state {
        RefundState::Open => json!("open"),
        RefundState::Done { reference } => json!({ "done": reference }),
        RefundState::Failed { code, detail } => json!({ "failed": { "code": code, "detail": detail } }),
    }
}
