//! What an actor shares with the holds it has handed out.
//!
//! A hold is decided (confirmed or given back) by whoever has it, right on the shelf and not through the actor's inbox:
//! so an overloaded inbox can never keep pieces from coming back, and neither can a caller who goes away, because
//! dropping a hold decides it too.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::Notify;
use viscount_contracts::{ProductId, Quantity};

use crate::domain::{Balance, Location, Portion, Stock, Take};

/// One product in memory. The lock is held for single steps of the core, never across waiting.
pub struct Shelf {
    product: ProductId,
    stock: Mutex<Stock>,
    news: Notify,
}

/// What asking a shelf gives.
pub enum Taken {
    /// Pieces, put aside.
    Held(Hold),
    /// Another answer of the core.
    Not(Take),
}

impl Shelf {
    /// A shelf that nobody has taken from.
    pub fn new(balance: &Balance) -> Arc<Self> {
        Arc::new(Self {
            product: balance.product,
            stock: Mutex::new(Stock::of(balance)),
            news: Notify::new(),
        })
    }

    /// Puts pieces aside, if they are there.
    pub fn take(self: &Arc<Self>, wanted: Quantity) -> Taken {
        match self.stock.lock().take(wanted) {
            Take::Held(parts) => Taken::Held(Hold { shelf: self.clone(), parts, phase: Phase::Tentative }),
            other => Taken::Not(other),
        }
    }

    /// What [`Shelf::take`] would say instead of holding; `None` when it would hold.
    pub fn look(&self, wanted: Quantity) -> Option<Take> {
        self.stock.lock().look(wanted)
    }

    /// Waits for the next change. One that came since the last wait counts.
    pub async fn changed(&self) {
        self.news.notified().await;
    }

    /// Takes what the database says, unless something is undecided.
    pub fn correct(&self, balance: &Balance) -> bool {
        self.stock.lock().correct(balance)
    }

    /// What is in mind may be wrong.
    pub fn doubt(&self) {
        self.change(Stock::doubt);
    }

    /// Pieces came or went, and the database knows.
    pub fn moved(&self, location: &Location, by: i64) {
        self.change(|stock| stock.change(location, by));
    }

    /// Pieces that could be held now, and holds that are undecided.
    pub fn figures(&self) -> (u64, u32) {
        let stock = self.stock.lock();
        (stock.available(), stock.undecided())
    }

    fn change(&self, change: impl FnOnce(&mut Stock)) {
        change(&mut self.stock.lock());
        self.news.notify_one();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is written; dropping gives the pieces back.
    Tentative,
    /// It may be written or not; dropping gives the pieces back and makes the actor look at the database.
    Committing,
    /// Decided.
    Decided,
}

/// Pieces of one product, put aside for one reservation until decided.
#[must_use = "a hold that is dropped is given back"]
pub struct Hold {
    shelf: Arc<Shelf>,
    parts: Vec<(Location, u32)>,
    phase: Phase,
}

impl Hold {
    /// What is held where.
    pub fn portions(&self) -> impl Iterator<Item = Portion> {
        let product = self.shelf.product;
        self.parts.iter().map(move |(location, quantity)| Portion {
            product,
            location: location.clone(),
            quantity: *quantity,
        })
    }

    /// From here on the pieces may be written as reserved.
    pub fn committing(&mut self) {
        self.phase = Phase::Committing;
    }

    /// They are written.
    pub fn confirm(mut self) {
        self.phase = Phase::Decided;
        self.shelf.change(Stock::confirm);
    }

    /// They are not written, and nothing is wrong with the actor's memory.
    pub fn give_back(mut self) {
        self.phase = Phase::Decided;
        self.shelf.change(|stock| stock.give_back(&self.parts));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let doubtful = match self.phase {
            Phase::Decided => return,
            Phase::Tentative => false,
            Phase::Committing => true,
        };
        self.shelf.change(|stock| {
            stock.give_back(&self.parts);
            if doubtful {
                stock.doubt();
            }
        });
    }
}

/// The shelves of this process's live actors, for news that needs no actor to be woken.
#[derive(Clone, Default)]
pub struct Shelves {
    live: Arc<Mutex<HashMap<ProductId, Weak<Shelf>>>>,
}

impl Shelves {
    /// Makes a shelf known, in place of an earlier one of its product.
    pub fn put(&self, shelf: &Arc<Shelf>) {
        self.live.lock().insert(shelf.product, Arc::downgrade(shelf));
    }

    /// Forgets a shelf, unless a newer one has taken its place.
    pub fn remove(&self, shelf: &Arc<Shelf>) {
        let mut live = self.live.lock();
        if live.get(&shelf.product).is_some_and(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(shelf))) {
            live.remove(&shelf.product);
        }
    }

    /// These pieces are free again, and the database knows. A product whose actor sleeps will read it there.
    pub fn freed(&self, portions: &[Portion]) {
        for portion in portions {
            let shelf = self.live.lock().get(&portion.product).and_then(Weak::upgrade);
            if let Some(shelf) = shelf {
                shelf.moved(&portion.location, i64::from(portion.quantity));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::FutureExt;

    use super::*;
    use crate::domain::Level;

    fn balance(on_hand: i64) -> Balance {
        let level = Level { location: Location::main(), on_hand, reserved: 0, version: 1 };
        Balance { levels: vec![level], ..Balance::unknown(ProductId::new()) }
    }

    fn pieces(pieces: i64) -> Quantity {
        Quantity::new(pieces).unwrap()
    }

    fn held(shelf: &Arc<Shelf>, wanted: i64) -> Hold {
        match shelf.take(pieces(wanted)) {
            Taken::Held(hold) => hold,
            Taken::Not(other) => panic!("{wanted} should be there, but {other:?}"),
        }
    }

    #[test]
    fn whoever_goes_away_gives_back_and_wakes_who_waits() {
        let shelf = Shelf::new(&balance(10));
        let hold = held(&shelf, 8);
        assert!(matches!(shelf.take(pieces(5)), Taken::Not(Take::Wait)));
        assert!(shelf.changed().now_or_never().is_none());
        drop(hold);
        assert!(shelf.changed().now_or_never().is_some(), "news that came before the wait counts");
        held(&shelf, 10).confirm();
        assert!(matches!(shelf.take(pieces(1)), Taken::Not(Take::Short { available: 0 })));
    }

    #[test]
    fn whoever_goes_away_while_committing_makes_the_actor_look() {
        let shelf = Shelf::new(&balance(10));
        let mut hold = held(&shelf, 8);
        hold.committing();
        drop(hold);
        // It may have been written: nothing is promised before the database was asked.
        assert!(matches!(shelf.take(pieces(1)), Taken::Not(Take::Doubtful)));
        assert!(shelf.correct(&balance(2)));
        held(&shelf, 2).give_back();
        assert_eq!(shelf.figures(), (2, 0));
    }

    #[test]
    fn a_shelf_is_known_while_it_is_the_newest_of_its_product() {
        let shelves = Shelves::default();
        let balance = balance(1);
        let (old, new) = (Shelf::new(&balance), Shelf::new(&balance));
        let portion = Portion { product: balance.product, location: Location::main(), quantity: 3 };
        shelves.put(&old);
        shelves.put(&new);
        shelves.remove(&old);
        shelves.freed(std::slice::from_ref(&portion));
        assert_eq!((old.figures(), new.figures()), ((1, 0), (4, 0)));
        shelves.remove(&new);
        shelves.freed(&[portion]);
        assert_eq!(new.figures(), (4, 0));
    }
}
