//! Orders whose events were recorded by any version still come to what that version made of them.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};
use viscount_chassis::testing::recorded_events;
use viscount_contracts::{OrderId, Topic};
use viscount_orders::{
    codec,
    domain::{self, Order, RefundState},
};

#[test]
fn recorded_orders_come_to_what_they_came_to() {
    for (version, events) in recorded_events(Topic::Orders) {
        let mut orders: BTreeMap<String, Option<Order>> = BTreeMap::new();
        for event in &events {
            let happened = codec::decode(event).unwrap();
            let order = orders.entry(event.key.to_string()).or_default();
            *order = domain::evolve(OrderId::from(event.key), order.take(), &happened, event.occurred_at);
        }
        let states: Value = orders.into_iter().map(|(id, order)| (id, state(&order.unwrap()))).collect();
        let path = version.join("states").join("orders.json");
        if std::env::var_os("RECORD_EVENTS").is_some() && !path.exists() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("{states:#}\n")).unwrap();
        }
        let recorded: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(states, recorded, "{}", path.display());
    }
}

fn state(order: &Order) -> Value {
    json!({
        "status": order.status,
        "version": order.version,
        "customer": order.customer,
        "lines": &*order.lines,
        "total": order.total,
        "method": order.means.method,
        "token": order.means.token,
        "payment": order.payment.map(|payment| json!({ "id": payment.id, "amount": payment.amount })),
        "refunds": order.refunds.iter().map(|refund| {
            json!({ "id": refund.id, "amount": refund.amount, "state": refund_state(refund.state) })
        }).collect::<Vec<_>>(),
        "reason": order.reason,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
    })
}

fn refund_state(state: RefundState) -> &'static str {
    match state {
        RefundState::Requested => "requested",
        RefundState::Done => "done",
        RefundState::Failed => "failed",
    }
}
