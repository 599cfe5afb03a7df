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
