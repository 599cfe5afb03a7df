//! The way out of quarantine: for the order, and for its events when the order is not held any more.

use reqwest::StatusCode;
use serde_json::{Value, json};
use viscount_chassis::testing::{eventually, run};
use viscount_contracts::OrderId;

use crate::app::TestApp;

impl TestApp {
    /// An order whose every handler has panicked until it was quarantined, its confirmed stock a dead letter.
    async fn quarantined(&self) -> OrderId {
        let id = self.order(1).await;
        let fault = json!({"kind": "panic", "actor": "order", "entity": id, "id": "strike"});
        let set = self.post("/v1/ops/faults", &self.admin(), "-", &fault).await;
        assert_eq!(set.status(), StatusCode::CREATED);
        self.reserved(id).await;
        eventually(|| async {
            let tree =
                self.http.get(self.url("/v1/ops/actors")).bearer_auth(self.admin()).send().await.ok()?;
            let tree: Value = tree.json().await.ok()?;
            let order = tree["tree"]["children"].as_array()?.iter().find(|child| child["name"] == "order")?;
            (order["quarantined"][0]["id"] == id.to_string()).then_some(())
        })
        .await;
        eventually(|| async { (self.letters().await == 1).then_some(()) }).await;
        id
    }

    async fn letters(&self) -> i64 {
        let count = sqlx::query_scalar("select count(*) from dead_letters");
        count.fetch_one(self.running.database.pool()).await.unwrap()
    }

    async fn sql(&self, statement: &'static str) {
        sqlx::query(statement).execute(self.running.database.pool()).await.unwrap();
    }

    async fn release(&self, path: &str, id: OrderId) -> (StatusCode, Value) {
        let body = json!({"path": path, "id": id});
        let answer = self.post("/v1/ops/actors/release", &self.admin(), "-", &body).await;
        (answer.status(), answer.json().await.unwrap())
    }

    /// Waits until there is nothing left that could be released.
    async fn until_nothing_is_held(&self, id: OrderId) {
        eventually(|| async {
            let (status, _) = self.release("orders/order", id).await;
            (status == StatusCode::NOT_FOUND).then_some(())
        })
        .await;
        assert_eq!(self.letters().await, 0);
    }
}

/// A process that starts has nobody in quarantine, but the database has what was set aside.
#[test]
fn what_was_set_aside_goes_back_also_after_a_restart() {
    run(async {
        let app = TestApp::start().await;
        let id = app.quarantined().await;
        let app = app.restarted().await;
        let (status, told) = app.release("orders/elsewhere", id).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "no such router: {told}");
        let (status, told) = app.release("orders/order", OrderId::new()).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "nothing is held of that one: {told}");
        let (status, told) = app.release("orders/order", id).await;
        assert_eq!((status, &told), (StatusCode::OK, &json!({"released": false, "redriven": 1})));
        app.until_status(id, "validated").await;
        app.until_nothing_is_held(id).await;
    });
}

#[test]
fn what_could_not_go_back_at_first_does_so_when_it_is_asked_for_again() {
    run(async {
        let app = TestApp::start().await;
        let id = app.quarantined().await;
        let mended =
            app.http.delete(app.url("/v1/ops/faults")).bearer_auth(app.admin()).send().await.unwrap();
        assert_eq!(mended.status(), StatusCode::OK);
        app.sql("alter table dead_letters add constraint unwanted check (state <> 'redriving') not valid")
            .await;
        let (status, told) = app.release("orders/order", id).await;
        assert!(!status.is_success(), "{status} {told}");
        assert_eq!(app.letters().await, 1);
        app.sql("alter table dead_letters drop constraint unwanted").await;
        let (status, told) = app.release("orders/order", id).await;
        assert_eq!((status, &told), (StatusCode::OK, &json!({"released": false, "redriven": 1})));
        app.until_status(id, "validated").await;
        app.until_nothing_is_held(id).await;
    });
}
