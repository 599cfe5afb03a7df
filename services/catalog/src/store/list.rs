//! Lists: filters, an order, and a place to go on from.
//!
//! A page begins behind a key (the sort column and the id), not at an offset: what is added meanwhile neither repeats
//! nor skips a product, and page 1,000 costs no more than page 1.

use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use super::row::{Listed, columns, listed, name_key};

/// Which products.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this category.
    pub category: Option<String>,
    /// Of this brand.
    pub brand: Option<String>,
    /// At this price or above, in minor units.
    pub min_price: Option<i64>,
    /// At this price or below, in minor units.
    pub max_price: Option<i64>,
    /// With pieces to sell, or without.
    pub in_stock: Option<bool>,
}

/// In which order. Products that are equal in it come by id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum Sort {
    /// The newest first.
    #[default]
    #[serde(rename = "newest")]
    Newest,
    /// By name, regardless of case.
    #[serde(rename = "name")]
    Name,
    /// By name, from the end.
    #[serde(rename = "-name")]
    NameDescending,
    /// The cheapest first.
    #[serde(rename = "price")]
    Price,
    /// The dearest first.
    #[serde(rename = "-price")]
    PriceDescending,
}

/// Behind which product a page begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListCursor {
    sort: Sort,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price: Option<i64>,
    id: Uuid,
}

impl ListCursor {
    /// The place behind this product.
    pub fn behind(sort: Sort, last: &Listed) -> Self {
        let details = &last.product.details;
        let by_name = matches!(sort, Sort::Name | Sort::NameDescending);
        let by_price = matches!(sort, Sort::Price | Sort::PriceDescending);
        Self {
            sort,
            name: by_name.then(|| name_key(details.name.as_str())),
            price: by_price.then(|| details.price.money().amount()),
            id: last.product.id.uuid(),
        }
    }

    /// True when this place is one in a list of this order.
    pub fn fits(&self, sort: Sort) -> bool {
        let (name, price) = (self.name.is_some(), self.price.is_some());
        self.sort == sort
            && match sort {
                Sort::Newest => !name && !price,
                Sort::Name | Sort::NameDescending => name && !price,
                Sort::Price | Sort::PriceDescending => price && !name,
            }
    }
}

/// At most `limit` listed products behind the cursor.
pub async fn list(
    pool: &PgPool,
    filter: &Filter,
    sort: Sort,
    after: Option<&ListCursor>,
    limit: u32,
) -> Result<Vec<Listed>, sqlx::Error> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(concat!(
        "select ",
        columns!(),
        " from products p left join availability a using (product_id) where not p.archived"
    ));
    restrict(&mut query, filter);
    if let Some(after) = after {
        behind(&mut query, after);
    }
    query.push(match sort {
        Sort::Newest => " order by p.product_id desc",
        Sort::Name => " order by p.name_key, p.product_id",
        Sort::NameDescending => " order by p.name_key desc, p.product_id desc",
        Sort::Price => " order by p.price, p.product_id",
        Sort::PriceDescending => " order by p.price desc, p.product_id desc",
    });
    query.push(" limit ").push_bind(i64::from(limit));
    query.build().try_map(|row| listed(&row)).fetch_all(pool).await
}

fn restrict(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    if let Some(category) = &filter.category {
        query.push(" and p.category = ").push_bind(category.clone());
    }
    if let Some(brand) = &filter.brand {
        query.push(" and p.brand = ").push_bind(brand.clone());
    }
    if let Some(price) = filter.min_price {
        query.push(" and p.price >= ").push_bind(price);
    }
    if let Some(price) = filter.max_price {
        query.push(" and p.price <= ").push_bind(price);
    }
    match filter.in_stock {
        Some(true) => query.push(" and a.available > 0"),
        Some(false) => query.push(" and coalesce(a.available, 0) = 0"),
        None => query,
    };
}

fn behind(query: &mut QueryBuilder<Postgres>, after: &ListCursor) {
    let than = match after.sort {
        Sort::Name | Sort::Price => " > (",
        Sort::Newest | Sort::NameDescending | Sort::PriceDescending => " < (",
    };
    match (&after.name, after.price) {
        (Some(name), _) => {
            query.push(" and (p.name_key, p.product_id)").push(than).push_bind(name.clone()).push(", ");
        }
        (None, Some(price)) => {
            query.push(" and (p.price, p.product_id)").push(than).push_bind(price).push(", ");
        }
        (None, None) => {
            query.push(" and p.product_id").push(than);
        }
    }
    query.push_bind(after.id).push(")");
}
