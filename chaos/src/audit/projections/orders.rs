//! Rows of orders, and the price book.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use uuid::Uuid;

use super::same;
use crate::audit::{
    dataset::{Dataset, OrderRow},
    facts::{Facts, Order},
    verdict::{Findings, Promise, wrong},
};

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    let mut seen = HashSet::with_capacity(data.orders.len());
    for row in &data.orders {
        let mut add = |what: String| found.add(Promise::I7, wrong(what).order(row.id));
        if !seen.insert(row.id) {
            add("has two rows".to_owned());
        }
        let Some(order) = facts.orders.get(&row.id) else {
            add("has a row and no events".to_owned());
            continue;
        };
        let differing = compare(row, order);
        if !differing.is_empty() {
            add(format!("its {}", differing.join("; ")));
        }
    }
    for id in facts.orders.keys().filter(|id| !seen.contains(id)) {
        found.add(Promise::I7, wrong("has events and no row").order(*id));
    }
    prices(data, facts, found);
}

fn compare(row: &OrderRow, order: &Order) -> Vec<String> {
    let mut differing = Vec::new();
    let d = &mut differing;
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    same(d, "customer", Some(row.customer), order.buyer);
    same(d, "status", row.status.as_str(), order.status());
    same(d, "version", row.version, order.version());
    same(d, "total", row.total, order.total);
    same(d, "currency", row.currency.as_str(), order.currency.as_str());
    same(d, "refunded", row.refunded, order.refunded());
    same(d, "lines", &json(&row.lines), &order.lines);
    same(d, "reason", row.reason.as_deref().map(json).as_ref(), order.reason.as_ref());
    same(d, "created_at", Some(row.created_at), order.steps.first().map(|step| step.at));
    same(d, "updated_at", Some(row.updated_at), order.steps.last().map(|step| step.at));
    differing
}

/// What orders believe that products cost is what the catalogue says; and what was sold was sold at one of its prices.
fn prices(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    let book: HashMap<Uuid, _> = data.prices.iter().map(|row| (row.product, row)).collect();
    for (id, product) in &facts.products {
        let told = (
            product.sku.as_str(),
            product.name.as_str(),
            product.price,
            product.currency.as_str(),
            !product.archived,
        );
        let row = book
            .get(id)
            .map(|row| (row.sku.as_str(), row.name.as_str(), row.amount, row.currency.as_str(), row.on_sale));
        if row != Some(told) {
            let what = format!("product {id}: the price book says {row:?}, the catalogue's events {told:?}");
            found.add(Promise::I7, wrong(what));
        }
    }
    for row in data.prices.iter().filter(|row| !facts.products.contains_key(&row.product)) {
        let what = format!("product {} is in the price book and has no events", row.product);
        found.add(Promise::I7, wrong(what));
    }
    for (id, order) in &facts.orders {
        for line in order.lines.as_array().into_iter().flatten() {
            let product = line["product_id"].as_str().and_then(|id| id.parse::<Uuid>().ok());
            let price = line["unit_price"]["amount"].as_i64();
            let known = product.and_then(|product| facts.products.get(&product));
            if !known.is_some_and(|known| price.is_some_and(|price| known.prices.contains(&price))) {
                let what = format!("product {} never cost {}", line["product_id"], line["unit_price"]);
                found.add(Promise::I7, wrong(what).order(*id));
            }
        }
    }
}
