//! A batch of changes as one statement.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use parking_lot::Mutex;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};
use uuid::Uuid;
use viscount_chassis::store::{Batch, Writer, bind_events, statement};
use viscount_contracts::ProductId;

use super::row::name_key;
use crate::domain::{Description, Evidence, Label, Product, search};

/// What the catalogue's own tables need to know of one entry.
#[derive(Debug)]
pub enum Projection {
    /// A product after the entry's events.
    Product {
        /// As it is then.
        product: Box<Product>,
        /// The category that it was listed in before.
        was_in: Option<Label>,
    },
    /// What inventory told, and the product's version after the entry's event, if it has one.
    Stock {
        /// The product.
        product: ProductId,
        /// What was told.
        evidence: Evidence,
        /// The version of `ProductOutOfStock`.
        sold_out: Option<i32>,
    },
}

/// Writes batches of [`Projection`]s.
pub struct CatalogWriter {
    sql: Arc<str>,
    /// Words that are in the database for certain, so that a catalogue's few thousand words are not sent again with
    /// each of its products.
    learnt: Mutex<HashSet<String>>,
}

/// How many words are remembered; a catalogue with more of them sends some again.
const REMEMBERED: usize = 100_000;

/// Between the trigrams of one word on their way to the database: a control character, which none of them contains.
const SEPARATOR: &str = "\u{1f}";

const STORED: &str = "insert into products (product_id, version, revision, sku, name, name_key, description, category, brand,
        price, currency, attributes, archived, created_at, updated_at)
    select id, version, revision, sku, name, name_key, description, category, brand,
        price, currency, attributes::jsonb, archived, created_at, updated_at
    from unnest($9::uuid[], $10::int[], $11::int[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
        $17::text[], $18::bigint[], $19::text[], $20::text[], $21::bool[], $22::timestamptz[], $23::timestamptz[])
        as u (id, version, revision, sku, name, name_key, description, category, brand, price, currency, attributes,
            archived, created_at, updated_at)
    on conflict (product_id) do update set
        version = excluded.version, revision = excluded.revision, sku = excluded.sku, name = excluded.name,
        name_key = excluded.name_key, description = excluded.description, category = excluded.category,
        brand = excluded.brand, price = excluded.price, currency = excluded.currency,
        attributes = excluded.attributes, archived = excluded.archived, updated_at = excluded.updated_at
    returning 1";

const TOLD: &str = "insert into availability as a (product_id, available, version)
    select product_id, available, version from unnest($24::uuid[], $25::bigint[], $26::int[])
        as u (product_id, available, version) order by product_id
    on conflict (product_id) do update set available = excluded.available, version = excluded.version
        where a.version < excluded.version
    returning 1";

const SOLD_OUT: &str = "update products p set version = u.version
    from unnest($27::uuid[], $28::int[]) as u (product_id, version) where p.product_id = u.product_id returning 1";

const LEARNT: &str = "insert into search_words (word, trigrams)
    select word, string_to_array(trigrams, e'\\x1f') from unnest($29::text[], $30::text[]) as u (word, trigrams)
    on conflict (word) do nothing returning 1";

const MORE: &str = "insert into categories as c (category, products)
    select category, more from unnest($31::text[], $32::bigint[]) as u (category, more) where more > 0
    on conflict (category) do update set products = c.products + excluded.products returning 1";

const FEWER: &str = "update categories c set products = c.products + u.more
    from unnest($31::text[], $32::bigint[]) as u (category, more)
    where c.category = u.category and u.more < 0 returning 1";

impl CatalogWriter {
    /// Puts the statement together.
    pub fn new() -> Self {
        Self {
            sql: statement(&[
                ("stored", STORED),
                ("told", TOLD),
                ("sold_out", SOLD_OUT),
                ("learnt", LEARNT),
                ("more", MORE),
                ("fewer", FEWER),
            ])
            .into(),
            learnt: Mutex::default(),
        }
    }

    /// Those of these words, in order, that may not be in the database yet.
    fn new_words(&self, words: BTreeSet<String>) -> Vec<String> {
        let learnt = self.learnt.lock();
        words.into_iter().filter(|word| !learnt.contains(word)).collect()
    }

    fn remember(&self, words: Vec<String>) {
        let mut learnt = self.learnt.lock();
        if learnt.len() + words.len() > REMEMBERED {
            learnt.clear();
        }
        learnt.extend(words);
    }
}

impl Default for CatalogWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer for CatalogWriter {
    type Projection = Projection;

    async fn write(
        &self,
        connection: &mut PgConnection,
        batch: &Batch<'_, Projection>,
    ) -> Result<i64, sqlx::Error> {
        let (products, stock) = columns(batch);
        let (categories, counts): (Vec<&str>, Vec<i64>) =
            products.counts.into_iter().filter(|(_, more)| *more != 0).unzip();
        let words = self.new_words(products.words);
        let trigrams: Vec<_> = words.iter().map(|word| search::trigrams(word).join(SEPARATOR)).collect();
        let query = bind_events(sqlx::query(AssertSqlSafe(self.sql.clone())), batch)
            .bind(products.ids)
            .bind(products.versions)
            .bind(products.revisions)
            .bind(products.skus)
            .bind(products.names)
            .bind(products.name_keys)
            .bind(products.descriptions)
            .bind(products.categories)
            .bind(products.brands)
            .bind(products.prices)
            .bind(products.currencies)
            .bind(products.attributes)
            .bind(products.archived)
            .bind(products.created)
            .bind(products.updated)
            .bind(stock.told)
            .bind(stock.available)
            .bind(stock.told_versions)
            .bind(stock.sold_out)
            .bind(stock.sold_out_versions)
            .bind(&words)
            .bind(trigrams)
            .bind(categories)
            .bind(counts);
        let position = query.fetch_one(connection).await?.try_get(0)?;
        self.remember(words);
        Ok(position)
    }

    /// The one thing that a batch can be refused for: a sku that another product has, in the database or earlier in
    /// the batch. Looked for here, so that one duplicate in an import costs one more round, not a search by halves.
    async fn blame(&self, pool: &PgPool, batch: &Batch<'_, Projection>) -> Result<Vec<bool>, sqlx::Error> {
        let wanted: Vec<_> = batch.projections().map(sku_of).collect();
        let (skus, ids): (Vec<&str>, Vec<Uuid>) = wanted.iter().flatten().copied().unzip();
        let taken: Vec<Uuid> = sqlx::query_scalar(
            "select u.product_id from unnest($1::text[], $2::uuid[]) as u (sku, product_id)
             join products p on p.sku = u.sku and p.product_id <> u.product_id",
        )
        .bind(skus)
        .bind(ids)
        .fetch_all(pool)
        .await?;
        let taken: HashSet<Uuid> = taken.into_iter().collect();
        let mut earlier: HashMap<&str, Uuid> = HashMap::new();
        let mut to_blame = |(sku, id)| taken.contains(&id) || *earlier.entry(sku).or_insert(id) != id;
        Ok(wanted.into_iter().map(|wanted| wanted.is_some_and(&mut to_blame)).collect())
    }
}

fn sku_of(projection: &Projection) -> Option<(&str, Uuid)> {
    match projection {
        Projection::Product { product, .. } => Some((product.details.sku.as_str(), product.id.uuid())),
        Projection::Stock { .. } => None,
    }
}

/// Columns of `products`.
#[derive(Default)]
struct Products<'a> {
    ids: Vec<Uuid>,
    versions: Vec<i32>,
    revisions: Vec<i32>,
    skus: Vec<&'a str>,
    names: Vec<&'a str>,
    name_keys: Vec<String>,
    descriptions: Vec<&'a str>,
    categories: Vec<&'a str>,
    brands: Vec<&'a str>,
    prices: Vec<i64>,
    currencies: Vec<String>,
    attributes: Vec<String>,
    archived: Vec<bool>,
    created: Vec<SqlTimestamp>,
    updated: Vec<SqlTimestamp>,
    words: BTreeSet<String>,
    /// How many products more, or fewer, are listed in each category.
    counts: BTreeMap<&'a str, i64>,
}

/// Columns of `availability`, and the products that sold out.
#[derive(Default)]
struct Stock {
    told: Vec<Uuid>,
    available: Vec<i64>,
    told_versions: Vec<i32>,
    sold_out: Vec<Uuid>,
    sold_out_versions: Vec<i32>,
}

fn columns<'a>(batch: &Batch<'a, Projection>) -> (Products<'a>, Stock) {
    let (mut products, mut stock) = (Products::default(), Stock::default());
    for projection in batch.projections() {
        match projection {
            Projection::Product { product, was_in } => products.push(product, was_in.as_ref()),
            Projection::Stock { product, evidence, sold_out } => {
                stock.push(product.uuid(), *evidence, *sold_out)
            }
        }
    }
    (products, stock)
}

impl<'a> Products<'a> {
    fn push(&mut self, product: &'a Product, was_in: Option<&'a Label>) {
        for (category, more) in [(was_in, -1), (product.listed_in(), 1)] {
            if let Some(category) = category {
                *self.counts.entry(category.as_str()).or_default() += more;
            }
        }
        let details = &product.details;
        let description = details.description.as_ref().map(Description::as_str).unwrap_or_default();
        let category = details.category.as_ref().map(Label::as_str).unwrap_or_default();
        let brand = details.brand.as_ref().map(Label::as_str).unwrap_or_default();
        let (sku, name, price) = (details.sku.as_str(), details.name.as_str(), details.price.money());
        self.ids.push(product.id.uuid());
        self.versions.push(product.version);
        self.revisions.push(product.revision);
        self.skus.push(sku);
        self.names.push(name);
        self.name_keys.push(name_key(name));
        self.descriptions.push(description);
        self.categories.push(category);
        self.brands.push(brand);
        self.prices.push(price.amount());
        self.currencies.push(price.currency().to_string());
        // A map of strings is always JSON.
        self.attributes
            .push(serde_json::to_string(details.attributes.entries()).unwrap_or_else(|_| "{}".to_owned()));
        self.archived.push(product.archived);
        self.created.push(product.created_at.to_sqlx());
        self.updated.push(product.updated_at.to_sqlx());
        let attributes = details.attributes.entries().values().map(String::as_str);
        self.words.extend(search::learnt([name, brand, category, description].into_iter().chain(attributes)));
    }
}

impl Stock {
    fn push(&mut self, product: Uuid, evidence: Evidence, sold_out: Option<i32>) {
        self.told.push(product);
        self.available.push(i64::from(evidence.available));
        self.told_versions.push(evidence.version);
        if let Some(version) = sold_out {
            self.sold_out.push(product);
            self.sold_out_versions.push(version);
        }
    }
}
