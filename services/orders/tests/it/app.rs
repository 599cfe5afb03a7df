//! The service under test, with a method for each endpoint and for each neighbour's event.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;
use viscount_chassis::{
    auth::Role,
    config::Env,
    service::Running,
    testing::{TestBed, TestTopic, eventually},
};
use viscount_contracts::{
    OrderId, PaymentId, ProductId, Topic, UserId,
    events::{
        catalog::v1 as catalog, common::v1::Money, inventory::v1 as inventory, payments::v1 as payments,
    },
};
use viscount_orders::Config;

pub struct TestApp {
    pub bed: TestBed,
    pub running: Running,
    pub config: Config,
    pub catalog: TestTopic,
    pub inventory: TestTopic,
    pub payments: TestTopic,
    pub http: Client,
    pub buyer: UserId,
    pub tea: ProductId,
}

pub fn money(amount: i64) -> Option<Money> {
    Some(Money { amount, currency: "GBP".into() })
}

impl TestApp {
    pub async fn start() -> Self {
        Self::start_with([]).await
    }

    pub async fn start_with<const N: usize>(variables: [(&str, &str); N]) -> Self {
        let bed = TestBed::start().await;
        let database = bed.database(&viscount_orders::MIGRATIONS, "orders").await;
        let (catalog, inventory, payments) = (
            bed.topic(Topic::Catalog).await,
            bed.topic(Topic::Inventory).await,
            bed.topic(Topic::Payments).await,
        );
        let env = Env::from_pairs(variables).with("ORDERS_PORT", "0");
        let config = Config::from_env(&env, database.url).unwrap();
        let running = viscount_orders::start(config.clone(), bed.platform()).await.unwrap();
        let http = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let tea = ProductId::new();
        let app =
            Self { bed, running, config, catalog, inventory, payments, http, buyer: UserId::new(), tea };
        app.offer(tea, "Tea", 2_100).await;
        app.until_orderable(tea).await;
        app
    }

    /// The same after a restart of the service: it remembers what its database does.
    pub async fn restarted(self) -> Self {
        self.running.drain(Duration::from_secs(6)).await;
        let running = viscount_orders::start(self.config.clone(), self.bed.platform()).await.unwrap();
        Self { running, ..self }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.addr())
    }

    pub fn token(&self, subject: UserId) -> String {
        self.bed.token(Role::Customer, subject)
    }

    pub fn admin(&self) -> String {
        self.bed.token(Role::Admin, UserId::new())
    }

    pub async fn offer(&self, product: ProductId, name: &str, price: i64) {
        let created = catalog::ProductCreated {
            product_id: product.to_string(),
            sku: name.to_uppercase(),
            name: name.into(),
            price: money(price),
            ..Default::default()
        };
        self.catalog.publish(product, 1, &created).await;
    }

    pub async fn withdraw(&self, product: ProductId) {
        let deleted = catalog::ProductDeleted { product_id: product.to_string() };
        self.catalog.publish(product, 2, &deleted).await;
        eventually(|| async {
            let response = self.create_as(self.buyer, &Uuid::now_v7().to_string(), &self.basket(1)).await;
            (response.status() == StatusCode::UNPROCESSABLE_ENTITY).then_some(())
        })
        .await;
    }

    pub fn basket(&self, quantity: u32) -> Value {
        json!({
            "lines": [{"product_id": self.tea, "quantity": quantity}],
            "payment": {"method": "card", "token": "tok_visa"},
        })
    }

    /// Waits until the price book has the product.
    pub async fn until_orderable(&self, product: ProductId) {
        let pool = sqlx::PgPool::connect(&self.config.database.url).await.unwrap();
        eventually(|| async {
            let known: Option<bool> =
                sqlx::query_scalar("select on_sale from price_book where product_id = $1")
                    .bind(product.uuid())
                    .fetch_optional(&pool)
                    .await
                    .ok()?;
            known
        })
        .await;
        pool.close().await;
    }

    pub async fn post(&self, path: &str, token: &str, key: &str, body: &Value) -> Response {
        let request =
            self.http.post(self.url(path)).bearer_auth(token).header("Idempotency-Key", key).json(body);
        request.send().await.unwrap()
    }

    pub async fn create_as(&self, buyer: UserId, key: &str, body: &Value) -> Response {
        self.post("/v1/orders", &self.token(buyer), key, body).await
    }

    /// An accepted order of the test's buyer.
    pub async fn order(&self, quantity: u32) -> OrderId {
        let key = Uuid::now_v7().to_string();
        // The table may be an instant ahead of the memory that orders are priced from.
        let accepted = eventually(|| async {
            let response = self.create_as(self.buyer, &key, &self.basket(quantity)).await;
            (response.status() == StatusCode::CREATED).then_some(response)
        })
        .await;
        let order: Value = accepted.json().await.unwrap();
        order["id"].as_str().unwrap().parse().unwrap()
    }

    pub async fn get(&self, path: &str) -> Response {
        self.http.get(self.url(path)).bearer_auth(self.token(self.buyer)).send().await.unwrap()
    }

    pub async fn show(&self, id: OrderId) -> Value {
        self.get(&format!("/v1/orders/{id}")).await.json().await.unwrap()
    }

    pub async fn until_status(&self, id: OrderId, status: &str) -> Value {
        eventually(|| async {
            let order = self.show(id).await;
            (order["status"] == status).then_some(order)
        })
        .await
    }

    pub async fn history(&self, id: OrderId) -> Vec<(i64, String)> {
        let body: Value = self.get(&format!("/v1/orders/{id}/events")).await.json().await.unwrap();
        let items = body["items"].as_array().unwrap();
        items
            .iter()
            .map(|e| (e["version"].as_i64().unwrap(), e["type"].as_str().unwrap().to_owned()))
            .collect()
    }

    pub async fn reserved(&self, id: OrderId) {
        let (reservation_id, order_id) = (id.to_string(), id.to_string());
        self.inventory
            .publish(id, 1, &inventory::InventoryReserved { reservation_id, order_id, lines: vec![] })
            .await;
    }

    pub async fn short(&self, id: OrderId) {
        let line = inventory::ShortLine { product_id: self.tea.to_string(), wanted: 3, available: 1 };
        let rejected = inventory::InventoryRejected {
            reservation_id: id.to_string(),
            order_id: id.to_string(),
            short_lines: vec![line],
        };
        self.inventory.publish(id, 1, &rejected).await;
    }

    pub async fn paid(&self, id: OrderId, amount: i64) {
        let processed = payments::PaymentProcessed {
            payment_id: PaymentId::new().to_string(),
            order_id: id.to_string(),
            amount: money(amount),
            provider_reference: "ch_1".into(),
            ..Default::default()
        };
        self.payments.publish(id, 1, &processed).await;
    }

    pub async fn declined(&self, id: OrderId) {
        let failed = payments::PaymentFailed {
            payment_id: PaymentId::new().to_string(),
            order_id: id.to_string(),
            amount: money(2_100),
            code: "card_declined".into(),
            detail: "the card was declined".into(),
            ..Default::default()
        };
        self.payments.publish(id, 1, &failed).await;
    }

    pub async fn money_back(&self, id: OrderId, version: i32, refund_id: &str, amount: i64) {
        let refunded = payments::PaymentRefunded {
            payment_id: PaymentId::new().to_string(),
            order_id: id.to_string(),
            refund_id: refund_id.into(),
            amount: money(amount),
            provider_reference: "re_1".into(),
        };
        self.payments.publish(id, version, &refunded).await;
    }

    pub async fn completed(&self, quantity: u32) -> OrderId {
        let id = self.order(quantity).await;
        self.reserved(id).await;
        self.until_status(id, "validated").await;
        self.paid(id, 2_100 * i64::from(quantity)).await;
        self.until_status(id, "completed").await;
        id
    }
}
