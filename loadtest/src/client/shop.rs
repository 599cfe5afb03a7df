//! What there is to buy.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::HeaderValue;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use uuid::Uuid;
use viscount_contracts::ProductId;

use super::{
    customers::Customers,
    wire::{Ask, Connection, LONGEST_PAUSE, Target, WireError},
};
use crate::failure::Failure;

/// How often a page is asked for.
const TRIES: u32 = 10;
/// The pause before the next time, when the answer does not say.
const PAUSE: Duration = Duration::from_millis(100);
/// So many products receive goods side by side.
const SIDE_BY_SIDE: usize = 32;

/// The products that baskets are made of.
pub struct Shop {
    /// In the order of the catalogue.
    pub products: Vec<Product>,
}

/// A product.
#[derive(Debug, Deserialize)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Its name.
    pub name: String,
}

/// A page of a list.
#[derive(Deserialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins.
    pub next_cursor: Option<String>,
}

impl Shop {
    /// The first so many products by name; only those in stock, unless goods are received before the load.
    pub async fn visit(target: &Target, most: usize, in_stock: bool) -> Result<Self, Failure> {
        let mut connection = Connection::new(target);
        let path = if in_stock { "/v1/products?sort=name&in_stock=true" } else { "/v1/products?sort=name" };
        let (mut products, mut cursor) = (Vec::new(), None);
        loop {
            let path = page_path(path, cursor.as_deref());
            let page: Page<Product> = page(&mut connection, &path, None).await?;
            products.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() || products.len() >= most {
                break;
            }
        }
        products.truncate(most);
        if products.is_empty() {
            let nothing = if in_stock {
                "nothing in stock: an administrator's token lets goods be received"
            } else {
                "no products"
            };
            return Err(Failure::Other(format!("the shop has {nothing}")));
        }
        Ok(Self { products })
    }

    /// Receives so many pieces of every product.
    pub async fn restock(&self, target: &Target, token: &str, pieces: u32) -> Result<(), Failure> {
        let bearer: HeaderValue = format!("Bearer {token}")
            .parse()
            .map_err(|_| Failure::Other("--admin-token is not a token".to_owned()))?;
        // Each lane has a connection and every so-manieth product.
        let lanes = (0..SIDE_BY_SIDE.min(self.products.len())).map(|lane| {
            let (bearer, products) = (bearer.clone(), self.products.iter().skip(lane).step_by(SIDE_BY_SIDE));
            async move {
                let mut connection = Connection::new(target);
                for product in products {
                    receive(&mut connection, &bearer, product.id, pieces).await?;
                }
                Ok::<(), Failure>(())
            }
        });
        stream::iter(lanes).buffer_unordered(SIDE_BY_SIDE).try_collect().await
    }
}

pub async fn receive(
    connection: &mut Connection,
    bearer: &HeaderValue,
    product: ProductId,
    pieces: u32,
) -> Result<(), Failure> {
    let body = json!({"product_id": product, "delta": pieces, "reason": "receipt", "note": "load test"});
    let (body, key) = (Bytes::from(body.to_string()), Uuid::new_v4().to_string());
    for _ in 0..TRIES {
        let mut ask = Ask::post("/v1/inventory/adjust", body.clone());
        ask.bearer = Some(bearer.clone());
        ask.key = Some(&key);
        let answer = connection.ask(ask).await?;
        match answer.retry_after() {
            Some(pause) => tokio::time::sleep(pause.min(LONGEST_PAUSE)).await,
            None => return answer.expect("/v1/inventory/adjust", 200).map(|_| ()),
        }
    }
    Err(Failure::Other("/v1/inventory/adjust asks to come again, again and again".to_owned()))
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

/// Gets a page of this customer's, or a public one; when the answer is missing or says "later", again, and once more when
/// the token has expired.
pub async fn page<T: DeserializeOwned>(
    connection: &mut Connection,
    path: &str,
    who: Option<(&Customers, usize)>,
) -> Result<Page<T>, Failure> {
    let mut renewed = false;
    for _ in 0..TRIES {
        let bearer = who.and_then(|(customers, customer)| customers.bearer(customer));
        let pause = match connection.ask(Ask::get(path, bearer.clone())).await {
            Ok(answer) if answer.status == 429 || answer.status == 503 => answer.retry_after(),
            Ok(answer) => {
                if let (401, false, Some((customers, customer)), Some(refused)) =
                    (answer.status.as_u16(), renewed, who, &bearer)
                {
                    renewed = true;
                    customers.renew(customer, refused).await?;
                    continue;
                }
                let body = answer.expect(path, 200)?;
                return serde_json::from_slice(&body)
                    .map_err(|error| Failure::Other(format!("{path}: {error}")));
            }
            Err(WireError::Broken(_)) => None,
            Err(error) => return Err(error.into()),
        };
        tokio::time::sleep(pause.unwrap_or(PAUSE).min(LONGEST_PAUSE)).await;
    }
    Err(Failure::Other(format!("{path} gives no answer after {TRIES} tries")))
}
