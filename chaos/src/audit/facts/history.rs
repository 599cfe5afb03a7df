//! The clients' history, by what its lines are about; and the first answers that services remember.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;
use viscount_contracts::Topic;

use crate::{
    audit::dataset::{Dataset, KeyRow},
    history::{Call, Line, Operation, Outcome, Stream},
};

/// The history, put in order.
#[derive(Debug, Default)]
pub struct History<'a> {
    /// The numbers of all lines about an order.
    pub about: HashMap<Uuid, Vec<u64>>,
    /// Tries to place an order, by buyer and key, in the order of their begins.
    pub placed: BTreeMap<(Uuid, &'a str), Vec<&'a Operation>>,
    /// Tries to return money, by buyer and key.
    pub refunds: BTreeMap<(Uuid, &'a str), Vec<&'a Operation>>,
    /// Tries to change stock, by key.
    pub adjusted: BTreeMap<&'a str, Vec<&'a Operation>>,
    /// Tries to call an order off, by order.
    pub cancels: HashMap<Uuid, Vec<&'a Operation>>,
    /// All operations.
    pub operations: Vec<&'a Operation>,
    /// All streams.
    pub streams: Vec<&'a Stream>,
    /// First answers of orders that services remember, by who asked and under which key.
    pub answers: HashMap<(Uuid, &'a str), Answer<'a>>,
}

/// A first answer that is remembered.
#[derive(Debug)]
pub struct Answer<'a> {
    /// Its row.
    pub row: &'a KeyRow,
    /// The order that it shows.
    pub order: Option<Uuid>,
}

/// What is looked at in an order's body.
#[derive(Deserialize)]
struct Shown {
    id: Uuid,
}

impl<'a> History<'a> {
    pub(super) fn of(data: &'a Dataset) -> Self {
        let mut history = Self::default();
        for row in data.keys.iter().filter(|row| row.service == Topic::Orders) {
            let shown: Option<Shown> = serde_json::from_str(&row.body).ok();
            let order = shown.map(|shown| shown.id);
            history.answers.insert((row.principal, &row.key), Answer { row, order });
        }
        for line in &data.history {
            match line {
                Line::Operation(operation) => history.operation(operation),
                Line::Stream(stream) => {
                    history.about.entry(stream.order).or_default().push(stream.id);
                    history.streams.push(stream);
                }
            }
        }
        for tries in history.placed.values_mut().chain(history.refunds.values_mut()) {
            tries.sort_by_key(|operation| operation.id);
        }
        history.operations.sort_by_key(|operation| operation.id);
        history.streams.sort_by_key(|stream| stream.id);
        history
    }

    fn operation(&mut self, operation: &'a Operation) {
        self.operations.push(operation);
        let order = match &operation.call {
            Call::PlaceOrder { buyer, key, .. } => {
                self.placed.entry((*buyer, key)).or_default().push(operation);
                let answered = self.answers.get(&(*buyer, key.as_str())).and_then(|answer| answer.order);
                shown(operation).or(answered)
            }
            Call::ReadOrder { order, .. } => Some(*order),
            Call::Cancel { order, .. } => {
                self.cancels.entry(*order).or_default().push(operation);
                Some(*order)
            }
            Call::Refund { order, buyer, key, .. } => {
                self.refunds.entry((*buyer, key)).or_default().push(operation);
                Some(*order)
            }
            Call::Adjust { key, .. } => {
                self.adjusted.entry(key).or_default().push(operation);
                None
            }
            Call::CreateProduct { .. } => None,
        };
        if let Some(order) = order {
            self.about.entry(order).or_default().push(operation.id);
        }
    }
}

/// The order that an answer shows.
pub fn shown(operation: &Operation) -> Option<Uuid> {
    body(operation).and_then(|body| body.get("id")?.as_str()?.parse().ok())
}

/// The version that an answer shows.
pub fn version(operation: &Operation) -> Option<i64> {
    body(operation)?.get("version")?.as_i64()
}

/// The body of an answer that was good.
pub fn body(operation: &Operation) -> Option<&Value> {
    match &operation.outcome {
        Outcome::Ok { body, .. } => Some(body),
        Outcome::Refused { .. } | Outcome::Unknown { .. } => None,
    }
}
