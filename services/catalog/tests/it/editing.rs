//! One product's life over HTTP: created, read, replaced, archived; and the events that tell of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use viscount_chassis::testing::run;
use viscount_contracts::{
    Envelope, Money, ProductId,
    events::catalog::v1::{PriceChanged, ProductCreated, ProductDeleted, ProductOutOfStock, ProductUpdated},
};

use crate::app::{TestApp, boots, gbp, plain, with};

#[test]
fn a_created_product_is_answered_found_and_told() {
    run(async {
        let app = TestApp::start().await;
        let created = app.create(boots()).await.is(201);
        let id = created.id();
        assert_eq!(created.location, Some(format!("/v1/products/{id}")));
        assert_eq!(created.etag.as_deref(), Some("\"1\""));
        let shown = app.show(id).await.is(200);
        assert_eq!(shown.json, created.json, "what is answered is what is read later");
        assert_eq!(shown.etag, created.etag);
        for (field, value) in boots().as_object().unwrap() {
            assert_eq!(&shown.json[field], value, "{field}");
        }
        assert_eq!(shown.json["in_stock"], false);
        assert_eq!(shown.json["archived"], false);

        let events = app.events(1).await;
        let event: ProductCreated = events[0].decode().unwrap();
        assert_eq!((events[0].key, events[0].version), (id.uuid(), 1));
        assert_eq!(event.product_id, id.to_string());
        assert_eq!((event.sku.as_str(), event.brand.as_str()), ("BOOT-1", "Daybird"));
        assert_eq!(event.price.unwrap().amount, 10_999);
        assert_eq!(event.attributes["colour"], "midnight");
        assert!(events[0].traceparent.is_some());
    });
}

#[test]
fn what_is_left_out_is_null() {
    run(async {
        let app = TestApp::start().await;
        let created =
            app.create(with(plain(" A ", " Mug "), json!({ "category": " ", "brand": null }))).await.is(201);
        for field in ["description", "category", "brand"] {
            assert_eq!(created.json[field], Value::Null, "{field}");
        }
        assert_eq!(created.json["attributes"], json!({}));
        assert_eq!((&created.json["sku"], &created.json["name"]), (&json!("A"), &json!("Mug")), "trimmed");
    });
}

#[test]
fn a_replacement_needs_the_version_that_it_replaces() {
    run(async {
        let app = TestApp::start().await;
        let id = app.create(boots()).await.id();
        let renamed = || with(boots(), json!({ "name": "Boots" }));
        let path = format!("/v1/products/{id}");
        app.send(app.as_admin("PUT", &path).json(&renamed())).await.refused_as(428, "precondition-required");
        app.replace(id, "7", renamed()).await.is(400);
        app.replace(id, "\"2\"", renamed()).await.refused_as(412, "precondition-failed");
        app.replace(id, "W/\"1\"", renamed()).await.is(412);

        let replaced = app.replace(id, "\"1\"", renamed()).await.is(200);
        assert_eq!(replaced.etag.as_deref(), Some("\"2\""));
        assert_eq!(app.show(id).await.json, replaced.json);
        app.replace(id, "\"1\"", boots()).await.is(412);
        let again = app.replace(id, "\"2\"", renamed()).await.is(200);
        assert_eq!(again.etag, replaced.etag, "nothing new is no new version");
        app.replace(id, "*", boots()).await.is(200);
        app.replace(ProductId::new(), "*", boots()).await.refused_as(404, "not-found");
    });
}

#[test]
fn a_replacement_takes_away_what_it_leaves_out() {
    run(async {
        let app = TestApp::start().await;
        let id = app.create(boots()).await.id();
        let replaced = app.replace(id, "\"1\"", plain("BOOT-2", "Boots")).await.is(200);
        assert_eq!(replaced.json["category"], Value::Null);
        assert_eq!(replaced.json["attributes"], json!({}));
        assert_eq!(app.search("Daybird").await.names(), [""; 0], "its old words do not find it any more");
        app.create(boots()).await.is(201);
    });
}

#[test]
fn of_many_editors_who_saw_the_same_one_wins() {
    run(async {
        let app = TestApp::start().await;
        let replica = app.replica().await;
        let id = app.create(boots()).await.id();
        let admin = |n: usize| {
            let request = app.as_admin("PUT", &format!("/v1/products/{id}"));
            let body = with(boots(), json!({ "name": format!("Boots {n}"), "price": gbp(n as i64 + 1) }));
            let (client, request) = request.header("if-match", "\"1\"").json(&body).build_split();
            let mut request = request.unwrap();
            if n.is_multiple_of(2) {
                request.url_mut().set_port(Some(replica.addr().port())).unwrap();
            }
            async move { client.execute(request).await.unwrap().status().as_u16() }
        };
        let answers = futures_util::future::join_all((0..40).map(admin)).await;
        assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|status| **status == 412).count(), 39, "{answers:?}");
        let versions: Vec<i32> = app.events(3).await.iter().map(|event| event.version).collect();
        assert_eq!(versions, [1, 2, 3], "created, updated, price changed");
    });
}

#[test]
fn an_archived_product_is_readable_and_nothing_else() {
    run(async {
        let app = TestApp::start().await;
        let id = app.create(boots()).await.id();
        app.archive(id).await.is(204);
        app.archive(id).await.is(204);
        app.archive(ProductId::new()).await.refused_as(404, "not-found");

        let shown = app.show(id).await.is(200);
        assert_eq!(shown.json["archived"], true);
        assert_eq!(shown.json["name"], "Wanderer Black Hiking Boots");
        assert_eq!(app.get("/v1/products").await.names(), [""; 0]);
        assert_eq!(app.search("hiking boots").await.names(), [""; 0]);
        assert_eq!(app.search("hikng bots").await.names(), [""; 0]);
        assert_eq!(app.get("/v1/categories").await.json["items"], json!([]));
        let etag = shown.etag.unwrap();
        app.replace(id, &etag, plain("BOOT-1", "Boots")).await.refused_as(409, "product-archived");
        app.create(boots()).await.refused_as(409, "sku-taken");
        let kinds: Vec<_> = app.events(2).await.into_iter().map(|event| event.kind).collect();
        assert_eq!(kinds, ["ProductCreated", "ProductDeleted"], "archived twice, told once");
    });
}

#[test]
fn archiving_may_ask_for_a_version() {
    run(async {
        let app = TestApp::start().await;
        let id = app.create(boots()).await.id();
        let archive = |tag: &'static str| {
            app.send(app.as_admin("DELETE", &format!("/v1/products/{id}")).header("if-match", tag))
        };
        archive("\"2\"").await.is(412);
        archive("nonsense").await.is(400);
        archive("\"1\"").await.is(204);
    });
}

#[test]
fn one_sku_belongs_to_one_product() {
    run(async {
        let app = TestApp::start().await;
        app.create(boots()).await.is(201);
        let taken = app.create(with(boots(), json!({ "name": "Other" }))).await.refused_as(409, "sku-taken");
        assert_eq!(taken.pointers(), ["/sku"]);
        let other = app.create(plain("MUG-1", "Mug")).await.id();
        app.replace(other, "\"1\"", plain("BOOT-1", "Mug")).await.refused_as(409, "sku-taken");
        assert_eq!(app.show(other).await.json["sku"], "MUG-1");
    });
}

/// The product as its events alone tell it.
fn replay(events: &[Envelope]) -> Value {
    let mut product = json!({});
    let price = |money: Option<_>| {
        let money = Money::try_from(Option::as_ref(&money)).unwrap();
        json!({ "amount": money.amount(), "currency": money.currency() })
    };
    let text = |text: String| if text.is_empty() { Value::Null } else { text.into() };
    let attributes = |entries: BTreeMap<String, String>| json!(entries);
    for event in events {
        let changes = if event.is::<ProductCreated>() {
            let e: ProductCreated = event.decode().unwrap();
            json!({ "id": e.product_id, "sku": e.sku, "name": e.name, "description": text(e.description),
                "category": text(e.category), "brand": text(e.brand), "price": price(e.price),
                "attributes": attributes(e.attributes), "archived": false, "version": event.version })
        } else if event.is::<ProductUpdated>() {
            let e: ProductUpdated = event.decode().unwrap();
            json!({ "sku": e.sku, "name": e.name, "description": text(e.description), "category": text(e.category),
                "brand": text(e.brand), "price": price(e.price), "attributes": attributes(e.attributes),
                "version": event.version })
        } else if event.is::<PriceChanged>() {
            let e: PriceChanged = event.decode().unwrap();
            assert_eq!(e.old_price.is_some(), e.new_price.is_some());
            json!({ "price": price(e.new_price), "version": event.version })
        } else if event.is::<ProductDeleted>() {
            json!({ "archived": true, "version": event.version })
        } else {
            assert!(event.is::<ProductOutOfStock>());
            json!({})
        };
        product = with(product, changes);
    }
    product
}

#[test]
fn the_events_alone_tell_the_whole_product() {
    run(async {
        let app = TestApp::start().await;
        let id = app.create(boots()).await.id();
        app.tell(id, 1, 3).await;
        app.until_in_stock(id, true).await;
        app.replace(id, "*", with(boots(), json!({ "price": gbp(5) }))).await.is(200);
        app.tell(id, 2, 0).await;
        app.until_in_stock(id, false).await;
        app.replace(id, "*", with(plain("BOOT-9", "Bóots ☃"), json!({ "brand": "Żółć" }))).await.is(200);
        app.archive(id).await.is(204);

        let events = app.events(6).await;
        let kinds: Vec<_> = events.iter().map(|event| event.kind.as_ref()).collect();
        let told = [
            "ProductCreated",
            "PriceChanged",
            "ProductOutOfStock",
            "ProductUpdated",
            "PriceChanged",
            "ProductDeleted",
        ];
        assert_eq!(kinds, told);
        assert_eq!(events.iter().map(|event| event.version).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        let shown = app.show(id).await.json;
        for (field, value) in replay(&events).as_object().unwrap() {
            assert_eq!(&shown[field], value, "{field}");
        }
    });
}
