//! The platform's products by the file's stock codes.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use viscount_contracts::{Currency, Money, ProductId};

use super::{
    file::Invoice,
    plan::{Offer, Product},
};
use crate::{
    client::{
        shop::{Page, page, page_path},
        wire::{Connection, Target},
    },
    failure::Failure,
};

/// What is on sale of what the file names.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Products, in the order of the plan's numbers.
    pub products: Vec<ProductId>,
    /// By stock code.
    pub offers: HashMap<String, Offer>,
    numbers: HashMap<ProductId, Product>,
}

/// A product as the list has it.
#[derive(Debug, Deserialize)]
pub struct Listed {
    id: ProductId,
    sku: String,
    price: Money,
}

impl Catalogue {
    /// Looks through the whole list.
    pub async fn look(target: &Target, invoices: &[Invoice]) -> Result<Self, Failure> {
        let mut connection = Connection::new(target);
        let (mut listed, mut cursor) = (Vec::new(), None);
        loop {
            let path = page_path("/v1/products?sort=name", cursor.as_deref());
            let page: Page<Listed> = page(&mut connection, &path, None).await?;
            listed.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(Self::of(listed, invoices));
            }
        }
    }

    /// What of this list the file names.
    pub fn of(listed: Vec<Listed>, invoices: &[Invoice]) -> Self {
        let mut wanted: HashMap<&str, Option<Listed>> = HashMap::new();
        for line in invoices.iter().flat_map(|invoice| &invoice.lines) {
            wanted.entry(&line.code).or_default();
        }
        for product in listed {
            // The exact sku goes before one in other letters.
            let upper = product.sku.to_uppercase();
            if let Some(place) = wanted.get_mut(upper.as_str())
                && (place.is_none() || product.sku == upper)
            {
                *place = Some(product);
            }
        }
        let mut found: Vec<(&str, Listed)> =
            wanted.into_iter().filter_map(|(code, product)| Some((code, product?))).collect();
        found.sort_unstable_by_key(|pair| pair.0);
        let mut currencies: BTreeMap<Currency, usize> = BTreeMap::new();
        for (_, product) in &found {
            *currencies.entry(product.price.currency()).or_default() += 1;
        }
        let usual = currencies.into_iter().max_by_key(|(_, count)| *count).map(|(currency, _)| currency);
        let mut catalogue = Self::default();
        for (code, product) in found {
            let offer = if Some(product.price.currency()) == usual {
                catalogue.numbers.insert(product.id, catalogue.products.len());
                catalogue.products.push(product.id);
                Offer::OnSale(catalogue.products.len() - 1)
            } else {
                Offer::OtherCurrency
            };
            catalogue.offers.insert(code.to_owned(), offer);
        }
        catalogue
    }

    /// The plan's number of a product.
    pub fn number(&self, product: ProductId) -> Option<Product> {
        self.numbers.get(&product).copied()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{
        super::plan::tests::{invoice, line},
        *,
    };

    #[test]
    fn products_are_found_by_their_sku_in_any_letters_and_one_currency_counts() {
        let listed: Vec<Listed> = [("A1", "GBP"), ("b2", "GBP"), ("B2", "GBP"), ("C3", "EUR"), ("Z9", "GBP")]
            .into_iter()
            .enumerate()
            .map(|(number, (sku, currency))| Listed {
                id: uuid::Uuid::from_u128(number as u128).into(),
                sku: sku.to_owned(),
                price: Money::new(1, currency.parse().unwrap()),
            })
            .collect();
        let invoices = [invoice(
            "1",
            "ann",
            vec![line("A1", 1, "1"), line("B2", 1, "1"), line("C3", 1, "1"), line("D4", 1, "1")],
        )];
        let catalogue = Catalogue::of(listed, &invoices);
        let numbers: Vec<u128> = catalogue.products.iter().map(|id| id.uuid().as_u128()).collect();
        assert_eq!(numbers, [0, 2], "A1, and B2 as it is written in the file");
        assert_eq!(catalogue.offers["B2"], Offer::OnSale(1));
        assert_eq!(catalogue.offers["C3"], Offer::OtherCurrency);
        assert!(!catalogue.offers.contains_key("D4"));
        assert_eq!(catalogue.number(catalogue.products[1]), Some(1));
    }
}
