//! One running catalogue with everything around it, and a method for each endpoint.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use viscount_catalog::{Config, MIGRATIONS};
use viscount_chassis::{
    auth::Role,
    config::Env,
    service::Running,
    store::DatabaseConfig,
    testing::{TestBed, TestTopic, eventually},
};
use viscount_contracts::{
    Envelope, EventId, ProductId, Topic, UserId, events::inventory::v1::InventoryUpdated,
};

pub struct TestApp {
    pub bed: TestBed,
    pub database: DatabaseConfig,
    pub running: Running,
    pub inventory: TestTopic,
    client: Client,
    admin: String,
}

/// What a test looks at: status, the headers that matter, body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub etag: Option<String>,
    pub location: Option<String>,
    pub link: Option<String>,
    pub json: Value,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let header = |name: &str| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
        let (etag, location, link) = (header("etag"), header("location"), header("link"));
        let status = response.status();
        let text = response.text().await.unwrap();
        let json = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        Self { status, etag, location, link, json }
    }

    pub fn id(&self) -> ProductId {
        self.json["id"].as_str().unwrap().parse().unwrap()
    }

    pub fn names(&self) -> Vec<&str> {
        self.json["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
    }

    /// The pointers of the fields that are wrong.
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().expect("field errors");
        errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    #[track_caller]
    pub fn refused_as(self, status: u16, kind: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(answer.json["type"], format!("/problems/{kind}"));
        answer
    }
}

impl TestApp {
    pub async fn start() -> Self {
        let bed = TestBed::start().await;
        let database = bed.database(&MIGRATIONS, "catalog").await;
        Self::on(bed, database).await
    }

    async fn on(bed: TestBed, database: DatabaseConfig) -> Self {
        let inventory = bed.topic(Topic::Inventory).await;
        let running = second(&bed, &database).await;
        let admin = bed.token(Role::Admin, UserId::new());
        let client = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        Self { bed, database, running, inventory, client, admin }
    }

    /// Another replica on the same database.
    pub async fn replica(&self) -> Running {
        second(&self.bed, &self.database).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.addr())
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::of(request.send().await.unwrap()).await
    }

    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.client.request(method.parse().unwrap(), self.url(path))
    }

    pub fn as_admin(&self, method: &str, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(&self.admin)
    }

    pub fn as_customer(&self, method: &str, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(self.bed.token(Role::Customer, UserId::new()))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    pub async fn create(&self, product: Value) -> Answer {
        self.send(self.as_admin("POST", "/v1/products").json(&product)).await
    }

    pub async fn show(&self, id: ProductId) -> Answer {
        self.get(&format!("/v1/products/{id}")).await
    }

    pub async fn replace(&self, id: ProductId, if_match: &str, product: Value) -> Answer {
        let request = self.as_admin("PUT", &format!("/v1/products/{id}"));
        self.send(request.header("if-match", if_match).json(&product)).await
    }

    pub async fn archive(&self, id: ProductId) -> Answer {
        self.send(self.as_admin("DELETE", &format!("/v1/products/{id}"))).await
    }

    pub async fn search(&self, words: &str) -> Answer {
        self.send(self.request("GET", "/v1/products/search").query(&[("q", words)])).await
    }

    /// Every event that the catalogue has published so far, at least `count`.
    pub async fn events(&self, count: usize) -> Vec<Envelope> {
        let mut reader = self.bed.follow(Topic::Catalog).await;
        let mut events = Vec::new();
        while events.len() < count {
            let more = tokio::time::timeout(Duration::from_secs(10), reader.next(1_000)).await;
            events.extend(more.expect("more events").unwrap().iter().map(|event| (**event).clone()));
        }
        events
    }

    /// Plays inventory.
    pub async fn tell(&self, product: ProductId, version: i32, available: u32) -> EventId {
        self.inventory.publish(product, version, &updated(product, available)).await
    }

    /// Waits until the product is, or is not, in stock.
    pub async fn until_in_stock(&self, product: ProductId, wanted: bool) {
        eventually(|| async move { (self.show(product).await.json["in_stock"] == wanted).then_some(()) })
            .await;
    }
}

async fn second(bed: &TestBed, database: &DatabaseConfig) -> Running {
    let env = Env::from_pairs([("CATALOG_PORT", "0")]);
    let config = Config { database: database.clone(), ..Config::from_env(&env, String::new()).unwrap() };
    let running = viscount_catalog::start(config, bed.platform()).await.unwrap();
    let health = running.health.clone();
    eventually(|| {
        let health = health.clone();
        async move { health.report().await.is_ready().then_some(()) }
    })
    .await;
    running
}

pub fn updated(product: ProductId, available: u32) -> InventoryUpdated {
    InventoryUpdated { product_id: product.to_string(), on_hand: available, reserved: 0, available }
}

pub fn gbp(pence: i64) -> Value {
    json!({ "amount": pence, "currency": "GBP" })
}

pub fn boots() -> Value {
    json!({
        "sku": "BOOT-1",
        "name": "Wanderer Black Hiking Boots",
        "description": "Waterproof leather upper.\nDurable rubber sole.",
        "category": "Footwear",
        "brand": "Daybird",
        "price": gbp(10_999),
        "attributes": { "colour": "midnight" },
    })
}

pub fn plain(sku: &str, name: &str) -> Value {
    json!({ "sku": sku, "name": name, "price": gbp(100) })
}

/// The product with some fields different.
pub fn with(mut product: Value, changes: Value) -> Value {
    let changes = changes.as_object().unwrap().clone();
    product.as_object_mut().unwrap().extend(changes);
    product
}
