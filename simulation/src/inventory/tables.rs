//! The tables of inventory: stock rows that are changed by deltas under a check, the ledger, reservations.

use std::collections::BTreeMap;

use viscount_contracts::{ProductId, ReservationId};
use viscount_inventory::domain::{Balance, Level, Location, Movement, Reservation, Sign, State, fits, net};

use crate::{
    defect::Defect,
    store::{Database, Tables},
};

/// How the row of a reservation changes.
#[derive(Debug, Clone)]
pub enum Row {
    /// It was never heard of.
    Open(Reservation),
    /// It goes on, from this state.
    Step(State, Reservation),
}

/// What one commit changes.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The reservation.
    pub row: Option<Row>,
    /// The ledger.
    pub movements: Vec<Movement>,
    /// What others are told of a product.
    pub sign: Option<(ProductId, Sign)>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct StockTables {
    /// In the house, held, and how often that changed; by product and place.
    pub stock: BTreeMap<(ProductId, Location), (i64, i64, i64)>,
    /// Every movement.
    pub movements: Vec<Movement>,
    /// Every reservation.
    pub reservations: BTreeMap<ReservationId, Reservation>,
    signs: BTreeMap<ProductId, Sign>,
    /// Came in by hand, and left with buyers; by product and place.
    flow: BTreeMap<(ProductId, Location), (i64, i64)>,
}

impl Tables for StockTables {
    type Change = Change;

    fn fits(&self, change: &Change, defect: Option<Defect>) -> bool {
        let in_step = match &change.row {
            None => true,
            Some(Row::Open(after)) => !self.reservations.contains_key(&after.id),
            Some(Row::Step(from, after)) => {
                self.reservations.get(&after.id).is_some_and(|known| known.state == *from)
            }
        };
        let bounds = || {
            net(change.movements.iter()).into_iter().all(|(place, (on_hand, reserved))| {
                let now = self.stock.get(&place).copied().unwrap_or_default();
                fits(now.0 + on_hand, now.1 + reserved)
            })
        };
        in_step && (defect == Some(Defect::StockGuardOff) || bounds())
    }

    fn apply(&mut self, change: &Change) {
        for (place, (on_hand, reserved)) in net(change.movements.iter()) {
            let row = self.stock.entry(place).or_default();
            *row = (row.0 + on_hand, row.1 + reserved, row.2 + 1);
        }
        for movement in &change.movements {
            let flow = self.flow.entry((movement.product, movement.location.clone())).or_default();
            match movement.reservation {
                None => flow.0 += i64::from(movement.on_hand),
                Some(_) => flow.1 -= i64::from(movement.on_hand),
            }
        }
        self.movements.extend(change.movements.iter().cloned());
        if let Some(Row::Open(after) | Row::Step(_, after)) = &change.row {
            self.reservations.insert(after.id, after.clone());
        }
        self.signs.extend(change.sign);
    }

    fn flaw(&self, change: &Change) -> Option<String> {
        change.movements.iter().find_map(|movement| {
            let place = (movement.product, movement.location.clone());
            let (on_hand, reserved, _) = self.stock.get(&place).copied().unwrap_or_default();
            let (received, sold) = self.flow.get(&place).copied().unwrap_or_default();
            let product = crate::shared::number(movement.product.uuid());
            let sound = reserved >= 0 && on_hand >= 0 && reserved + sold <= received;
            (!sound).then(|| {
                format!(
                    "oversold: of product {product} {reserved} are held and {sold} sold, {received} came in"
                )
            })
        })
    }
}

/// A product as the database has it.
pub fn balance(db: &Database<StockTables>, product: ProductId) -> Balance {
    let levels = db.tables.stock.iter().filter(|((of, _), _)| *of == product);
    let level = |((_, location), row): (&(ProductId, Location), &(i64, i64, i64))| Level {
        location: location.clone(),
        on_hand: row.0,
        reserved: row.1,
        version: row.2,
    };
    Balance {
        product,
        levels: levels.map(level).collect(),
        stream: db.newest(product.uuid()),
        sign: db.tables.signs.get(&product).copied().unwrap_or_default(),
    }
}
