//! An order whose handler does not come to an end: told as what it is, before its deadline and after.

use reqwest::StatusCode;
use serde_json::{Value, json};
use viscount_chassis::testing::{eventually, run};
use viscount_contracts::OrderId;

use crate::app::TestApp;

impl TestApp {
    /// What the service says of the actors of a key.
    async fn actors_of(&self, key: OrderId) -> Vec<Value> {
        let url = self.url(&format!("/v1/ops/explain?key={key}"));
        let said = self.http.get(url).bearer_auth(self.admin()).send().await.unwrap();
        let said: Value = said.json().await.unwrap();
        said["actors"].as_array().unwrap().clone()
    }
}

#[test]
fn an_order_that_makes_no_progress_is_told_as_stuck_and_goes_on_when_it_can() {
    run(async {
        let app = TestApp::start_with([("ORDERS_HANDLER_DEADLINE", "8s")]).await;
        let (sick, well) = (app.order(1).await, app.order(1).await);
        let fault = json!({"kind": "stuck", "actor": "order", "entity": sick});
        assert_eq!(app.post("/v1/ops/faults", &app.admin(), "-", &fault).await.status(), StatusCode::CREATED);
        for id in [sick, well] {
            app.reserved(id).await;
        }
        app.until_status(well, "validated").await;
        let path = format!("orders/order/{sick}");
        let stuck = eventually(|| async { app.actors_of(sick).await.into_iter().next() }).await;
        assert_eq!((&stuck["path"], &stuck["state"]), (&json!(path), &json!("stuck")));
        assert!(stuck["since"].is_string() && stuck.get("last_exit").is_none(), "{stuck}");
        let tree = app.http.get(app.url("/v1/ops/actors")).bearer_auth(app.admin()).send().await.unwrap();
        let tree: Value = tree.json().await.unwrap();
        let router = tree["tree"]["children"].as_array().unwrap().iter().find(|it| it["name"] == "order");
        assert_eq!(router.unwrap()["slow"][0]["message_kind"], "confirm_stock", "{tree}");

        // Given up at its deadline, and at it again.
        let given_up = eventually(|| async {
            let actors = app.actors_of(sick).await;
            assert!(actors.iter().filter(|actor| actor["path"] == path).count() <= 1, "once: {actors:?}");
            actors.into_iter().find(|actor| actor["last_exit"].is_string())
        })
        .await;
        assert_eq!((&given_up["path"], &given_up["state"]), (&json!(path), &json!("stuck")));
        assert!(
            given_up["last_exit"].as_str().unwrap().contains("confirm_stock took more than 8s"),
            "{given_up}"
        );

        let mended =
            app.http.delete(app.url("/v1/ops/faults")).bearer_auth(app.admin()).send().await.unwrap();
        assert_eq!(mended.status(), StatusCode::OK);
        app.until_status(sick, "validated").await;
    });
}
