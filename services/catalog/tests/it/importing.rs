//! Many products at once.

use std::collections::HashSet;

use futures_util::{StreamExt, stream};
use viscount_chassis::testing::run;

use crate::app::{TestApp, plain};

#[test]
fn products_created_at_once_are_all_there_with_contiguous_events() {
    run(async {
        let app = TestApp::start().await;
        let statuses: Vec<u16> = stream::iter(0..300)
            .map(|n| app.create(plain(&format!("S{n}"), &format!("Product {n}"))))
            .buffer_unordered(32)
            .map(|answer| answer.status.as_u16())
            .collect()
            .await;
        assert!(statuses.iter().all(|status| *status == 201), "{statuses:?}");
        let events = app.events(300).await;
        assert_eq!(
            events.iter().map(|event| event.position).collect::<Vec<_>>(),
            (1..=300).collect::<Vec<_>>()
        );
        assert_eq!(events.iter().map(|event| event.key).collect::<HashSet<_>>().len(), 300);
    });
}

#[test]
fn the_same_import_twice_creates_each_product_once() {
    run(async {
        let app = TestApp::start().await;
        // Every sku twice, side by side: duplicates meet in one batch, and in the database.
        let create = |n: usize| app.create(plain(&format!("S{}", n / 2), "Product"));
        let statuses: Vec<u16> = stream::iter(0..200)
            .map(create)
            .buffer_unordered(32)
            .map(|answer| answer.status.as_u16())
            .collect()
            .await;
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 100, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 100, "{statuses:?}");
        assert_eq!(app.events(100).await.len(), 100);
        assert_eq!(app.get("/v1/products?limit=200").await.names().len(), 100);
    });
}

#[test]
fn two_replicas_do_not_share_a_sku() {
    run(async {
        let app = TestApp::start().await;
        let replica = app.replica().await;
        let create = |n: usize| {
            let request =
                app.as_admin("POST", "/v1/products").json(&plain(&format!("S{}", n / 2), "Product"));
            let (client, request) = request.build_split();
            let mut request = request.unwrap();
            if n.is_multiple_of(2) {
                request.url_mut().set_port(Some(replica.addr().port())).unwrap();
            }
            async move { client.execute(request).await.unwrap().status().as_u16() }
        };
        let statuses: Vec<u16> = stream::iter(0..100).map(create).buffer_unordered(32).collect().await;
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 50, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 50, "{statuses:?}");
    });
}
