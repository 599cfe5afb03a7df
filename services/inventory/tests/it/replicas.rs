//! Two instances of the service over one database.

use futures_util::{StreamExt, stream};
use serde_json::Value;
use viscount_chassis::testing::run;
use viscount_contracts::{OrderId, ProductId, ReservationId};

use crate::app::{TestApp, wish};

/// Hammers both instances at the same time; gives how many were held, refused, and anything else.
async fn hammer(
    app: &TestApp,
    other: &str,
    count: usize,
    lines: impl Fn(usize) -> Vec<(ProductId, u32)>,
) -> (usize, usize, Vec<String>) {
    let here = app.url("");
    let asked = stream::iter(0..count).map(|number| {
        let base = if number % 2 == 0 { here.clone() } else { other.to_owned() };
        let body = wish(ReservationId::new(), &lines(number));
        async move {
            let request =
                app.http.post(format!("{base}/v1/inventory/reserve")).bearer_auth(&app.admin).json(&body);
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        }
    });
    let answers: Vec<(u16, Value)> = asked.buffer_unordered(64).collect().await;
    let count = |status: u16| answers.iter().filter(|(got, _)| *got == status).count();
    let others =
        answers.iter().filter(|(got, _)| !matches!(got, 201 | 409)).map(|(_, body)| body.to_string());
    (count(201), count(409), others.collect())
}

#[test]
fn two_replicas_on_one_hot_product_sell_everything_and_never_more() {
    run(async {
        let app = TestApp::start().await;
        let replica = app.replica().await;
        let other = format!("http://{}", replica.addr());
        let product = app.product(500).await;
        let (held, refused, others) = hammer(&app, &other, 1_200, |_| vec![(product, 1)]).await;
        assert_eq!(others, Vec::<String>::new());
        assert_eq!((held, refused), (500, 700));
        assert_eq!(app.levels(product).await, (500, 500));
        app.assert_sound().await;
    });
}

#[test]
fn two_replicas_with_mixed_quantities_over_several_products_stay_sound() {
    run(async {
        let app = TestApp::start().await;
        let replica = app.replica().await;
        let other = format!("http://{}", replica.addr());
        let products =
            [app.product(120).await, app.product_at(&[("a", 50), ("b", 70)]).await, app.product(90).await];
        let lines = |number: usize| {
            let quantity = 1 + (number % 3) as u32;
            match number % 4 {
                0 => vec![(products[0], quantity), (products[1], 1)],
                1 => vec![(products[1], quantity)],
                2 => vec![(products[2], quantity), (products[0], quantity)],
                _ => vec![(products[2], 1), (products[1], 1), (products[0], 1)],
            }
        };
        let (held, refused, others) = hammer(&app, &other, 600, lines).await;
        assert_eq!(others, Vec::<String>::new());
        assert!(held > 0 && refused > 0, "{held} {refused}");
        for product in products {
            let (on_hand, reserved) = app.levels(product).await;
            assert!(reserved <= on_hand);
        }
        // Single pieces were asked for to the end: nothing that anybody wanted alone was left over.
        let (on_hand, reserved) = app.levels(products[1]).await;
        assert_eq!(on_hand - reserved, 0);
        app.assert_sound().await;
    });
}

#[test]
fn what_one_replica_gives_back_the_other_can_sell() {
    run(async {
        let app = TestApp::start().await;
        let replica = app.replica().await;
        let other = format!("http://{}", replica.addr());
        let product = app.product(1).await;
        for _ in 0..5 {
            let id = ReservationId::new();
            assert_eq!(app.reserve(id, &[(product, 1)]).await.status(), 201);
            // The other one has to look before it believes that there is none.
            let url = format!("{other}/v1/inventory/reserve");
            let second = ReservationId::new();
            let body = wish(second, &[(product, 1)]);
            let short = app.http.post(&url).bearer_auth(&app.admin).json(&body).send().await.unwrap();
            assert_eq!(short.status(), 409);
            assert_eq!(app.release(id).await.status(), 200);
            let third = ReservationId::new();
            let body = wish(third, &[(product, 1)]);
            let held = app.http.post(&url).bearer_auth(&app.admin).json(&body).send().await.unwrap();
            assert_eq!(held.status(), 201);
            assert_eq!(app.release(third).await.status(), 200);
        }
        app.assert_sound().await;
    });
}

#[test]
fn two_replicas_that_hear_every_order_have_each_effect_once() {
    run(async {
        let app = TestApp::start().await;
        // The same log: both read every event, as after a change of who reads what.
        let config = viscount_inventory::Config::new(app.database.clone());
        let replica = viscount_inventory::start(config, app.bed.platform()).await.unwrap();
        let product = app.product(60).await;
        let orders: Vec<_> = (0..100).map(|_| OrderId::new()).collect();
        let app = &app;
        let lives = orders.iter().enumerate().map(|(number, order)| async move {
            app.created(*order, 1, &[(product, 1)]).await;
            match number % 3 {
                0 => app.completed(*order, 2).await,
                1 => app.cancelled(*order, 2).await,
                _ => drop(app.created(*order, 2, &[(product, 1)]).await),
            }
        });
        futures_util::future::join_all(lives).await;
        app.until_heard(200).await;
        let ended: Vec<(String, i64)> =
            sqlx::query_as("select state, count(*) from reservations group by state order by state")
                .fetch_all(&app.pool)
                .await
                .unwrap();
        assert_eq!(ended.iter().map(|(_, count)| count).sum::<i64>(), 100, "{ended:?}");
        app.assert_sound().await;
        drop(replica);
    });
}
