//! One product in a replica's memory: the real core's stock, and who stands in line before it.

use std::collections::{BTreeMap, VecDeque};

use viscount_contracts::{ProductId, Quantity, ReservationId};
use viscount_inventory::domain::{Location, Reservation, Stock, Take};

use super::tables::{StockTables, balance};
use crate::store::Database;

/// Pieces of one product that are put aside.
pub type Hold = (ProductId, Vec<(Location, u32)>);

/// See the module.
#[derive(Debug)]
pub struct Shelf {
    stock: Stock,
    /// The step at which it last was as the database had it.
    as_of: u64,
    /// Who asked, by task; the first one is served.
    line: VecDeque<u64>,
}

/// What one replica has in memory.
#[derive(Debug, Default)]
pub struct Memory {
    shelves: BTreeMap<ProductId, Shelf>,
    /// Reservations that were met lately.
    pub recent: BTreeMap<ReservationId, Reservation>,
}

/// What asking a shelf gave.
pub enum Asked {
    /// These pieces are put aside.
    Held(Hold),
    /// They are there.
    Enough,
    /// They are not.
    Short(u64),
    /// Others have to decide first, or stand before.
    Wait,
}

impl Memory {
    fn shelf(&mut self, db: &Database<StockTables>, product: ProductId, tick: u64) -> &mut Shelf {
        self.shelves.entry(product).or_insert_with(|| Shelf {
            stock: Stock::of(&balance(db, product)),
            as_of: tick,
            line: VecDeque::new(),
        })
    }

    /// Asks for pieces, for a task that asked first at step `since`.
    pub fn ask(
        &mut self,
        db: &Database<StockTables>,
        (task, since, tick): (u64, u64, u64),
        (product, wanted): (ProductId, Quantity),
        take: bool,
    ) -> Asked {
        let shelf = self.shelf(db, product, tick);
        if !shelf.line.contains(&task) {
            shelf.line.push_back(task);
        }
        if shelf.line.front() != Some(&task) {
            return Asked::Wait;
        }
        loop {
            let taken = if take {
                shelf.stock.take(wanted)
            } else {
                shelf.stock.look(wanted).unwrap_or(Take::Held(Vec::new()))
            };
            let answer = match taken {
                Take::Held(parts) if take => Asked::Held((product, parts)),
                Take::Held(_) => Asked::Enough,
                Take::Short { available } if shelf.as_of >= since => Asked::Short(available),
                Take::Wait => return Asked::Wait,
                // Nothing is undecided: what the database says is all there is.
                Take::Short { .. } | Take::Doubtful => {
                    if !shelf.stock.correct(&balance(db, product)) {
                        return Asked::Wait;
                    }
                    shelf.as_of = tick;
                    continue;
                }
            };
            shelf.line.pop_front();
            return answer;
        }
    }

    /// A task stands in no line any more.
    pub fn leave(&mut self, task: u64) {
        for shelf in self.shelves.values_mut() {
            shelf.line.retain(|waiting| *waiting != task);
        }
    }

    /// Pieces are in the database as held.
    pub fn confirm(&mut self, holds: &mut Vec<Hold>) {
        for (product, _) in holds.drain(..) {
            if let Some(shelf) = self.shelves.get_mut(&product) {
                shelf.stock.confirm();
            }
        }
    }

    /// Pieces come back. `doubtful`: they may be written all the same.
    pub fn give_back(&mut self, holds: &mut Vec<Hold>, doubtful: bool) {
        for (product, parts) in holds.drain(..) {
            if let Some(shelf) = self.shelves.get_mut(&product) {
                shelf.stock.give_back(&parts);
                if doubtful {
                    shelf.stock.doubt();
                }
            }
        }
    }

    /// Something came or went, and the database knows.
    pub fn moved(&mut self, product: ProductId, location: &Location, by: i64) {
        if let Some(shelf) = self.shelves.get_mut(&product) {
            shelf.stock.change(location, by);
        }
    }
}
