//! What others are told about a product: that it runs out, comes back, gets scarce. Once per crossing.

use futures_util::future::join_all;
use viscount_chassis::testing::run;
use viscount_contracts::{
    ReservationId,
    events::inventory::v1::{InventoryAdjusted, InventoryUpdated, LowStockAlert},
};

use crate::app::TestApp;

#[test]
fn crossing_between_none_and_some_is_told_with_contiguous_versions() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(2).await;
        app.until_kinds(product, &["InventoryAdjusted", "InventoryUpdated"]).await;
        let id = ReservationId::new();
        assert_eq!(app.reserve(id, &[(product, 2)]).await.status(), 201);
        app.until_kinds(product, &["InventoryAdjusted", "InventoryUpdated", "InventoryUpdated"]).await;
        assert_eq!(app.release(id).await.status(), 200);
        let kinds = ["InventoryAdjusted", "InventoryUpdated", "InventoryUpdated", "InventoryUpdated"];
        app.until_kinds(product, &kinds).await;

        let told = app.told(product).await;
        assert_eq!(told.iter().map(|event| event.version).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let adjusted: InventoryAdjusted = told[0].decode().unwrap();
        assert_eq!(
            (adjusted.delta, adjusted.reason.as_str(), adjusted.location.as_str()),
            (2, "receipt", "main")
        );
        let available = |index: usize| told[index].decode::<InventoryUpdated>().unwrap().available;
        assert_eq!((available(1), available(2), available(3)), (2, 0, 2));
    });
}

#[test]
fn falling_to_the_threshold_is_warned_of_once() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(8).await;
        let (first, second) = (ReservationId::new(), ReservationId::new());
        assert_eq!(app.reserve(first, &[(product, 3)]).await.status(), 201);
        app.until_kinds(product, &["InventoryAdjusted", "InventoryUpdated", "LowStockAlert"]).await;
        let alert: LowStockAlert = app.told(product).await[2].decode().unwrap();
        assert_eq!((alert.available, alert.threshold), (5, 5));
        assert_eq!(app.reserve(second, &[(product, 2)]).await.status(), 201);
        // Back above the line, and below it again: a second warning.
        assert_eq!(app.release(first).await.status(), 200);
        viscount_chassis::testing::eventually(|| async {
            let low: bool = sqlx::query_scalar("select low from announced where product_id = $1")
                .bind(product.uuid())
                .fetch_one(&app.pool)
                .await
                .unwrap();
            (!low).then_some(())
        })
        .await;
        assert_eq!(app.reserve(ReservationId::new(), &[(product, 2)]).await.status(), 201);
        let kinds = ["InventoryAdjusted", "InventoryUpdated", "LowStockAlert", "LowStockAlert"];
        app.until_kinds(product, &kinds).await;
    });
}

#[test]
fn news_that_nobody_told_is_told_after_a_restart() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(2).await;
        app.until_kinds(product, &["InventoryAdjusted", "InventoryUpdated"]).await;
        // As if the process had died between the sale and its news.
        sqlx::query("update stock set reserved = 2 where product_id = $1")
            .bind(product.uuid())
            .execute(&app.pool)
            .await
            .unwrap();
        let _replica = app.replica().await;
        app.until_kinds(product, &["InventoryAdjusted", "InventoryUpdated", "InventoryUpdated"]).await;
    });
}

#[test]
fn many_reservations_that_sell_a_product_out_tell_it_once() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(40).await;
        join_all((0..60).map(async |_| app.reserve(ReservationId::new(), &[(product, 1)]).await)).await;
        viscount_chassis::testing::eventually(|| async {
            let last = app.told(product).await.last().unwrap().decode::<InventoryUpdated>().ok()?;
            (last.available == 0).then_some(())
        })
        .await;
        let told = app.told(product).await;
        let sold_out = told.iter().filter(|event| {
            event.kind == "InventoryUpdated" && event.decode::<InventoryUpdated>().unwrap().available == 0
        });
        assert_eq!(sold_out.count(), 1);
        assert_eq!(told.iter().filter(|event| event.kind == "LowStockAlert").count(), 1);
        let versions: Vec<i32> = told.iter().map(|event| event.version).collect();
        assert_eq!(versions, (1..=versions.len() as i32).collect::<Vec<_>>());
    });
}
