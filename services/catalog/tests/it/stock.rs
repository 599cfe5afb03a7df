//! What inventory tells, however it comes.

use viscount_chassis::{store::NewEvent, testing::run};
use viscount_contracts::{Event, EventId, ProductId, events::catalog::v1::ProductOutOfStock};

use crate::app::{TestApp, boots, plain, updated};

async fn sold_out(app: &TestApp, count: usize) -> usize {
    app.events(count).await.iter().filter(|event| event.kind == ProductOutOfStock::KIND).count()
}

#[test]
fn a_product_is_in_stock_when_inventory_says_so() {
    run(async {
        let app = TestApp::start().await;
        let id = app.create(boots()).await.id();
        app.create(plain("M", "Mug")).await.is(201);
        app.tell(id, 1, 5).await;
        app.until_in_stock(id, true).await;
        assert_eq!(app.get("/v1/products?in_stock=true").await.names(), ["Wanderer Black Hiking Boots"]);
        assert_eq!(app.get("/v1/products?in_stock=false").await.names(), ["Mug"]);
        assert_eq!(app.search("boots").await.json["items"][0]["in_stock"], true);

        app.tell(id, 2, 0).await;
        app.until_in_stock(id, false).await;
        assert_eq!(sold_out(&app, 3).await, 1);
        app.tell(id, 3, 1).await;
        app.until_in_stock(id, true).await;
    });
}

#[test]
fn selling_out_does_not_get_in_an_editors_way() {
    run(async {
        let app = TestApp::start().await;
        let created = app.create(boots()).await;
        let id = created.id();
        app.tell(id, 1, 5).await;
        app.tell(id, 2, 0).await;
        app.tell(id, 3, 5).await;
        app.tell(id, 4, 0).await;
        assert_eq!(sold_out(&app, 3).await, 2);
        assert_eq!(app.show(id).await.etag, created.etag);
        let replaced = app.replace(id, &created.etag.unwrap(), plain("BOOT-1", "Boots")).await.is(200);
        assert_eq!(
            replaced.etag.as_deref(),
            Some("\"5\""),
            "version 3 and 4 were the stock's, 5 is the price's"
        );
    });
}

#[test]
fn news_may_come_before_the_product() {
    run(async {
        let app = TestApp::start().await;
        let unknown = ProductId::new();
        app.tell(unknown, 1, 5).await;
        app.tell(unknown, 2, 0).await;
        let id = app.create(boots()).await.id();
        app.tell(id, 1, 1).await;
        app.until_in_stock(id, true).await;
        assert_eq!(sold_out(&app, 1).await, 0, "what is not known cannot sell out");
    });
}

#[test]
fn old_news_change_nothing() {
    run(async {
        let app = TestApp::start().await;
        let (id, other) = (app.create(boots()).await.id(), app.create(plain("M", "Mug")).await.id());
        app.tell(id, 5, 3).await;
        app.tell(id, 4, 0).await;
        // The same consumer reads both products' news in order of the topic: when this is there, the rest is through,
        // or will be refused as late.
        app.tell(other, 1, 1).await;
        app.until_in_stock(other, true).await;
        app.until_in_stock(id, true).await;
        assert_eq!(sold_out(&app, 2).await, 0);
    });
}

#[test]
fn news_delivered_twice_have_their_effect_once() {
    run(async {
        let app = TestApp::start().await;
        let replica = app.replica().await;
        let id = app.create(boots()).await.id();
        app.tell(id, 1, 5).await;
        // Two replicas read the topic: each event is handled twice, at the same time.
        for version in 2..=21 {
            app.tell(id, version, u32::from(version % 2 == 1)).await;
        }
        app.tell(id, 22, 0).await;
        app.tell(id, 23, 7).await;
        app.until_in_stock(id, true).await;
        let events = app.events(12).await;
        let versions: Vec<i32> = events.iter().map(|event| event.version).collect();
        assert_eq!(versions, (1..=12).collect::<Vec<_>>(), "created, and sold out eleven times");
        drop(replica);
    });
}

#[test]
fn an_event_known_by_its_id_is_not_believed_again() {
    run(async {
        let app = TestApp::start().await;
        let (id, other) = (app.create(boots()).await.id(), app.create(plain("M", "Mug")).await.id());
        let told = app.tell(id, 1, 5).await;
        app.until_in_stock(id, true).await;
        let again = NewEvent { id: told, ..NewEvent::new(id, 2, &updated(id, 0), jiff::Timestamp::now()) };
        app.inventory.publish_raw(again).await;
        app.tell(other, 1, 1).await;
        app.until_in_stock(other, true).await;
        app.tell(id, 3, 4).await;
        app.until_in_stock(id, true).await;
        assert_eq!(sold_out(&app, 2).await, 0);
    });
}

#[test]
fn an_archived_product_does_not_sell_out() {
    run(async {
        let app = TestApp::start().await;
        let id = app.create(boots()).await.id();
        app.tell(id, 1, 5).await;
        app.until_in_stock(id, true).await;
        app.archive(id).await.is(204);
        app.tell(id, 2, 0).await;
        app.until_in_stock(id, false).await;
        assert_eq!(sold_out(&app, 2).await, 0);
    });
}

#[test]
fn a_broken_event_holds_up_its_own_product_alone() {
    run(async {
        let app = TestApp::start().await;
        let (id, other) = (app.create(boots()).await.id(), app.create(plain("M", "Mug")).await.id());
        let broken = NewEvent {
            id: EventId::new(),
            data: vec![0xff; 5],
            ..NewEvent::new(id, 1, &updated(id, 1), jiff::Timestamp::now())
        };
        app.inventory.publish_raw(broken).await;
        app.tell(other, 1, 1).await;
        app.until_in_stock(other, true).await;
        assert_eq!(app.show(id).await.json["in_stock"], false);
    });
}
