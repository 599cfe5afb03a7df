//! The service under test, with a method for each endpoint and for each event of an order.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;
use viscount_chassis::{
    auth::Role,
    log::{EmbeddedLog, EventLog},
    service::{Platform, Running},
    store::{DatabaseConfig, NewEvent},
    testing::{TestBed, TestTopic, eventually},
};
use viscount_contracts::{
    Envelope, EventId, OrderId, ProductId, ReservationId, Topic, UserId, events::orders::v1 as orders,
};
use viscount_inventory::{Config, MIGRATIONS};

pub struct TestApp {
    pub bed: TestBed,
    pub running: Running,
    pub database: DatabaseConfig,
    pub pool: PgPool,
    pub orders: TestTopic,
    pub http: Client,
    pub admin: String,
}

impl TestApp {
    pub async fn start() -> Self {
        let bed = TestBed::start().await;
        let database = bed.database(&MIGRATIONS, "inventory").await;
        let orders = bed.topic(Topic::Orders).await;
        let running = start(&database, bed.platform()).await;
        let pool = PgPool::connect(&database.url).await.unwrap();
        let http = Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let admin = bed.token(Role::Admin, UserId::new());
        Self { bed, running, database, pool, orders, http, admin }
    }

    /// A second replica: the same database, a log of its own as another process has.
    pub async fn replica(&self) -> Running {
        let log: Arc<dyn EventLog> = Arc::new(EmbeddedLog::new());
        let platform = Platform { log, ..self.bed.platform().clone() };
        start(&self.database, &platform).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.addr())
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.http.post(self.url(path)).bearer_auth(&self.admin).json(body).send().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Response {
        self.http.get(self.url(path)).bearer_auth(&self.admin).send().await.unwrap()
    }

    pub async fn adjust_with(&self, key: &str, body: &Value) -> Response {
        let request = self.http.post(self.url("/v1/inventory/adjust")).bearer_auth(&self.admin);
        request.header("Idempotency-Key", key).json(body).send().await.unwrap()
    }

    pub async fn adjust(&self, product: ProductId, delta: i32, reason: &str, location: &str) -> Response {
        let body = json!({"product_id": product, "delta": delta, "reason": reason, "location": location});
        self.adjust_with(&Uuid::now_v7().to_string(), &body).await
    }

    /// A product of which so many have come in.
    pub async fn product(&self, pieces: i32) -> ProductId {
        self.product_at(&[("main", pieces)]).await
    }

    pub async fn product_at(&self, places: &[(&str, i32)]) -> ProductId {
        let product = ProductId::new();
        for (location, pieces) in places {
            let response = self.adjust(product, *pieces, "receipt", location).await;
            assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        }
        product
    }

    pub async fn reserve(&self, id: ReservationId, lines: &[(ProductId, u32)]) -> Response {
        self.post("/v1/inventory/reserve", &wish(id, lines)).await
    }

    pub async fn release(&self, id: ReservationId) -> Response {
        self.post("/v1/inventory/release", &json!({"reservation_id": id})).await
    }

    pub async fn stock(&self, product: ProductId) -> Value {
        self.get(&format!("/v1/inventory/{product}")).await.json().await.unwrap()
    }

    /// In the house and held.
    pub async fn levels(&self, product: ProductId) -> (i64, i64) {
        let stock = self.stock(product).await;
        (stock["on_hand"].as_i64().unwrap(), stock["reserved"].as_i64().unwrap())
    }

    pub async fn until_levels(&self, product: ProductId, on_hand: i64, reserved: i64) {
        eventually(|| async { (self.levels(product).await == (on_hand, reserved)).then_some(()) }).await;
    }

    /// The whole ledger of a product, oldest first.
    pub async fn ledger(&self, product: ProductId) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page: Value = self
                .get(&format!("/v1/inventory/{product}/movements?limit=200{cursor}"))
                .await
                .json()
                .await
                .unwrap();
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        items.reverse();
        items
    }

    /// For every place of every product: what is there is the sum of what moved; what is held is what the reservations
    /// hold; nothing is held that is not there.
    pub async fn assert_sound(&self) {
        let wrong: Vec<(Uuid, String)> = sqlx::query_as(
            "select s.product_id, s.location from stock s
             cross join lateral (
                select coalesce(sum(m.delta_on_hand), 0) as on_hand, coalesce(sum(m.delta_reserved), 0) as reserved
                from movements m where m.product_id = s.product_id and m.location = s.location) as moved
             cross join lateral (
                select coalesce(sum(l.quantity), 0) as pieces from reservation_lines l
                join reservations r on r.id = l.reservation_id and r.state = 'held'
                where l.product_id = s.product_id and l.location = s.location) as held
             where s.on_hand <> moved.on_hand or s.reserved <> moved.reserved or s.reserved <> held.pieces
                or s.reserved > s.on_hand or s.reserved < 0",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        assert_eq!(wrong, []);
    }

    /// What the service has told about a reservation or a product, oldest first.
    pub async fn told(&self, key: impl Into<Uuid>) -> Vec<Arc<Envelope>> {
        let key = key.into();
        let head: i64 =
            sqlx::query_scalar("select position from log_head").fetch_one(&self.pool).await.unwrap();
        let mut reader = self.bed.follow(Topic::Inventory).await;
        let (mut told, mut position) = (Vec::new(), 0);
        while position < head {
            for event in reader.next(500).await.unwrap() {
                position = event.position;
                if event.key == key {
                    told.push(event);
                }
            }
        }
        told
    }

    pub async fn kinds(&self, key: impl Into<Uuid>) -> Vec<String> {
        self.told(key).await.iter().map(|event| event.kind.to_string()).collect()
    }

    pub async fn until_kinds(&self, key: impl Into<Uuid>, kinds: &[&str]) {
        let key = key.into();
        eventually(|| async { (self.kinds(key).await == kinds).then_some(()) }).await;
    }

    pub async fn created(&self, order: OrderId, version: i32, lines: &[(ProductId, u32)]) -> EventId {
        self.orders.publish(order, version, &created(order, lines)).await
    }

    pub async fn completed(&self, order: OrderId, version: i32) {
        self.orders
            .publish(
                order,
                version,
                &orders::OrderCompleted { order_id: order.to_string(), ..Default::default() },
            )
            .await;
    }

    pub async fn cancelled(&self, order: OrderId, version: i32) {
        self.orders
            .publish(
                order,
                version,
                &orders::OrderCancelled { order_id: order.to_string(), ..Default::default() },
            )
            .await;
    }

    /// Waits until every order's event has had its effect.
    pub async fn until_heard(&self, last: i64) {
        eventually(|| async {
            let position: Option<i64> =
                sqlx::query_scalar("select position from consumer_offsets where consumer = 'inventory'")
                    .fetch_optional(&self.pool)
                    .await
                    .unwrap();
            (position >= Some(last)).then_some(())
        })
        .await;
    }

    pub async fn dead_letters(&self) -> i64 {
        sqlx::query_scalar("select count(*) from dead_letters").fetch_one(&self.pool).await.unwrap()
    }
}

async fn start(database: &DatabaseConfig, platform: &Platform) -> Running {
    let running = viscount_inventory::start(Config::new(database.clone()), platform).await.unwrap();
    let health = running.health.clone();
    eventually(|| async { health.is_set_ready().then_some(()) }).await;
    running
}

pub fn wish(id: ReservationId, lines: &[(ProductId, u32)]) -> Value {
    let lines: Vec<Value> = lines
        .iter()
        .map(|(product, quantity)| json!({"product_id": product, "quantity": quantity}))
        .collect();
    json!({"reservation_id": id, "lines": lines})
}

pub fn created(order: OrderId, lines: &[(ProductId, u32)]) -> orders::OrderCreated {
    let line = |(product, quantity): &(ProductId, u32)| orders::OrderLine {
        product_id: product.to_string(),
        quantity: *quantity,
        ..Default::default()
    };
    orders::OrderCreated {
        order_id: order.to_string(),
        lines: lines.iter().map(line).collect(),
        ..Default::default()
    }
}

/// The same event a second time, as a log delivers it that is at least once: another place, the same id.
pub fn again(order: OrderId, version: i32, id: EventId, lines: &[(ProductId, u32)]) -> NewEvent {
    NewEvent { id, ..NewEvent::new(order, version, &created(order, lines), Timestamp::now()) }
}
