//! What goes over the wire, and its schemas.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use viscount_contracts::{Currency, Money};

use crate::{
    domain::Product,
    store::{Category, Filter, Listed, Sort},
};

/// An amount of money in minor units.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Money)]
pub struct MoneyBody {
    /// Minor units, such as pence.
    #[schema(example = 1999)]
    pub amount: i64,
    /// ISO 4217.
    #[schema(value_type = String, example = "GBP")]
    pub currency: Currency,
}

impl From<Money> for MoneyBody {
    fn from(money: Money) -> Self {
        Self { amount: money.amount(), currency: money.currency() }
    }
}

/// A product as it is to be. What is left out, null or empty is nothing: a replacement takes it away.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProductDetails)]
pub struct DetailsBody {
    /// The shop's own number, unique, for ever.
    #[schema(min_length = 1, max_length = 64)]
    pub sku: String,
    /// What it is called.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// Running text.
    #[serde(default)]
    #[schema(max_length = 10_000)]
    pub description: Option<String>,
    /// Where it is listed.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub category: Option<String>,
    /// Who makes it.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub brand: Option<String>,
    /// What a piece costs: more than nothing, in the shop's currency.
    pub price: MoneyBody,
    /// Whatever else there is to know; at most 50 entries.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub attributes: Option<BTreeMap<String, String>>,
}

/// A product as it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Product)]
pub struct ProductBody {
    /// Its id.
    pub id: Uuid,
    /// The shop's own number.
    pub sku: String,
    /// What it is called.
    pub name: String,
    /// Running text.
    pub description: Option<String>,
    /// Where it is listed.
    pub category: Option<String>,
    /// Who makes it.
    pub brand: Option<String>,
    /// What a piece costs.
    pub price: MoneyBody,
    /// Whatever else there is to know.
    #[schema(value_type = BTreeMap<String, String>)]
    pub attributes: BTreeMap<String, String>,
    /// True when there are pieces to sell.
    pub in_stock: bool,
    /// True when it is no longer listed or sold.
    pub archived: bool,
    /// Goes up with every edit; what `ETag` shows and `If-Match` asks for.
    pub version: i32,
    /// When it came to be.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last edited.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl From<Listed> for ProductBody {
    fn from(listed: Listed) -> Self {
        let Listed { product, in_stock } = listed;
        let Product { id, version: _, revision, details, archived, created_at, updated_at } = product;
        Self {
            id: id.uuid(),
            sku: details.sku.into(),
            name: details.name.into(),
            description: details.description.map(Into::into),
            category: details.category.map(Into::into),
            brand: details.brand.map(Into::into),
            price: details.price.money().into(),
            attributes: details.attributes.into_entries(),
            in_stock,
            archived,
            version: revision,
            created_at,
            updated_at,
        }
    }
}

/// Which products to list, and in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Of this category.
    category: Option<String>,
    /// Of this brand.
    brand: Option<String>,
    /// At this price or above, in minor units.
    min_price: Option<i64>,
    /// At this price or below, in minor units.
    max_price: Option<i64>,
    /// With pieces to sell (true), or without (false).
    in_stock: Option<bool>,
    /// The order; `newest` unless given.
    #[param(inline)]
    pub sort: Option<Sort>,
}

impl From<ListQuery> for Filter {
    fn from(query: ListQuery) -> Self {
        let ListQuery { category, brand, min_price, max_price, in_stock, sort: _ } = query;
        Self { category, brand, min_price, max_price, in_stock }
    }
}

/// What to search for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// Words, at most 200 characters.
    #[param(min_length = 1, max_length = 200)]
    pub q: String,
}

/// How a list is paged.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "for the documentation; the chassis reads them")]
pub struct Paging {
    /// Products on a page, 1 to 200; 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The categories.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Categories)]
pub struct CategoriesBody {
    /// By name.
    pub items: Vec<CategoryBody>,
}

/// A category.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Category)]
pub struct CategoryBody {
    /// Its name.
    pub name: String,
    /// How many products are listed in it.
    pub count: i64,
}

impl From<Category> for CategoryBody {
    fn from(category: Category) -> Self {
        Self { name: category.name, count: category.products }
    }
}
