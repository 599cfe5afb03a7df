//! A batch as columns: the arrays that the statement unnests. Each struct is one group of its parameters, in order.

use std::collections::BTreeMap;

use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use sqlx::{Postgres, postgres::PgArguments, query::Query};
use uuid::Uuid;
use viscount_contracts::ProductId;

use super::change::{AdjustmentRecord, Change, Row};
use crate::domain::{Net, Sign, net};

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

/// `$21 … $25`: new reservations, `$26 … $29`: their lines, `$30 … $33`: reservations that go on.
#[derive(Default)]
pub(super) struct ReservationColumns<'a> {
    opened: Vec<Uuid>,
    opened_of_order: Vec<bool>,
    opened_state: Vec<&'static str>,
    opened_version: Vec<i32>,
    opened_expires_at: Vec<Option<SqlTimestamp>>,
    line_reservation: Vec<Uuid>,
    line_product: Vec<Uuid>,
    line_location: Vec<&'a str>,
    line_quantity: Vec<i32>,
    stepped: Vec<Uuid>,
    stepped_from: Vec<&'static str>,
    stepped_to: Vec<&'static str>,
    stepped_version: Vec<i32>,
}

impl<'a> ReservationColumns<'a> {
    pub(super) fn of(changes: &[&'a Change]) -> Self {
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
                }
                Row::Step { id, from, to, version } => {
                    columns.stepped.push(id.uuid());
                    columns.stepped_from.push(from.name());
                    columns.stepped_to.push(to.name());
                    columns.stepped_version.push(*version);
                }
            }
            for portion in &change.portions {
                columns.line_reservation.push(row.id().uuid());
                columns.line_product.push(portion.product.uuid());
                columns.line_location.push(portion.location.as_str());
                columns.line_quantity.push(i32::try_from(portion.quantity).unwrap_or(i32::MAX));
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
            .bind(&self.line_reservation)
            .bind(&self.line_product)
            .bind(&self.line_location)
            .bind(&self.line_quantity)
            .bind(&self.stepped)
            .bind(&self.stepped_from)
            .bind(&self.stepped_to)
            .bind(&self.stepped_version)
    }
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
