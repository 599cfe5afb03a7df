//! Rows of products, and what the catalogue knows of their stock.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::same;
use crate::audit::{
    dataset::Dataset,
    facts::Facts,
    verdict::{Findings, Promise, wrong},
};

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    let mut seen = HashSet::with_capacity(data.products.len());
    for row in &data.products {
        seen.insert(row.id);
        let mut differing = Vec::new();
        match facts.products.get(&row.id) {
            None => differing.push("row is there, and no events".to_owned()),
            Some(told) => {
                let d = &mut differing;
                same(d, "version", row.version, told.version);
                same(d, "sku", &row.sku, &told.sku);
                same(d, "name", &row.name, &told.name);
                same(d, "category", &row.category, &told.category);
                same(d, "brand", &row.brand, &told.brand);
                same(d, "price", (row.price, &row.currency), (told.price, &told.currency));
                same(d, "archived", row.archived, told.archived);
            }
        }
        if !differing.is_empty() {
            found.add(Promise::I7, wrong(format!("product {}: its {}", row.id, differing.join("; "))));
        }
    }
    for id in facts.products.keys().filter(|id| !seen.contains(id)) {
        found.add(Promise::I7, wrong(format!("product {id} has events and no row")));
    }
    let known: HashMap<Uuid, (i64, i32)> =
        data.availability.iter().map(|row| (row.product, (row.available, row.version))).collect();
    for (id, told) in &facts.told {
        let known = known.get(id);
        if known != Some(told) {
            let what = format!(
                "product {id}: the catalogue knows {known:?} (available, version), inventory told {told:?}"
            );
            found.add(Promise::I7, wrong(what));
        }
    }
    sold_out(data, facts, found);
}

/// What inventory told last of a product is whether any piece of it can be sold.
fn sold_out(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    let mut left: BTreeMap<Uuid, i64> = BTreeMap::new();
    for row in &data.stock {
        *left.entry(row.product).or_default() += row.on_hand - row.reserved;
    }
    for (product, left) in left {
        // Of a product that was never there nothing has to be told.
        let told = facts.told.get(&product).map_or(0, |(available, _)| *available);
        if (told > 0) != (left > 0) {
            let what = format!("product {product}: {left} can be sold, inventory told last of {told}");
            found.add(Promise::I7, wrong(what));
        }
    }
}
