//! A batch as columns: the arrays that the statement unnests. Each struct is one group of its parameters, in order.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use sqlx::{Postgres, postgres::PgArguments, query::Query};
use uuid::Uuid;
use viscount_contracts::ProductId;

use super::change::{AdjustmentRecord, Change, Row};
use crate::domain::{Net, Portion, Sign, net};

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// `$9 … $12`: the net change of each stock row, and `$13 … $20`: every movement, with the place of its row among them.
pub(super) struct StockColumns<'a> {
    net: Net,
    changes: &'a [&'a Change],
}

impl<'a> StockColumns<'a> {
    pub(super) fn of(changes: &'a [&'a Change]) -> Self {
        Self { net: net(changes.iter().flat_map(|change| &change.movements)), changes }
    }

    pub(super) fn bind<'q>(&'q self, query: Statement<'q>) -> Statement<'q> {
        let (mut products, mut locations, mut on_hand, mut reserved) = (vec![], vec![], vec![], vec![]);
        let mut slots = BTreeMap::new();
        for (slot, ((product, location), (delta_on_hand, delta_reserved))) in (1i32..).zip(&self.net) {
            products.push(product.uuid());
            locations.push(location.as_str());
            on_hand.push(*delta_on_hand);
            reserved.push(*delta_reserved);
            slots.insert((*product, location), slot);
        }
        let query = query.bind(products).bind(locations).bind(on_hand).bind(reserved);

        let (mut products, mut locations, mut places, mut kinds) = (vec![], vec![], vec![], vec![]);
        let (mut reservations, mut on_hand, mut reserved, mut notes) = (vec![], vec![], vec![], vec![]);
        for movement in self.changes.iter().flat_map(|change| &change.movements) {
            products.push(movement.product.uuid());
            locations.push(movement.location.as_str());
            places.push(slots.get(&(movement.product, &movement.location)).copied());
            kinds.push(movement.kind.name());
            reservations.push(movement.reservation.map(|id| id.uuid()));
            on_hand.push(movement.on_hand);
            reserved.push(movement.reserved);
            notes.push(movement.note.as_deref());
        }
        query
            .bind(products)
            .bind(locations)
            .bind(places)
            .bind(kinds)
            .bind(reservations)
            .bind(on_hand)
            .bind(reserved)
            .bind(notes)
    }
}

/// `$21 … $28`: new reservations, `$29 … $33`, `$42` and `$43`: reservations that go on.
#[derive(Default)]
pub(super) struct ReservationColumns {
    opened: Vec<Uuid>,
    opened_of_order: Vec<bool>,
    opened_state: Vec<&'static str>,
    opened_version: Vec<i32>,
    opened_expires_at: Vec<Option<SqlTimestamp>>,
    opened_lines: Lines<String>,
    stepped: Vec<Uuid>,
    stepped_from: Vec<&'static str>,
    stepped_to: Vec<&'static str>,
    stepped_version: Vec<i32>,
    stepped_lines: Lines<Option<String>>,
}

impl ReservationColumns {
    pub(super) fn of(changes: &[&Change]) -> Self {
        let mut columns = Self::default();
        for change in changes {
            let Some(row) = &change.reservation else { continue };
            match row {
                Row::Open { id, of_order, state, version, expires_at } => {
                    columns.opened.push(id.uuid());
                    columns.opened_of_order.push(*of_order);
                    columns.opened_state.push(state.name());
                    columns.opened_version.push(*version);
                    columns.opened_expires_at.push(expires_at.map(|at| at.to_sqlx()));
                    columns.opened_lines.push(&change.portions, |array| array);
                }
                Row::Step { id, from, to, version } => {
                    columns.stepped.push(id.uuid());
                    columns.stepped_from.push(from.name());
                    columns.stepped_to.push(to.name());
                    columns.stepped_version.push(*version);
                    let has_lines = !change.portions.is_empty();
                    columns.stepped_lines.push(&change.portions, |array| has_lines.then_some(array));
                }
            }
        }
        columns
    }

    pub(super) fn bind<'q>(&'q self, query: Statement<'q>) -> Statement<'q> {
        query
            .bind(&self.opened)
            .bind(&self.opened_of_order)
            .bind(&self.opened_state)
            .bind(&self.opened_version)
            .bind(&self.opened_expires_at)
            .bind(&self.opened_lines.products)
            .bind(&self.opened_lines.places)
            .bind(&self.opened_lines.quantities)
            .bind(&self.stepped)
            .bind(&self.stepped_from)
            .bind(&self.stepped_to)
            .bind(&self.stepped_version)
            .bind(&self.stepped_lines.products)
    }

    /// `$42` and `$43`, which come last.
    pub(super) fn bind_rest<'q>(&'q self, query: Statement<'q>) -> Statement<'q> {
        query.bind(&self.stepped_lines.places).bind(&self.stepped_lines.quantities)
    }
}

/// The lines of reservations, each column an array literal for each reservation: PostgreSQL has no arrays of arrays of
/// different lengths.
#[derive(Default)]
struct Lines<T> {
    products: Vec<T>,
    places: Vec<T>,
    quantities: Vec<T>,
}

impl<T> Lines<T> {
    fn push(&mut self, portions: &[Portion], keep: impl Fn(String) -> T) {
        self.products.push(keep(array(portions, |portion, text| write!(text, "{}", portion.product))));
        // Names of places are plain by construction; quoted, none of them can be mistaken for null.
        self.places
            .push(keep(array(portions, |portion, text| write!(text, "\"{}\"", portion.location.as_str()))));
        self.quantities.push(keep(array(portions, |portion, text| write!(text, "{}", portion.quantity))));
    }
}

fn array(portions: &[Portion], item: impl Fn(&Portion, &mut String) -> fmt::Result) -> String {
    let mut text = String::with_capacity(2 + portions.len() * 37);
    text.push('{');
    for (index, portion) in portions.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        // Writing to a string does not fail.
        let _ = item(portion, &mut text);
    }
    text.push('}');
    text
}

/// `$34 … $36`: what others know of a product from now on. One row cannot be written twice by one statement; the newest
/// word counts.
pub(super) fn bind_signs<'q>(query: Statement<'q>, changes: &[&Change]) -> Statement<'q> {
    let signs: BTreeMap<ProductId, Sign> = changes.iter().filter_map(|change| change.sign).collect();
    let products: Vec<Uuid> = signs.keys().map(|product| product.uuid()).collect();
    let in_stock: Vec<bool> = signs.values().map(|sign| sign.in_stock).collect();
    let low: Vec<bool> = signs.values().map(|sign| sign.low).collect();
    query.bind(products).bind(in_stock).bind(low)
}

/// `$37 … $40`: the keys of adjustments whose answers the statement writes.
pub(super) fn bind_keys<'q>(query: Statement<'q>, adjustments: &[&'q AdjustmentRecord]) -> Statement<'q> {
    let (mut products, mut principals, mut keys, mut prints) = (vec![], vec![], vec![], vec![]);
    for adjustment in adjustments {
        products.push(adjustment.product.uuid());
        principals.push(adjustment.claim.principal);
        keys.push(adjustment.claim.key.as_str());
        prints.push(adjustment.claim.fingerprint.as_slice());
    }
    query.bind(products).bind(principals).bind(keys).bind(prints)
}
