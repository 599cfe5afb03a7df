//! What has been read from a file: products that can be offered, and what cannot, with its place and the reason.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
};

use serde::{Deserialize, Serialize};
use viscount_contracts::Money;

/// The most characters of a refused line that are kept.
const SHOWN: usize = 300;

/// A product as the catalogue takes it (`POST /v1/products`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewProduct {
    /// The shop's own number.
    pub sku: String,
    /// What it is called.
    pub name: String,
    /// Running text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Who makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// What a piece costs.
    pub price: Money,
    /// Whatever else there is to know.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Pieces to receive, when the file says so. Not the catalogue's: it is booked at inventory.
    #[serde(default, skip_serializing)]
    pub stock: Option<u32>,
}

/// A product and where it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The (first) line in a CSV file, the place in the list in a JSON file; both count from 1.
    pub line: u64,
    /// The product.
    pub product: NewProduct,
}

/// Something in the file that became no product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// As [`Found::line`].
    pub line: u64,
    /// Why, in words that count: the same for every line of this kind.
    pub reason: Cow<'static, str>,
    /// What else there is to say about this one.
    pub detail: Option<String>,
    /// What stands there.
    pub content: String,
}

/// What has been read.
#[derive(Debug, Default)]
pub struct Reading {
    /// Lines of a CSV file (without the header), or entries of a JSON list.
    pub lines: u64,
    /// What can be offered, in the order of the file; no sku twice.
    pub products: Vec<Found>,
    /// Lines that were not used.
    pub refused: Vec<Refused>,
    /// Products that came to nothing because all of their lines were refused.
    pub unusable: Vec<Refused>,
    skus: HashSet<String>,
}

impl Reading {
    /// Keeps a product, unless its sku is there already.
    pub fn keep(&mut self, line: u64, product: NewProduct) {
        if self.skus.insert(product.sku.clone()) {
            self.products.push(Found { line, product });
        } else {
            self.refuse(line, "sku stands in the file twice", None, product.sku);
        }
    }

    /// Keeps a refusal.
    pub fn refuse(
        &mut self,
        line: u64,
        reason: impl Into<Cow<'static, str>>,
        detail: Option<String>,
        content: impl AsRef<str>,
    ) {
        let content = content.as_ref().chars().take(SHOWN).collect();
        self.refused.push(Refused { line, reason: reason.into(), detail, content });
    }

    /// How many lines were refused for which reason; the most frequent first.
    pub fn reasons(&self) -> Vec<(&str, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for refused in &self.refused {
            *counts.entry(refused.reason.as_ref()).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }
}
