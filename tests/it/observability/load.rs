//! What a shop goes through in a minute, good and bad, so that every panel has something to show.

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    platform::{Platform, basket, eventually},
    sockets::watch,
};

/// Somebody who buys, and the product.
pub struct Load<'a> {
    platform: &'a Platform,
    admin: String,
    buyer: String,
    product: String,
}

impl<'a> Load<'a> {
    /// With a product that there is enough of.
    pub async fn new(platform: &'a Platform) -> Self {
        let admin = platform.token("admin").await;
        let product = platform.product(&admin, 10_000).await;
        let buyer = platform.token("customer").await;
        Load { platform, admin, buyer, product }
    }

    /// Places an order, and tries again for as long as it is told to. Another key would be another order.
    async fn place(&self, quantity: u32, token: &str) -> String {
        let mut order = basket(&self.product, quantity);
        order["payment"]["token"] = token.into();
        let key = Uuid::now_v7().to_string();
        eventually("an accepted order", || async {
            let answer = self.platform.post("/v1/orders", &self.buyer, &key, &order).await.ok()?;
            if !matches!(answer.status(), StatusCode::CREATED | StatusCode::OK) {
                return None;
            }
            answer.json::<Value>().await.ok()?["id"].as_str().map(str::to_owned)
        })
        .await
    }

    async fn ends(&self, order: &str, wanted: &str) {
        assert_eq!(self.platform.until_final(&self.buyer, order).await, wanted, "order {order}");
    }

    /// Orders that complete.
    pub async fn orders(&self, number: usize) {
        let stories = (0..number).map(|_| async {
            let order = self.place(1, "tok_visa").await;
            self.ends(&order, "completed").await;
        });
        join_all(stories).await;
    }

    /// Declined, out of stock, refunded, watched.
    pub async fn customers(&self) {
        for _ in 0..3 {
            let declined = self.place(1, "tok_chargeDeclined").await;
            self.ends(&declined, "rejected").await;
            let too_many = self.place(900_000, "tok_visa").await;
            self.ends(&too_many, "rejected").await;
        }
        let order = self.place(1, "tok_visa").await;
        let seen = watch(&self.platform.url, &self.buyer, &order, 0, usize::MAX).await.unwrap();
        assert!(seen.ended);
        for step in 0..2 {
            let part = json!({"amount": {"amount": 100, "currency": "GBP"}, "reason": "a scratch"});
            let path = format!("/v1/orders/{order}/refund");
            let key = Uuid::now_v7().to_string();
            let asked = self.platform.post(&path, &self.buyer, &key, &part).await.unwrap();
            assert!(asked.status().is_success(), "{}", asked.text().await.unwrap());
            let order = format!("/v1/orders/{order}");
            eventually("the refund", || async {
                let order = self.platform.get(&order, &self.buyer).await;
                (order["refunded"]["amount"] == 100 * (step + 1)).then_some(())
            })
            .await;
        }
    }

    /// Somebody registers and looks around, and somebody comes without a token, also past the gateway.
    pub async fn visitors(&self) {
        let (http, url) = (&self.platform.http, &self.platform.url);
        let email = format!("{}@example.org", Uuid::now_v7());
        let password = Uuid::now_v7().to_string();
        let new = json!({"email": email, "password": password, "name": "A visitor"});
        let registered = http.post(format!("{url}/v1/users")).json(&new).send().await.unwrap();
        assert!(registered.status().is_success(), "{}", registered.text().await.unwrap());
        let login = json!({"email": email, "password": password});
        let admitted = http.post(format!("{url}/v1/auth/login")).json(&login).send().await.unwrap();
        assert!(admitted.status().is_success(), "{}", admitted.text().await.unwrap());
        for _ in 0..2 {
            let found = http.get(format!("{url}/v1/products/search?q=tea")).send().await.unwrap();
            assert_eq!(found.status(), StatusCode::OK);
            let refused = http.get(format!("{url}/v1/orders")).send().await.unwrap();
            assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
            let orders = self.platform.service("orders");
            let refused =
                http.get(format!("{orders}/v1/orders")).bearer_auth("nonsense").send().await.unwrap();
            assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
            // Nobody has signed it.
            let webhook = http.post(format!("{url}/v1/payments/webhooks/simulator")).json(&json!({}));
            let refused = webhook.send().await.unwrap();
            assert!(refused.status().is_client_error(), "{}", refused.status());
        }
    }

    /// A letter that cannot be handled, and is handed back when its cause is mended.
    pub async fn dead_letter(&self) -> String {
        let order = self.place(1, "tok_visa").await;
        self.ends(&order, "completed").await;
        let customer =
            self.platform.get(&format!("/v1/orders/{order}"), &self.buyer).await["customer_id"].clone();
        let customer = customer.as_str().unwrap();
        let forbid = format!(
            "alter table orders add constraint unwanted check (status <> 'validated' or customer_id <> '{customer}') not valid"
        );
        self.platform.alter_orders(forbid).await;
        self.place(1, "tok_visa").await
    }

    /// Mends what [`Load::dead_letter`] broke.
    pub async fn mend(&self, order: &str) {
        self.platform.alter_orders("alter table orders drop constraint unwanted".to_owned()).await;
        let output = self.platform.run(&["dlq", "redrive", "--consumer", "orders"]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.ends(order, "completed").await;
    }

    /// Sets a fault in orders; its id takes it back.
    pub async fn fault(&self, fault: &Value) -> String {
        let path = "/v1/ops/faults?service=orders";
        let set = self.platform.post(path, &self.admin, "-", fault).await.unwrap();
        assert_eq!(set.status(), StatusCode::CREATED);
        set.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Takes a fault back.
    pub async fn clear(&self, fault: &str) {
        let url = format!("{}/v1/ops/faults/{fault}?service=orders", self.platform.url);
        let cleared = self.platform.http.delete(url).bearer_auth(&self.admin).send().await.unwrap();
        assert_eq!(cleared.status(), StatusCode::NO_CONTENT);
    }

    /// A completed order to which such a thing happens whenever it is touched, and the fault's id.
    pub async fn order_with(&self, mut fault: Value) -> (String, String) {
        let order = self.place(1, "tok_visa").await;
        self.ends(&order, "completed").await;
        fault["actor"] = "order".into();
        fault["entity"] = order.as_str().into();
        let fault = self.fault(&fault).await;
        (order, fault)
    }

    /// Touches an order; whatever comes of it is not looked at.
    pub async fn touch(&self, order: &str) {
        let path = format!("/v1/orders/{order}/cancel");
        let _ = self.platform.post(&path, &self.buyer, &Uuid::now_v7().to_string(), &json!({})).await;
    }

    /// Lets an order out of quarantine.
    pub async fn release(&self, order: &str) {
        let actors = self.platform.get("/v1/ops/actors?service=orders", &self.admin).await;
        let release = json!({"path": path_of(&actors["tree"], "order").unwrap(), "id": order});
        let path = "/v1/ops/actors/release?service=orders";
        let freed = self.platform.post(path, &self.admin, "-", &release).await.unwrap();
        assert_eq!(freed.status(), StatusCode::OK);
    }
}

/// Where in the tree an actor of this name is.
fn path_of(node: &Value, name: &str) -> Option<String> {
    if node["name"] == name {
        return node["path"].as_str().map(str::to_owned);
    }
    node["children"].as_array()?.iter().find_map(|child| path_of(child, name))
}
