//! A row of `products`, and the product that it holds.

use std::collections::BTreeMap;

use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;
use viscount_contracts::Money;

use crate::domain::{Attributes, Description, Details, Label, Name, Price, Product, Sku};

/// What [`listed`] reads; `p` is the product, `a` its availability (left join).
macro_rules! columns {
    () => {
        "p.product_id, p.version, p.revision, p.sku, p.name, p.description, p.category, p.brand, p.price, p.currency,
         p.attributes::text as attributes, p.archived, p.created_at, p.updated_at,
         coalesce(a.available > 0, false) as in_stock"
    };
}
pub(super) use columns;

/// How many characters of a name its sort key has.
const KEY_CHARS: usize = 100;

/// A product as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The product.
    pub product: Product,
    /// True when inventory last told of pieces that can be sold.
    pub in_stock: bool,
}

/// What products are sorted by when they are sorted by name.
pub(super) fn name_key(name: &str) -> String {
    name.chars().flat_map(char::to_lowercase).take(KEY_CHARS).collect()
}

pub(super) fn listed(row: &PgRow) -> Result<Listed, sqlx::Error> {
    Ok(Listed { in_stock: row.try_get("in_stock")?, product: product(row)? })
}

pub(super) fn product(row: &PgRow) -> Result<Product, sqlx::Error> {
    let currency: &str = row.try_get("currency")?;
    let currency = currency.parse().map_err(|error| unreadable("currency", error))?;
    let attributes: &str = row.try_get("attributes")?;
    let attributes: BTreeMap<String, String> =
        serde_json::from_str(attributes).map_err(|error| unreadable("attributes", error))?;
    let details = Details {
        sku: Sku::stored(row.try_get("sku")?),
        name: Name::stored(row.try_get("name")?),
        description: some(row.try_get("description")?).map(Description::stored),
        category: some(row.try_get("category")?).map(Label::stored),
        brand: some(row.try_get("brand")?).map(Label::stored),
        price: Price::stored(Money::new(row.try_get("price")?, currency)),
        attributes: Attributes::stored(attributes),
    };
    Ok(Product {
        id: row.try_get::<Uuid, _>("product_id")?.into(),
        version: row.try_get("version")?,
        revision: row.try_get("revision")?,
        details,
        archived: row.try_get("archived")?,
        created_at: row.try_get::<SqlTimestamp, _>("created_at")?.to_jiff(),
        updated_at: row.try_get::<SqlTimestamp, _>("updated_at")?.to_jiff(),
    })
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn unreadable(column: &str, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) }
}
