//! What there is to buy.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use uuid::Uuid;
use viscount_contracts::ProductId;

use crate::{
    Failure,
    wire::{Ask, Connection, Target, WireError},
};

/// How often a page is asked for.
const TRIES: u32 = 10;

/// The products that baskets are made of.
pub struct Shop {
    /// Their ids, in the order of the catalogue.
    pub products: Vec<ProductId>,
}

/// A page of a list.
#[derive(Deserialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins.
    pub next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Product {
    id: ProductId,
}

impl Shop {
    /// All products that are in stock, or only the first so many.
    pub async fn visit(target: &Target, most: Option<usize>) -> Result<Self, Failure> {
        let mut connection = Connection::new(target);
        let mut products: Vec<ProductId> = Vec::new();
        let most = most.unwrap_or(usize::MAX);
        let mut cursor = None;
        loop {
            let path = page_path("/v1/products?in_stock=true&sort=name", cursor.as_deref());
            let page: Page<Product> = page(&mut connection, &path, None).await?;
            products.extend(page.items.into_iter().map(|product| product.id));
            cursor = page.next_cursor;
            if cursor.is_none() || products.len() >= most {
                break;
            }
        }
        products.truncate(most);
        if products.is_empty() {
            return Err(Failure::Other("the shop has nothing in stock".to_owned()));
        }
        Ok(Self { products })
    }

    /// Receives so many pieces of every product.
    pub async fn restock(&self, target: &Target, token: &str, pieces: u32) -> Result<(), Failure> {
        let mut connection = Connection::new(target);
        let bearer: HeaderValue = format!("Bearer {token}")
            .parse()
            .map_err(|_| Failure::Other("--admin-token is not a token".to_owned()))?;
        for product in &self.products {
            let body =
                json!({"product_id": product, "delta": pieces, "reason": "receipt", "note": "load test"});
            let key = Uuid::new_v4().to_string();
            let mut ask = Ask::post("/v1/inventory/adjust", Bytes::from(body.to_string()));
            ask.bearer = Some(bearer.clone());
            ask.key = Some(&key);
            connection.ask(ask).await?.expect("/v1/inventory/adjust", 200)?;
        }
        Ok(())
    }
}

/// A list's path with the largest pages.
pub fn page_path(path: &str, cursor: Option<&str>) -> String {
    let sign = if path.contains('?') { '&' } else { '?' };
    let cursor = cursor.map(|cursor| form_urlencoded::byte_serialize(cursor.as_bytes()).collect::<String>());
    match cursor {
        Some(cursor) => format!("{path}{sign}limit=200&cursor={cursor}"),
        None => format!("{path}{sign}limit=200"),
    }
}

/// Gets a page; when the answer is missing or says "later", again.
pub async fn page<T: DeserializeOwned>(
    connection: &mut Connection,
    path: &str,
    bearer: Option<HeaderValue>,
) -> Result<Page<T>, Failure> {
    for _ in 0..TRIES {
        let pause = match connection.ask(Ask::get(path, bearer.clone())).await {
            Ok(answer) if answer.status == 429 || answer.status == 503 => answer.retry_after,
            Ok(answer) => {
                let body = answer.expect(path, 200)?;
                return serde_json::from_slice(&body)
                    .map_err(|error| Failure::Other(format!("{path}: {error}")));
            }
            Err(WireError::Broken(_)) => None,
            Err(error) => return Err(error.into()),
        };
        tokio::time::sleep(pause.unwrap_or(Duration::from_millis(100))).await;
    }
    Err(Failure::Other(format!("{path} gives no answer after {TRIES} tries")))
}
