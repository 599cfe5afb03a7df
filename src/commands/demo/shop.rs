//! The shop as a customer sees it: HTTP through the gateway.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::failure::Failure;

/// How long what was received may take until it is seen in the shop: brokers take a moment to form their groups.
const STOCKED: Duration = Duration::from_secs(30);

/// A customer in the shop.
pub struct Shop {
    http: Client,
    url: String,
    token: String,
    products: Vec<Value>,
}

impl Shop {
    /// Registers a new customer, logs in and looks around.
    pub async fn enter(url: &str) -> Result<Self, Failure> {
        let http = Client::builder().timeout(Duration::from_secs(15)).build()?;
        let email = format!("demo-{}@example.com", Uuid::new_v4().simple());
        let password = Uuid::new_v4().to_string();
        let post = |path: &str, body: Value| http.post(format!("{url}{path}")).json(&body);
        let new = json!({"email": email, "password": password, "name": "Demo Customer"});
        expect(post("/v1/users", new), 201).await?;
        let session =
            expect(post("/v1/auth/login", json!({"email": email, "password": password})), 200).await?;
        let token = text(&session, "access_token")?;
        let products = in_stock(&http, url).await?;
        Ok(Self { http, url: url.to_owned(), token, products })
    }

    /// How many products were found.
    pub fn products(&self) -> usize {
        self.products.len()
    }

    /// The order's stream as a websocket URL.
    pub fn stream_url(&self, order: &str, after: i64) -> String {
        let url = self.url.replacen("http://", "ws://", 1);
        format!("{url}/v1/orders/{order}/stream?after={after}")
    }

    /// The customer's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Places an order of the `nth` product; gives the accepted order.
    pub async fn order(&self, nth: usize, pieces: u32, payment: &str) -> Result<Value, Failure> {
        let product = &self.products[nth % self.products.len()];
        let body = json!({
            "lines": [{"product_id": product["id"], "quantity": pieces}],
            "payment": {"method": "card", "token": payment},
        });
        expect(self.post("/v1/orders").json(&body), 201).await
    }

    /// Calls an order off.
    pub async fn cancel(&self, order: &str) -> Result<Value, Failure> {
        let body = json!({"reason": "changed my mind"});
        expect(self.post(&format!("/v1/orders/{order}/cancel")).json(&body), 200).await
    }

    /// Asks for part of the money.
    pub async fn refund(&self, order: &str, amount: &Value) -> Result<Value, Failure> {
        let body = json!({"amount": amount, "reason": "a scratch on the lid"});
        expect(self.post(&format!("/v1/orders/{order}/refund")).json(&body), 200).await
    }

    fn post(&self, path: &str) -> RequestBuilder {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.token);
        request.header("Idempotency-Key", Uuid::new_v4().to_string())
    }
}

/// A text field of an answer.
pub fn text(body: &Value, field: &str) -> Result<String, Failure> {
    body[field].as_str().map(str::to_owned).ok_or_else(|| Failure::Other(format!("no {field} in the answer")))
}

async fn expect(request: RequestBuilder, status: u16) -> Result<Value, Failure> {
    let response: Response = request.send().await?;
    let (got, path) = (response.status(), response.url().path().to_owned());
    let body: Value = response.json().await?;
    if got.as_u16() == status {
        return Ok(body);
    }
    Err(Failure::Other(format!("{path} answered {got}: {body}")))
}

/// What can be ordered, as soon as there is something.
async fn in_stock(http: &Client, url: &str) -> Result<Vec<Value>, Failure> {
    let since = Instant::now();
    loop {
        let found = expect(http.get(format!("{url}/v1/products?in_stock=true&limit=50")), 200).await?;
        match found["items"].as_array() {
            Some(products) if !products.is_empty() => return Ok(products.clone()),
            _ if since.elapsed() > STOCKED => {
                return Err(Failure::Other("the shop has nothing in stock".to_owned()));
            }
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
}
