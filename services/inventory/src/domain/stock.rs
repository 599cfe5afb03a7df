//! One product as its actor keeps it in mind while reservations come in.
//!
//! What is free is known up to holds that nobody has decided yet: tentative ones, whose reservation waits for another
//! product or for its commit. They are taken off at once, so nobody is promised the same piece twice, and they come
//! back when the reservation fails. So there are three answers: held; not enough, whatever the others do; and "wait",
//! when only undecided holds are in the way.

use std::collections::BTreeMap;

use viscount_contracts::Quantity;

use super::{Balance, Location};

/// What is free of one product, as far as this process knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stock {
    free: BTreeMap<Location, i64>,
    undecided: u32,
    doubtful: bool,
}

/// What a request for pieces gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Take {
    /// These, from these places; taken off until decided.
    Held(Vec<(Location, u32)>),
    /// Ask again when one of the undecided holds is decided.
    Wait,
    /// What is in mind may be wrong, and nothing is undecided: look at the database, then ask again.
    Doubtful,
    /// Not enough, and nobody is about to give any back.
    Short {
        /// How many there are.
        available: u64,
    },
}

impl Stock {
    /// As the database has it, when nothing is undecided here.
    pub fn of(balance: &Balance) -> Self {
        let free = balance
            .levels
            .iter()
            .map(|level| (level.location.clone(), level.on_hand - level.reserved))
            .collect();
        Self { free, undecided: 0, doubtful: false }
    }

    /// How many pieces could be held now.
    pub fn available(&self) -> u64 {
        self.free.values().map(|free| u64::try_from(*free).unwrap_or(0)).sum()
    }

    /// How many holds are neither confirmed nor given back.
    pub fn undecided(&self) -> u32 {
        self.undecided
    }

    /// Holds so many pieces, if need be from several places.
    pub fn take(&mut self, wanted: Quantity) -> Take {
        match self.look(wanted) {
            None => {
                let parts = self.allocate(wanted.get());
                self.undecided += 1;
                Take::Held(parts)
            }
            Some(obstacle) => obstacle,
        }
    }

    /// What [`Stock::take`] would say instead of holding; `None` when it would hold.
    pub fn look(&self, wanted: Quantity) -> Option<Take> {
        let available = self.available();
        if !self.doubtful && available >= u64::from(wanted.get()) {
            return None;
        }
        Some(match (self.undecided, self.doubtful) {
            (1.., _) => Take::Wait,
            (0, true) => Take::Doubtful,
            (0, false) => Take::Short { available },
        })
    }

    /// One place for all if there is one, else the fullest places first.
    fn allocate(&mut self, wanted: u32) -> Vec<(Location, u32)> {
        if let Some((location, free)) = self.free.iter_mut().find(|(_, free)| **free >= i64::from(wanted)) {
            *free -= i64::from(wanted);
            return vec![(location.clone(), wanted)];
        }
        let mut places: Vec<_> = self.free.iter_mut().filter(|(_, free)| **free > 0).collect();
        places.sort_by_key(|(_, free)| std::cmp::Reverse(**free));
        let mut missing = wanted;
        let mut parts = Vec::new();
        for (location, free) in places {
            let part = u32::try_from(*free).unwrap_or(u32::MAX).min(missing);
            if part == 0 {
                break;
            }
            *free -= i64::from(part);
            missing -= part;
            parts.push((location.clone(), part));
        }
        parts
    }

    /// A hold is in the database.
    pub fn confirm(&mut self) {
        self.undecided = self.undecided.saturating_sub(1);
    }

    /// A hold is not needed after all.
    pub fn give_back(&mut self, parts: &[(Location, u32)]) {
        self.undecided = self.undecided.saturating_sub(1);
        for (location, part) in parts {
            self.change(location, i64::from(*part));
        }
    }

    /// Something was freed, brought or taken elsewhere, and is in the database.
    pub fn change(&mut self, location: &Location, by: i64) {
        *self.free.entry(location.clone()).or_default() += by;
    }

    /// What is in mind may be wrong: look before the next answer.
    pub fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// Takes what the database says. Only when nothing is undecided does that say all; else nothing changes.
    pub fn correct(&mut self, balance: &Balance) -> bool {
        let sound = self.undecided == 0;
        if sound {
            *self = Self::of(balance);
        }
        sound
    }
}
