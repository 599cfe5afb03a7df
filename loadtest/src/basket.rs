//! Random baskets: the same seed gives the same ones.

use std::fmt::Write;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;
use viscount_contracts::ProductId;

/// Most lines of an order.
const LINES: usize = 4;
/// Most pieces of a line.
const PIECES: u32 = 3;

/// One client's baskets.
pub struct Baskets<'a> {
    random: StdRng,
    products: &'a [ProductId],
    payment: &'a str,
}

impl<'a> Baskets<'a> {
    /// The baskets of this client.
    pub fn new(seed: u64, client: u32, products: &'a [ProductId], payment: &'a str) -> Self {
        let random = StdRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(client));
        Self { random, products, payment }
    }

    /// The next order's body and idempotency key. The key is random in itself, so that a run can be repeated.
    pub fn next(&mut self) -> (String, String) {
        let mut body = String::with_capacity(400);
        body.push_str(r#"{"lines":["#);
        for line in 0..self.random.random_range(1..=LINES) {
            let product = self.products[self.random.random_range(0..self.products.len())];
            let pieces = self.random.random_range(1..=PIECES);
            let comma = if line == 0 { "" } else { "," };
            let _ = write!(body, r#"{comma}{{"product_id":"{product}","quantity":{pieces}}}"#);
        }
        let _ =
            write!(body, r#"],"payment":{{"method":"card","token":{}}}}}"#, serde_json::json!(self.payment));
        (body, Uuid::new_v4().to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_baskets() {
        let products: Vec<ProductId> = (0..50).map(|n| Uuid::from_u128(n).into()).collect();
        let bodies = |seed, client| -> Vec<String> {
            let mut baskets = Baskets::new(seed, client, &products, "tok_visa");
            (0..20).map(|_| baskets.next().0).collect()
        };
        assert_eq!(bodies(1, 0), bodies(1, 0));
        assert_ne!(bodies(1, 0), bodies(1, 1));
        assert_ne!(bodies(1, 0), bodies(2, 0));
    }

    #[test]
    fn a_basket_is_an_order_as_the_contract_has_it() {
        let products = [Uuid::from_u128(7).into()];
        let mut baskets = Baskets::new(3, 0, &products, "tok_\"odd\"");
        for _ in 0..100 {
            let body: serde_json::Value = serde_json::from_str(&baskets.next().0).unwrap();
            let lines = body["lines"].as_array().unwrap();
            assert!((1..=LINES).contains(&lines.len()));
            assert!(lines.iter().all(|line| (1..=3).contains(&line["quantity"].as_u64().unwrap())));
            assert_eq!(body["payment"]["token"], "tok_\"odd\"");
        }
    }
}
