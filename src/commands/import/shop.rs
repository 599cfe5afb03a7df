//! The shop as the importer sees it: HTTP through the gateway, as any client's.
//!
//! An answer may get lost after its effect. So each step can be done again: a sku that is taken may be our own product
//! of a moment (or of an interrupted import) ago, and then it lacks its goods; the goods are booked under a key that is
//! made of the product's id, so that they come in once.
//!
//! What is there already is listed once, when the import begins: a page of two hundred costs the shop less than
//! refusing a single product. Whether goods are lacking is asked only of products that are shown as sold out.

use std::{collections::HashMap, time::Duration};

use reqwest::{Client, Method, StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};
use uuid::Uuid;

use super::reading::NewProduct;
use crate::failure::Failure;

/// How often a request is made before it is given up.
const TRIES: u32 = 8;
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a product.
#[derive(Debug, PartialEq, Eq)]
pub enum Put {
    /// It is new.
    Made,
    /// Its sku was in use, and there is (or was) stock of it.
    AlreadyThere,
    /// The shop does not take it; why.
    Refused(String),
}

/// A way into the shop.
pub struct Shop {
    http: Client,
    url: String,
    token: String,
    /// Products that were there when the import began, by sku.
    known: HashMap<String, Known>,
}

/// A product that is there already.
#[derive(Clone, Copy)]
struct Known {
    id: Uuid,
    in_stock: bool,
}

/// An answer.
struct Answer {
    status: StatusCode,
    body: Value,
    /// True when an earlier try may have had its effect.
    repeated: bool,
}

impl Shop {
    /// Makes sure that somebody is there, and looks which products are there.
    pub async fn open(url: &str, token: &str) -> Result<Self, Failure> {
        let url = url.trim_end_matches('/').to_owned();
        let http = Client::builder().timeout(PATIENCE).connect_timeout(Duration::from_secs(3)).build()?;
        let greeting = http.get(format!("{url}/v1/products?limit=1")).send().await;
        match greeting.map(|response| response.status()) {
            Ok(status) if status.is_success() || is_passing(status) => {
                let mut shop = Self { http, url, token: token.to_owned(), known: HashMap::new() };
                shop.known = shop.look_around().await?;
                Ok(shop)
            }
            Ok(status) => Err(Failure::Other(format!("{url} answers {status}: is this the gateway?"))),
            Err(error) if error.is_builder() => Err(Failure::Usage(format!("{url} is not a URL"))),
            Err(_) => Err(Failure::Other(format!("nobody answers at {url}: start `viscount up` first"))),
        }
    }

    async fn look_around(&self) -> Result<HashMap<String, Known>, Failure> {
        let mut found = HashMap::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![("limit", "200")];
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page = self.get("/v1/products", &query).await?;
            if page.status != StatusCode::OK {
                return Err(Failure::doing("listing the shop's products", page.why()));
            }
            found.extend(
                page.items().filter_map(|item| Some((item["sku"].as_str()?.to_owned(), known(item)?))),
            );
            cursor = page.body["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// Puts a product up for sale, with so many pieces. Safe to repeat.
    pub async fn put(&self, product: &NewProduct, pieces: u32) -> Result<Put, Failure> {
        if let Some(known) = self.known.get(&product.sku) {
            return self.complete(*known, pieces).await;
        }
        let answer = self.post("/v1/products", &json!(product), None).await?;
        if answer.status == StatusCode::CREATED {
            let made = known(&answer.body);
            let made = made.ok_or_else(|| Failure::Other("the shop gave a product no id".to_owned()))?;
            return Ok(self.receive(made.id, pieces).await?.map_or(Put::Made, Put::Refused));
        }
        if !answer.is_problem("/problems/sku-taken") {
            return Ok(Put::Refused(answer.why()));
        }
        // It may have been us: a try whose answer got lost.
        let found = if answer.repeated { self.find(&product.sku).await? } else { None };
        match found {
            Some(known) => self.complete(known, pieces).await,
            None => Ok(Put::AlreadyThere),
        }
    }

    /// Books the goods of a product that is there, when there have never been any.
    async fn complete(&self, known: Known, pieces: u32) -> Result<Put, Failure> {
        if pieces > 0 && !known.in_stock && self.never_had(known.id).await? {
            return Ok(self.receive(known.id, pieces).await?.map_or(Put::AlreadyThere, Put::Refused));
        }
        Ok(Put::AlreadyThere)
    }

    /// Books goods that have come in; says why the shop does not take them, if so.
    async fn receive(&self, product: Uuid, pieces: u32) -> Result<Option<String>, Failure> {
        if pieces == 0 {
            return Ok(None);
        }
        let body = json!({"product_id": product, "delta": pieces, "reason": "receipt", "note": "import"});
        let key = format!("import-{product}");
        let answer = self.post("/v1/inventory/adjust", &body, Some(&key)).await?;
        Ok((answer.status != StatusCode::OK).then(|| format!("no stock: {}", answer.why())))
    }

    /// The product with exactly this sku, unless it is archived.
    async fn find(&self, sku: &str) -> Result<Option<Known>, Failure> {
        let answer = self.get("/v1/products/search", &[("q", sku), ("limit", "10")]).await?;
        Ok(answer.items().find(|item| item["sku"] == sku).and_then(known))
    }

    /// True when inventory knows nothing of a product.
    async fn never_had(&self, product: Uuid) -> Result<bool, Failure> {
        let answer = self.get(&format!("/v1/inventory/{product}"), &[]).await?;
        Ok(answer.status == StatusCode::NOT_FOUND)
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, Failure> {
        self.call(Method::GET, path, query, None, None).await
    }

    async fn post(&self, path: &str, body: &Value, key: Option<&str>) -> Result<Answer, Failure> {
        self.call(Method::POST, path, &[], Some(body), key).await
    }

    /// Asks until there is an answer that stands, a bounded number of times.
    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Answer, Failure> {
        let mut pause = Duration::from_millis(100);
        let mut last = String::new();
        for attempt in 0..TRIES {
            let mut request = self.http.request(method.clone(), format!("{}{path}", self.url)).query(query);
            request = request.bearer_auth(&self.token);
            if let Some(body) = body {
                request = request.json(body);
            }
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            let mut wanted = None;
            match request.send().await {
                Ok(response) => {
                    let status = response.status();
                    wanted = response
                        .headers()
                        .get(RETRY_AFTER)
                        .and_then(|value| value.to_str().ok()?.parse().ok());
                    match response.bytes().await {
                        Ok(bytes) => {
                            let body = serde_json::from_slice(&bytes).unwrap_or_default();
                            let answer = Answer { status, body, repeated: attempt > 0 };
                            if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
                                let why = answer.why();
                                return Err(Failure::Other(format!(
                                    "the shop does not take our token: {why}"
                                )));
                            }
                            if !is_passing(status) && !answer.is_problem("/problems/idempotency-key-in-use") {
                                return Ok(answer);
                            }
                            last = answer.why();
                        }
                        Err(error) => last = error.to_string(),
                    }
                }
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(wanted.map_or(pause, Duration::from_secs).min(LONGEST_PAUSE)).await;
            pause = (pause * 2).min(Duration::from_secs(4));
        }
        Err(Failure::Other(format!("gave up on {path} after {TRIES} tries: {last}")))
    }
}

fn known(product: &Value) -> Option<Known> {
    Some(Known { id: product["id"].as_str()?.parse().ok()?, in_stock: product["in_stock"] == true })
}

impl Answer {
    fn items(&self) -> impl Iterator<Item = &Value> {
        self.body["items"].as_array().into_iter().flatten()
    }

    fn is_problem(&self, kind: &str) -> bool {
        self.body["type"] == kind
    }

    /// A problem in words: its detail, and which fields.
    fn why(&self) -> String {
        let title = || self.body["title"].as_str();
        let detail = self.body["detail"].as_str().or_else(title);
        let mut why = format!("{} {}", self.status.as_u16(), detail.unwrap_or("without a word"));
        for error in self.body["errors"].as_array().into_iter().flatten() {
            let part = |name: &str| error[name].as_str().unwrap_or_default();
            why += &format!("; {} {}", part("pointer"), part("detail"));
        }
        why
    }
}

/// True for answers that may be others in a moment.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}
