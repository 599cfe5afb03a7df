//! One product, and small questions.

use sqlx::{PgPool, Row, postgres::PgRow};
use viscount_contracts::ProductId;

use super::row::{Listed, columns, listed, product};
use crate::domain::{Evidence, Product};

/// One product, archived ones too.
pub async fn load(pool: &PgPool, id: ProductId) -> Result<Option<Listed>, sqlx::Error> {
    sqlx::query(concat!(
        "select ",
        columns!(),
        " from products p left join availability a using (product_id) where p.product_id = $1"
    ))
    .bind(id.uuid())
    .try_map(|row| listed(&row))
    .fetch_optional(pool)
    .await
}

/// What is known where inventory's news come in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The product, if it is known here.
    pub product: Option<Product>,
    /// What inventory told last, if anything.
    pub evidence: Option<Evidence>,
}

/// What is known of a product, which may not be there (yet), and of its stock.
pub async fn known(pool: &PgPool, id: ProductId) -> Result<Known, sqlx::Error> {
    let row = sqlx::query(concat!(
        "select ",
        columns!(),
        ", a.available, a.version as told_version
         from (select $1::uuid as product_id) wanted
         left join products p using (product_id) left join availability a using (product_id)"
    ))
    .bind(id.uuid())
    .fetch_one(pool)
    .await?;
    let there = row.try_get::<Option<i32>, _>("version")?.is_some();
    let told = (row.try_get::<Option<i64>, _>("available")?, row.try_get::<Option<i32>, _>("told_version")?);
    let evidence = match told {
        (Some(available), Some(version)) => {
            Some(Evidence { available: u32::try_from(available).unwrap_or(u32::MAX), version })
        }
        _ => None,
    };
    Ok(Known { product: there.then(|| product(&row)).transpose()?, evidence })
}

/// True when a product other than this one has the sku.
pub async fn sku_taken(pool: &PgPool, sku: &str, but_by: ProductId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from products where sku = $1 and product_id <> $2)")
        .bind(sku)
        .bind(but_by.uuid())
        .fetch_one(pool)
        .await
}

/// A category and how many products are listed in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Its name.
    pub name: String,
    /// How many products.
    pub products: i64,
}

/// All categories that have products, by name.
pub async fn categories(pool: &PgPool) -> Result<Vec<Category>, sqlx::Error> {
    sqlx::query("select category, products from categories where products > 0 order by category")
        .try_map(|row: PgRow| {
            Ok(Category { name: row.try_get("category")?, products: row.try_get("products")? })
        })
        .fetch_all(pool)
        .await
}
