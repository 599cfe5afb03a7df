//! A product, from its events.

use std::collections::HashSet;

use viscount_contracts::{
    Event as Contract,
    events::{catalog::v1 as proto, common::v1::Money},
};

use super::{Event, money, read};

/// A product as its events have made it.
#[derive(Debug, Default)]
pub struct Product {
    /// The newest version.
    pub version: i32,
    /// Stock keeping unit.
    pub sku: String,
    /// What it is called.
    pub name: String,
    /// Where it is listed.
    pub category: String,
    /// Who makes it.
    pub brand: String,
    /// What it costs.
    pub price: i64,
    /// In which currency.
    pub currency: String,
    /// No longer on sale.
    pub archived: bool,
    /// Every price that it ever had.
    pub prices: HashSet<i64>,
}

impl Product {
    /// Takes an event in.
    pub(super) fn take(&mut self, event: &Event) -> Result<(), String> {
        self.version = event.version;
        match event.kind.as_ref() {
            proto::ProductCreated::KIND => {
                let proto::ProductCreated { sku, name, category, brand, price, .. } = read(event)?;
                (self.sku, self.name, self.category, self.brand) = (sku, name, category, brand);
                self.cost(price)?;
            }
            proto::ProductUpdated::KIND => {
                let proto::ProductUpdated { sku, name, category, brand, price, .. } = read(event)?;
                (self.sku, self.name, self.category, self.brand) = (sku, name, category, brand);
                self.cost(price)?;
            }
            proto::PriceChanged::KIND => self.cost(read::<proto::PriceChanged>(event)?.new_price)?,
            proto::ProductDeleted::KIND => self.archived = true,
            proto::ProductOutOfStock::KIND => {}
            other => return Err(format!("{other} is no event of the catalogue")),
        }
        Ok(())
    }

    fn cost(&mut self, price: Option<Money>) -> Result<(), String> {
        (self.price, self.currency) = money(price)?;
        self.prices.insert(self.price);
        Ok(())
    }
}
