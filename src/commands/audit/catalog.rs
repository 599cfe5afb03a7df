//! What the catalogue's events alone say of each product. I5: its table says the same. I4: orders' price book and the
//! catalogue's own idea of the stock have had what they were told.

use std::collections::HashMap;

use sqlx::Row;
use uuid::Uuid;
use viscount_chassis::store::EventStore;
use viscount_contracts::{
    DecodeError, Envelope, Event, Topic,
    events::{catalog::v1 as proto, common::v1::Money, inventory::v1::InventoryUpdated},
};

use super::{
    events::Places,
    report::{Promise, Report},
    world::World,
};
use crate::failure::Failure;

const PAGE: i64 = 5_000;

/// One product, rebuilt from its events.
#[derive(Debug, Default, Clone)]
struct Product {
    version: i32,
    price: i64,
    currency: String,
    archived: bool,
    /// Where in the log its newest event is that orders act upon.
    told_orders: i64,
}

impl Product {
    fn apply(&mut self, event: &Envelope) -> Result<(), DecodeError> {
        self.version = self.version.max(event.version);
        let price = match event.kind.as_ref() {
            proto::ProductCreated::KIND => event.decode::<proto::ProductCreated>()?.price,
            proto::ProductUpdated::KIND => event.decode::<proto::ProductUpdated>()?.price,
            proto::PriceChanged::KIND => event.decode::<proto::PriceChanged>()?.new_price,
            proto::ProductDeleted::KIND => {
                self.archived = true;
                self.told_orders = event.position;
                None
            }
            _ => None,
        };
        if let Some(Money { amount, currency }) = price {
            (self.price, self.currency) = (amount, currency);
            self.told_orders = event.position;
        }
        Ok(())
    }
}

/// Compares products with their events, and what others know of them with both.
pub async fn check(world: &World, places: &Places, report: &mut Report) -> Result<(), Failure> {
    let products = read(world).await?;
    let rows = sqlx::query("select product_id, version, price, currency, archived from products")
        .fetch_all(&world.catalog)
        .await?;
    report.checked(Promise::I5, format!("{} products", rows.len()));
    let mut rest = products.clone();
    for row in rows {
        let (id, version): (Uuid, i32) = (row.try_get(0)?, row.try_get(1)?);
        let (price, currency, archived): (i64, String, bool) =
            (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        let told = rest.remove(&id).unwrap_or_default();
        if (version, price, currency.as_str(), archived)
            != (told.version, told.price, told.currency.as_str(), told.archived)
        {
            report.violation(
                Promise::I5,
                format!("product {id}"),
                format!(
                    "the table says v{version} {price} {currency} archived {archived}, its events say v{} {} {} archived {}",
                    told.version, told.price, told.currency, told.archived
                ),
            );
        }
    }
    for id in rest.keys() {
        report.violation(Promise::I5, format!("product {id}"), "it has events and no row");
    }
    price_book(world, places, &products, report).await?;
    availability(world, places, report).await
}

async fn price_book(
    world: &World,
    places: &Places,
    products: &HashMap<Uuid, Product>,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut book: HashMap<Uuid, (i64, String, bool)> = HashMap::new();
    for row in sqlx::query("select product_id, amount, currency, on_sale from price_book")
        .fetch_all(&world.orders)
        .await?
    {
        book.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
    }
    report.checked(Promise::I4, format!("{} prices", book.len()));
    let place = places.of(Topic::Orders, Topic::Catalog);
    for (id, product) in products.iter().filter(|(_, product)| product.told_orders <= place) {
        let wanted = (product.price, product.currency.clone(), !product.archived);
        let known = book.get(id);
        if known != Some(&wanted) {
            report.violation(
                Promise::I4,
                format!("product {id}"),
                format!(
                    "orders sell it at {known:?} (price, currency, on sale), the catalogue says {wanted:?}"
                ),
            );
        }
    }
    Ok(())
}

async fn availability(world: &World, places: &Places, report: &mut Report) -> Result<(), Failure> {
    let rows = sqlx::query(
        "select distinct on (stream) stream, version, data from events
         where kind = 'InventoryUpdated' and position <= $1 order by stream, version desc",
    )
    .bind(places.of(Topic::Catalog, Topic::Inventory))
    .fetch_all(&world.inventory)
    .await?;
    let mut known: HashMap<Uuid, (i64, i32)> = HashMap::new();
    for row in sqlx::query("select product_id, available, version from availability")
        .fetch_all(&world.catalog)
        .await?
    {
        known.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
    }
    for row in rows {
        let (id, version, data): (Uuid, i32, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let told: InventoryUpdated =
            read_as(&data).map_err(|error| Failure::doing(format!("stock of {id}"), error))?;
        let told = (i64::from(told.available), version);
        // It may have heard of more since.
        if known.get(&id).is_none_or(|known| known.1 < told.1 || (known.1 == told.1 && *known != told)) {
            report.violation(
                Promise::I4,
                format!("product {id}"),
                format!(
                    "the catalogue knows {:?} available, inventory told {} in version {}",
                    known.get(&id),
                    told.0,
                    told.1
                ),
            );
        }
    }
    Ok(())
}

fn read_as<E: Event>(data: &[u8]) -> Result<E, String> {
    E::decode(data).map_err(|problem| problem.to_string())
}

/// Every product, from its events.
async fn read(world: &World) -> Result<HashMap<Uuid, Product>, Failure> {
    let store = EventStore::new(Topic::Catalog, world.catalog.clone());
    let mut products: HashMap<Uuid, Product> = HashMap::new();
    let mut position = 0;
    loop {
        let page = store.log(position, PAGE).await?;
        for event in &page {
            position = event.position;
            let product = products.entry(event.key).or_default();
            product.apply(event).map_err(|error| Failure::doing("an event of a product", error))?;
        }
        if page.len() < PAGE as usize {
            return Ok(products);
        }
    }
}
