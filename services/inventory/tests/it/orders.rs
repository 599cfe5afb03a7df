//! What orders' events do, in whatever order and however often they come.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;
use viscount_chassis::{
    auth::Role,
    store::NewEvent,
    testing::{eventually, run},
};
use viscount_contracts::{
    OrderId, ProductId, ReservationId, UserId,
    events::{
        inventory::v1::{InventoryDeducted, InventoryRejected, InventoryReleased, InventoryReserved},
        orders::v1::{OrderCreated, OrderRejected},
    },
};

use crate::app::{TestApp, again, created};

#[test]
fn an_order_is_reserved_then_deducted() {
    run(async {
        let app = TestApp::start().await;
        let (tea, pot) = (app.product(10).await, app.product(3).await);
        let order = OrderId::new();
        app.created(order, 1, &[(tea, 2), (pot, 1), (tea, 1)]).await;
        app.until_kinds(order, &["InventoryReserved"]).await;
        assert_eq!((app.levels(tea).await, app.levels(pot).await), ((10, 3), (3, 1)));
        let told = app.told(order).await;
        let reserved: InventoryReserved = told[0].decode().unwrap();
        assert_eq!((told[0].version, reserved.order_id), (1, order.to_string()));
        assert_eq!(reserved.lines.iter().map(|line| line.quantity).collect::<Vec<_>>(), [3, 1]);

        app.completed(order, 2).await;
        app.until_kinds(order, &["InventoryReserved", "InventoryDeducted"]).await;
        assert_eq!((app.levels(tea).await, app.levels(pot).await), ((7, 0), (2, 0)));
        let told = app.told(order).await;
        let deducted: InventoryDeducted = told[1].decode().unwrap();
        assert_eq!((told[1].version, deducted.lines.len()), (2, 2));
        app.assert_sound().await;
        assert_eq!(app.dead_letters().await, 0);
    });
}

#[test]
fn an_order_none_of_whose_lines_is_there_is_rejected_and_is_no_dead_letter() {
    run(async {
        let app = TestApp::start().await;
        let (scarce, unknown, order) = (app.product(1).await, ProductId::new(), OrderId::new());
        app.created(order, 1, &[(scarce, 2), (unknown, 1)]).await;
        app.until_kinds(order, &["InventoryRejected"]).await;
        let rejected: InventoryRejected = app.told(order).await[0].decode().unwrap();
        let short: Vec<_> = rejected.short_lines.iter().map(|line| (line.wanted, line.available)).collect();
        assert_eq!(short, [(2, 1), (1, 0)]);
        // The order hears of it and says so; that changes nothing.
        let event = OrderRejected { order_id: order.to_string(), ..Default::default() };
        app.orders.publish(order, 2, &event).await;
        app.until_heard(2).await;
        assert_eq!(app.kinds(order).await, ["InventoryRejected"]);
        assert_eq!(app.dead_letters().await, 0);
    });
}

#[test]
fn a_cancelled_order_gives_back_once() {
    run(async {
        let app = TestApp::start().await;
        let (tea, order) = (app.product(4).await, OrderId::new());
        app.created(order, 1, &[(tea, 4)]).await;
        app.cancelled(order, 2).await;
        app.cancelled(order, 3).await;
        app.until_heard(3).await;
        assert_eq!(app.kinds(order).await, ["InventoryReserved", "InventoryReleased"]);
        let released: InventoryReleased = app.told(order).await[1].decode().unwrap();
        assert_eq!((released.reason.as_str(), released.lines[0].quantity), ("cancelled", 4));
        assert_eq!(app.levels(tea).await, (4, 0));
        app.assert_sound().await;
    });
}

#[test]
fn a_declined_payment_gives_the_stock_back() {
    run(async {
        let app = TestApp::start().await;
        let (tea, order) = (app.product(4).await, OrderId::new());
        app.created(order, 1, &[(tea, 4)]).await;
        let rejected = OrderRejected { reason_code: "payment_declined".into(), ..Default::default() };
        app.orders.publish(order, 2, &rejected).await;
        app.until_heard(2).await;
        assert_eq!(app.kinds(order).await, ["InventoryReserved", "InventoryReleased"]);
        assert_eq!(app.levels(tea).await, (4, 0));
    });
}

#[test]
fn the_same_event_delivered_again_has_its_effect_once() {
    run(async {
        let app = TestApp::start().await;
        let (tea, order) = (app.product(9).await, OrderId::new());
        let first = app.created(order, 1, &[(tea, 2)]).await;
        for version in 2..6 {
            app.orders.publish_raw(again(order, version, first, &[(tea, 2)])).await;
        }
        app.until_heard(5).await;
        assert_eq!(app.levels(tea).await, (9, 2));
        // A restart forgets what is in memory; the database does not.
        let replica = app.replica().await;
        app.orders.publish_raw(again(order, 6, first, &[(tea, 2)])).await;
        app.completed(order, 7).await;
        app.until_heard(7).await;
        app.orders.publish_raw(again(order, 8, first, &[(tea, 2)])).await;
        app.completed(order, 9).await;
        app.until_heard(9).await;
        assert_eq!(app.levels(tea).await, (7, 0));
        assert_eq!(app.kinds(order).await, ["InventoryReserved", "InventoryDeducted"]);
        app.assert_sound().await;
        drop(replica);
    });
}

#[test]
fn called_off_before_it_came_an_order_holds_nothing() {
    run(async {
        let app = TestApp::start().await;
        let (tea, order) = (app.product(9).await, OrderId::new());
        app.cancelled(order, 1).await;
        app.created(order, 2, &[(tea, 2)]).await;
        app.until_heard(2).await;
        assert_eq!(app.levels(tea).await, (9, 0));
        assert_eq!(app.kinds(order).await, Vec::<String>::new());
        assert_eq!(app.dead_letters().await, 0);
    });
}

#[test]
fn completed_before_it_came_an_order_is_sold_when_it_comes() {
    run(async {
        let app = TestApp::start().await;
        let (tea, order) = (app.product(9).await, OrderId::new());
        app.completed(order, 1).await;
        app.created(order, 2, &[(tea, 2)]).await;
        app.until_kinds(order, &["InventoryReserved", "InventoryDeducted"]).await;
        assert_eq!(app.levels(tea).await, (7, 0));
        app.assert_sound().await;
    });
}

#[test]
fn an_orders_reservation_is_ended_by_the_order_alone() {
    run(async {
        let app = TestApp::start().await;
        let (tea, order) = (app.product(9).await, OrderId::new());
        app.created(order, 1, &[(tea, 2)]).await;
        app.until_kinds(order, &["InventoryReserved"]).await;
        let id = ReservationId::of_order(order);
        assert_eq!(app.release(id).await.status(), 409);
        assert_eq!(app.reserve(id, &[(tea, 2)]).await.status(), 409);
        assert_eq!(app.levels(tea).await, (9, 2));
    });
}

#[test]
fn an_unreadable_order_is_a_dead_letter_and_stops_nobody_else() {
    run(async {
        let app = TestApp::start().await;
        let (tea, bad, good) = (app.product(9).await, OrderId::new(), OrderId::new());
        let garbage = NewEvent {
            data: vec![0xff; 8],
            ..NewEvent::new(bad, 1, &OrderCreated::default(), Timestamp::now())
        };
        app.orders.publish_raw(garbage).await;
        app.created(good, 1, &[(tea, 1)]).await;
        app.until_kinds(good, &["InventoryReserved"]).await;
        app.until_heard(2).await;
        assert_eq!(app.dead_letters().await, 1);
    });
}

/// Those who run the service see the letter, and may have it handled once more; nobody else may.
#[test]
fn a_dead_letter_is_shown_to_administrators_and_redriven_for_them() {
    run(async {
        let app = TestApp::start().await;
        let (tea, bad) = (app.product(9).await, OrderId::new());
        let broken = NewEvent {
            data: vec![0xff; 8],
            ..NewEvent::new(bad, 1, &OrderCreated::default(), Timestamp::now())
        };
        app.orders.publish_raw(broken).await;
        app.completed(bad, 2).await;
        let list = "/v1/ops/dead-letters?service=inventory";
        let letter = eventually(|| async {
            let page: Value = app.get(list).await.json().await.unwrap();
            let letter = page["items"][0].clone();
            (letter["parked"] == 1).then_some(letter)
        })
        .await;
        assert_eq!(letter["key"], bad.to_string());
        assert_eq!((&letter["kind"], &letter["attempts"]), (&"OrderCreated".into(), &5.into()));
        let path = format!("/v1/ops/dead-letters/{}", letter["id"].as_str().unwrap());
        let shown: Value = app.get(&path).await.json().await.unwrap();
        assert!(
            shown["event"].is_null() && shown["error"].as_str().unwrap().contains("OrderCreated"),
            "{shown}"
        );

        let (redrive, customer) = (format!("{path}/redrive"), app.bed.token(Role::Customer, UserId::new()));
        for (refused, bearer) in [(401, ""), (403, customer.as_str())] {
            for ask in
                [app.http.get(app.url(list)), app.http.get(app.url(&path)), app.http.post(app.url(&redrive))]
            {
                let ask = if bearer.is_empty() { ask } else { ask.bearer_auth(bearer) };
                assert_eq!(ask.send().await.unwrap().status(), refused);
            }
        }
        let nobody = format!("/v1/ops/dead-letters/{}", OrderId::new());
        assert_eq!(app.get(&nobody).await.status(), 404);
        let parked: Uuid = sqlx::query_scalar("select event_id from dead_letters where state = 'parked'")
            .fetch_one(&app.pool)
            .await
            .unwrap();
        let behind = app.post(&format!("/v1/ops/dead-letters/{parked}/redrive"), &json!({})).await;
        assert_eq!(behind.status(), 409);

        let dry = app.post(&format!("{redrive}?dry_run=true"), &json!({})).await;
        assert_eq!(
            (dry.status().as_u16(), &dry.json::<Value>().await.unwrap()["state"]),
            (202, &"dead".into())
        );
        let asked = app.post(&redrive, &json!({})).await;
        assert_eq!(asked.status(), 202);
        assert_eq!(asked.json::<Value>().await.unwrap()["state"], "redriving");
        // It is as broken as before.
        eventually(|| async {
            let again: Value = app.get(&path).await.json().await.unwrap();
            (again["state"] == "dead" && again["attempts"] == 10 && again["parked"] == 1).then_some(())
        })
        .await;
        // Somebody has mended it.
        let mended = bytes_of(bad, tea);
        sqlx::query("update dead_letters set data = $1 where state = 'dead'")
            .bind(mended)
            .execute(&app.pool)
            .await
            .unwrap();
        assert_eq!(app.post(&redrive, &json!({})).await.status(), 202);
        app.until_kinds(bad, &["InventoryReserved", "InventoryDeducted"]).await;
        eventually(|| async { (app.dead_letters().await == 0).then_some(()) }).await;
        assert_eq!(app.levels(tea).await, (8, 0));
        let document: Value = app.get("/openapi.json").await.json().await.unwrap();
        assert!(document["paths"]["/v1/ops/dead-letters/{id}/redrive"]["post"].is_object());
    });
}

/// A message without an event stands beside the letters. Its bytes are for those who ask for them.
#[test]
fn a_message_without_an_event_is_shown_beside_the_letters() {
    run(async {
        let app = TestApp::start().await;
        let (early, late, letter) = (Uuid::from_u128(1), Uuid::max(), Uuid::now_v7());
        for id in [late, early] {
            let kept = sqlx::query(
                "insert into unreadable_messages
                    (consumer, id, topic, partition, message_offset, key, value, headers, bytes, state, attempts, error, errors)
                 values ('inventory', $1, 'orders.events.v1', 2, 7, 'who', 'tok_1', $2::jsonb, 9, 'dead', 1, 'no event', '[]')",
            );
            let headers = r#"[{"name": "a", "value": "/w=="}, {"name": null, "value": null}]"#;
            kept.bind(id).bind(headers).execute(&app.pool).await.unwrap();
        }
        let dead = sqlx::query(
            "insert into dead_letters
                (consumer, event_id, topic, position, key, version, kind, data, occurred_at, state, attempts, error)
             values ('inventory', $1, 'orders.events.v1', 1, $1, 1, 'OrderCreated', '', now(), 'dead', 5, 'too hot')",
        );
        dead.bind(letter).execute(&app.pool).await.unwrap();
        let (mut seen, mut path) = (Vec::new(), "/v1/ops/dead-letters?limit=1".to_owned());
        loop {
            let page: Value = app.get(&path).await.json().await.unwrap();
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| {
                (
                    item["kind"].as_str().unwrap().to_owned(),
                    item["id"].as_str().unwrap().parse::<Uuid>().unwrap(),
                )
            }));
            let Some(next) = page["next_cursor"].as_str() else { break };
            path = format!("/v1/ops/dead-letters?limit=1&cursor={next}");
        }
        let kinds = [("unreadable", early), ("OrderCreated", letter), ("unreadable", late)];
        assert_eq!(seen, kinds.map(|(kind, id)| (kind.to_owned(), id)));

        let path = format!("/v1/ops/dead-letters/{early}");
        let shown = app.get(&path).await.text().await.unwrap();
        assert!(!shown.contains("tok_1") && !shown.contains("dG9rXzE="), "{shown}");
        let raw: Value = app.get(&format!("{path}?raw=true")).await.json().await.unwrap();
        assert_eq!((&raw["partition"], &raw["offset"], &raw["key"]), (&2.into(), &7.into(), &"who".into()));
        let headers = json!([{"name": "a", "value": "/w=="}, {"name": null, "value": null}]);
        assert_eq!(raw["raw"], json!({"key": "d2hv", "value": "dG9rXzE=", "headers": headers}));
        assert_eq!(app.post(&format!("{path}/redrive"), &json!({})).await.status(), 202);
        // Without brokers nobody can read it.
        eventually(|| async {
            let again: Value = app.get(&path).await.json().await.unwrap();
            (again["state"] == "dead" && again["attempts"] == 2).then_some(())
        })
        .await;
    });
}

fn bytes_of(order: OrderId, product: ProductId) -> Vec<u8> {
    NewEvent::new(order, 1, &created(order, &[(product, 1)]), Timestamp::now()).data
}

#[test]
fn a_flood_of_orders_on_one_product_sells_what_is_there_and_no_more() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(300).await;
        let orders: Vec<_> = (0..500).map(|_| OrderId::new()).collect();
        futures_util::future::join_all(
            orders.iter().map(async |order| app.created(*order, 1, &[(product, 1)]).await),
        )
        .await;
        app.until_heard(500).await;
        assert_eq!(app.levels(product).await, (300, 300));
        let mut outcomes = std::collections::BTreeMap::new();
        let kinds: Vec<(String, i64)> =
            sqlx::query_as("select kind, count(*) from events where kind like 'Inventory%ed' group by kind")
                .fetch_all(&app.pool)
                .await
                .unwrap();
        outcomes.extend(kinds);
        assert_eq!((outcomes["InventoryReserved"], outcomes["InventoryRejected"]), (300, 200));
        app.assert_sound().await;
    });
}
