//! The domain's events as they go out, protobuf with contiguous versions, and back.

use jiff::Timestamp;
use viscount_chassis::store::NewEvent;
use viscount_contracts::{
    DecodeError, Envelope, Event as Contract, Money, ProductId,
    events::{
        catalog::v1::{PriceChanged, ProductCreated, ProductDeleted, ProductOutOfStock, ProductUpdated},
        common::v1 as common,
    },
};

use crate::domain::{Attributes, Description, Details, Event, Label, Name, Price, Sku};

/// The events as rows of the store; the first one follows version `after`.
pub fn entry_events(
    product: ProductId,
    after: i32,
    events: &[Event],
    at: Timestamp,
    traceparent: Option<&str>,
) -> Vec<NewEvent> {
    let versions = after + 1..;
    let row = |(event, version)| outgoing(product, version, event, at).traced(traceparent.map(str::to_owned));
    events.iter().zip(versions).map(row).collect()
}

fn outgoing(product: ProductId, version: i32, event: &Event, at: Timestamp) -> NewEvent {
    let product_id = product.to_string();
    match event {
        Event::Created(details) => NewEvent::new(product, version, &created(product_id, details), at),
        Event::Updated(details) => NewEvent::new(product, version, &updated(product_id, details), at),
        Event::PriceChanged { old, new } => {
            let (old_price, new_price) = (Some(old.money().into()), Some(new.money().into()));
            NewEvent::new(product, version, &PriceChanged { product_id, old_price, new_price }, at)
        }
        Event::Archived => NewEvent::new(product, version, &ProductDeleted { product_id }, at),
        Event::SoldOut => NewEvent::new(product, version, &ProductOutOfStock { product_id }, at),
    }
}

fn created(product_id: String, details: &Details) -> ProductCreated {
    let ProductUpdated { product_id, sku, name, category, brand, price, description, attributes } =
        updated(product_id, details);
    ProductCreated { product_id, sku, name, category, brand, price, description, attributes }
}

fn updated(product_id: String, details: &Details) -> ProductUpdated {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    ProductUpdated {
        product_id,
        sku: details.sku.to_string(),
        name: details.name.to_string(),
        category: text(details.category.as_ref().map(|label| label.as_str())),
        brand: text(details.brand.as_ref().map(|label| label.as_str())),
        price: Some(details.price.money().into()),
        description: text(details.description.as_ref().map(|description| description.as_str())),
        attributes: details.attributes.entries().clone(),
    }
}

/// The event that an envelope of the catalogue's topic carries; `None` when it is of a kind that this program does not
/// know.
pub fn stored_event(envelope: &Envelope) -> Result<Option<Event>, DecodeError> {
    Ok(Some(match envelope.kind.as_ref() {
        ProductCreated::KIND => {
            let ProductCreated { product_id, sku, name, category, brand, price, description, attributes } =
                envelope.decode()?;
            let price = money::<ProductCreated>(envelope, price.as_ref())?;
            let told = ProductUpdated {
                product_id,
                sku,
                name,
                category,
                brand,
                price: None,
                description,
                attributes,
            };
            Event::Created(Box::new(details(told, price)))
        }
        ProductUpdated::KIND => {
            let told: ProductUpdated = envelope.decode()?;
            let price = money::<ProductUpdated>(envelope, told.price.as_ref())?;
            Event::Updated(Box::new(details(told, price)))
        }
        PriceChanged::KIND => {
            let told: PriceChanged = envelope.decode()?;
            let old = money::<PriceChanged>(envelope, told.old_price.as_ref())?;
            Event::PriceChanged { old, new: money::<PriceChanged>(envelope, told.new_price.as_ref())? }
        }
        ProductDeleted::KIND => Event::Archived,
        ProductOutOfStock::KIND => Event::SoldOut,
        _ => return Ok(None),
    }))
}

fn money<E: Contract>(envelope: &Envelope, price: Option<&common::Money>) -> Result<Price, DecodeError> {
    Money::try_from(price).map(Price::stored).map_err(|problem| envelope.unreadable::<E>(problem))
}

fn details(told: ProductUpdated, price: Price) -> Details {
    let some = |text: String| (!text.is_empty()).then_some(text);
    Details {
        sku: Sku::stored(told.sku),
        name: Name::stored(told.name),
        description: some(told.description).map(Description::stored),
        category: some(told.category).map(Label::stored),
        brand: some(told.brand).map(Label::stored),
        price,
        attributes: Attributes::stored(told.attributes),
    }
}
