//! Random baskets: the same seed gives the same ones.

use std::fmt::Write;

use rand::{RngExt, rngs::StdRng, seq::SliceRandom};
use viscount_contracts::ProductId;

use super::zipf::Zipf;
use crate::{client::shop::Shop, profile::model};

/// What baskets are filled from.
pub struct Shelf {
    /// From the most wanted product to the least.
    ranks: Vec<ProductId>,
    zipf: Zipf,
    lines: (usize, usize),
    pieces: (u32, u32),
    payment: String,
}

impl Shelf {
    /// Which product is wanted how much is up to the seed, not to its name.
    pub fn new(shop: &Shop, baskets: &model::Baskets, random: &mut StdRng) -> Self {
        let mut ranks: Vec<_> = shop.products.iter().map(|product| product.id).collect();
        ranks.shuffle(random);
        let zipf = Zipf::new(ranks.len(), baskets.zipf);
        let (fewest, most) = baskets.lines;
        let lines = (fewest.min(ranks.len()), most.min(ranks.len()));
        Self { ranks, zipf, lines, pieces: baskets.pieces, payment: baskets.payment.clone() }
    }

    /// One product, the wanted ones more often.
    pub fn product(&self, random: &mut StdRng) -> ProductId {
        self.ranks[self.zipf.pick(random)]
    }

    /// One of the most wanted products.
    pub fn hot(&self, products: usize, random: &mut StdRng) -> ProductId {
        self.ranks[random.random_range(0..products.clamp(1, self.ranks.len()))]
    }

    /// The body of an order of different products.
    pub fn basket(&self, payment: Option<&str>, random: &mut StdRng) -> String {
        let wanted = random.random_range(self.lines.0..=self.lines.1);
        let mut chosen: Vec<ProductId> = Vec::with_capacity(wanted);
        // The wanted ones come again and again; after some tries the basket is small.
        for _ in 0..wanted * 4 {
            let product = self.product(random);
            if !chosen.contains(&product) {
                chosen.push(product);
                if chosen.len() == wanted {
                    break;
                }
            }
        }
        let lines =
            chosen.into_iter().map(|product| (product, random.random_range(self.pieces.0..=self.pieces.1)));
        body(lines, payment.unwrap_or(&self.payment))
    }

    /// The body of an order of one product.
    pub fn only(&self, product: ProductId, pieces: u32) -> String {
        body([(product, pieces)].into_iter(), &self.payment)
    }
}

fn body(lines: impl Iterator<Item = (ProductId, u32)>, payment: &str) -> String {
    let mut body = String::with_capacity(600);
    body.push_str(r#"{"lines":["#);
    for (number, (product, pieces)) in lines.enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(body, r#"{comma}{{"product_id":"{product}","quantity":{pieces}}}"#);
    }
    let payment = serde_json::Value::from(payment);
    let _ = write!(body, r#"],"payment":{{"method":"card","token":{payment}}}}}"#);
    body
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::SeedableRng;
    use uuid::Uuid;

    use super::*;
    use crate::client::shop::Product;

    fn shelf(seed: u64, products: u128, lines: (usize, usize)) -> Shelf {
        let product =
            |number| Product { id: Uuid::from_u128(number).into(), name: format!("product {number}") };
        let shop = Shop { products: (0..products).map(product).collect() };
        let baskets = model::Baskets {
            zipf: 1.0,
            lines,
            pieces: (1, 3),
            products: 100,
            restock: 1,
            payment: "tok_\"odd\"".to_owned(),
        };
        Shelf::new(&shop, &baskets, &mut StdRng::seed_from_u64(seed))
    }

    #[test]
    fn the_same_seed_makes_the_same_baskets() {
        let bodies = |seed| -> Vec<String> {
            let (shelf, mut random) = (shelf(seed, 50, (1, 8)), StdRng::seed_from_u64(seed));
            (0..20).map(|_| shelf.basket(None, &mut random)).collect()
        };
        assert_eq!(bodies(1), bodies(1));
        assert_ne!(bodies(1), bodies(2));
    }

    #[test]
    fn a_basket_is_an_order_as_the_contract_has_it() {
        let (shelf, mut random) = (shelf(1, 50, (1, 8)), StdRng::seed_from_u64(1));
        let mut lengths = [0; 9];
        for _ in 0..500 {
            let body: serde_json::Value = serde_json::from_str(&shelf.basket(None, &mut random)).unwrap();
            let lines = body["lines"].as_array().unwrap();
            lengths[lines.len()] += 1;
            assert!(lines.iter().all(|line| (1..=3).contains(&line["quantity"].as_u64().unwrap())));
            let mut products: Vec<_> =
                lines.iter().map(|line| line["product_id"].as_str().unwrap()).collect();
            products.sort_unstable();
            assert!(products.windows(2).all(|pair| pair[0] != pair[1]));
            assert_eq!(body["payment"]["token"], "tok_\"odd\"");
        }
        assert!(lengths[0] == 0 && lengths[1..].iter().all(|count| *count > 20), "{lengths:?}");
    }

    #[test]
    fn a_small_shop_has_small_baskets() {
        let (shelf, mut random) = (shelf(1, 2, (3, 8)), StdRng::seed_from_u64(1));
        let body: serde_json::Value =
            serde_json::from_str(&shelf.basket(Some("tok_x"), &mut random)).unwrap();
        assert!((1..=2).contains(&body["lines"].as_array().unwrap().len()));
        assert_eq!(body["payment"]["token"], "tok_x");
    }

    #[test]
    fn the_hot_product_is_always_the_same() {
        let (shelf, mut random) = (shelf(1, 50, (1, 8)), StdRng::seed_from_u64(1));
        let first = shelf.hot(1, &mut random);
        assert!((0..20).all(|_| shelf.hot(1, &mut random) == first));
    }
}
