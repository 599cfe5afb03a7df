//! JSON catalogues: a list of products as the API takes them (plus `stock`), or as the eShop sample shop writes them
//! (`Id`, `Type`, `Brand`, `Name`, `Description`, `Price`). Which of the two is seen at each entry, by its names.

use serde::Deserialize;
use serde_json::value::RawValue;
use viscount_contracts::Currency;

use super::{
    price,
    reading::{NewProduct, Reading},
};

/// An entry of an eShop catalogue. Other fields of it say nothing to a shop.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EshopItem<'a> {
    id: u64,
    #[serde(rename = "Type")]
    kind: Option<String>,
    brand: Option<String>,
    name: String,
    description: Option<String>,
    /// As it is written, so that it stays exact.
    #[serde(borrow)]
    price: &'a RawValue,
}

/// Whether an entry is an eShop's.
#[derive(Deserialize)]
struct Shape {
    #[serde(rename = "Id")]
    id: Option<serde::de::IgnoredAny>,
}

/// Reads a catalogue. Entries that are no products are refused one by one; a file that is no list, as a whole.
pub fn read(text: &str, currency: Currency) -> Result<Reading, serde_json::Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let entries: Vec<&RawValue> = serde_json::from_str(text)?;
    let mut reading = Reading::default();
    for (entry, line) in entries.into_iter().zip(1..) {
        reading.lines += 1;
        match product(entry.get(), currency) {
            Ok(product) => reading.keep(line, product),
            Err((reason, detail)) => reading.refuse(line, reason, detail, entry.get()),
        }
    }
    Ok(reading)
}

/// The product, or why there is none: in words that count, and in detail.
fn product(entry: &str, currency: Currency) -> Result<NewProduct, (String, Option<String>)> {
    let no_product = |error: serde_json::Error| ("not a product".to_owned(), Some(error.to_string()));
    let shape: Shape = serde_json::from_str(entry).map_err(no_product)?;
    if shape.id.is_none() {
        return serde_json::from_str(entry).map_err(no_product);
    }
    let item: EshopItem<'_> = serde_json::from_str(entry).map_err(no_product)?;
    let price = price::parse(item.price.get(), currency).map_err(|error| (error.to_string(), None))?;
    Ok(NewProduct {
        sku: format!("ESHOP-{}", item.id),
        name: item.name,
        description: item.description,
        category: item.kind,
        brand: item.brand,
        price,
        attributes: Default::default(),
        stock: None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use viscount_contracts::Money;

    use super::*;

    fn pence(amount: i64) -> Money {
        Money::new(amount, Currency::GBP)
    }

    #[test]
    fn an_eshop_catalogue_is_read_exactly() {
        let text = r#"[{"Id": 7, "Type": "Hats", "Brand": "B", "Name": "Cap", "Description": "d", "Price": 0.29},
                       {"Id": 8, "Name": "Scarf", "Price": 1099.90, "AvailableStock": 5}]"#;
        let reading = read(text, Currency::GBP).unwrap();
        assert_eq!(reading.lines, 2);
        assert!(reading.refused.is_empty(), "{:?}", reading.refused);
        let cap = &reading.products[0].product;
        assert_eq!(
            (cap.sku.as_str(), cap.category.as_deref(), cap.price),
            ("ESHOP-7", Some("Hats"), pence(29))
        );
        let scarf = &reading.products[1].product;
        assert_eq!((scarf.brand.as_deref(), scarf.price, scarf.stock), (None, pence(109_990), None));
    }

    #[test]
    fn a_catalogue_of_our_own_brings_its_stock() {
        let text = r#"[{"sku": "a", "name": "A", "price": {"amount": 5, "currency": "GBP"},
                        "attributes": {"size": "9"}, "stock": 12}]"#;
        let reading = read(text, Currency::GBP).unwrap();
        let product = &reading.products[0].product;
        assert_eq!(product.stock, Some(12));
        let sent = serde_json::to_value(product).unwrap();
        let expected = serde_json::json!({"sku": "a", "name": "A", "price": {"amount": 5, "currency": "GBP"},
            "attributes": {"size": "9"}});
        assert_eq!(sent, expected);
    }

    #[test]
    fn what_is_no_product_is_refused_with_its_place() {
        let text = r#"[{"Id": 1, "Name": "free", "Price": 0}, {"Id": 2, "Name": "text", "Price": "9.99"}, 5,
                       {"sku": "a", "name": "typo", "price": {"amount": 1, "currency": "GBP"}, "stok": 3},
                       {"sku": "b", "name": "B", "price": {"amount": 1, "currency": "GBP"}},
                       {"sku": "b", "name": "B again", "price": {"amount": 1, "currency": "GBP"}}]"#;
        let reading = read(text, Currency::GBP).unwrap();
        assert_eq!(reading.products.len(), 1);
        let refused: Vec<_> =
            reading.refused.iter().map(|refused| (refused.line, refused.reason.as_ref())).collect();
        let expected = [
            (1, "price is zero or negative"),
            (2, "price is not a number"),
            (3, "not a product"),
            (4, "not a product"),
            (6, "sku stands in the file twice"),
        ];
        assert_eq!(refused, expected);
        assert!(reading.refused[3].detail.as_deref().unwrap().contains("stok"));
    }

    #[test]
    fn what_is_no_list_is_no_catalogue() {
        for text in ["", "{}", "[", "\"a\"", "[1,]"] {
            assert!(read(text, Currency::GBP).is_err(), "{text}");
        }
    }

    #[test]
    fn the_catalogue_that_is_built_in_is_good() {
        let reading = read(super::super::CATALOGUE, Currency::GBP).unwrap();
        assert!(reading.refused.is_empty(), "{:?}", reading.refused);
        assert!(reading.products.len() >= 20);
        for found in &reading.products {
            let product = &found.product;
            assert!(product.stock.is_some_and(|stock| (5..=500).contains(&stock)), "{}", product.sku);
            assert!(product.price.amount() > 0 && product.category.is_some() && product.brand.is_some());
        }
    }
}
