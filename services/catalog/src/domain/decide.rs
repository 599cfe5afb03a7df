//! What a command means for a product. Pure: nothing goes out but events.

use super::{Details, Event, Product};

/// What an editor wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// These details instead of those there are.
    Replace {
        /// What the editor has seen.
        expected: Expected,
        /// What is to be.
        details: Box<Details>,
    },
    /// Sell it no more.
    Archive {
        /// What the editor has seen.
        expected: Expected,
    },
}

/// What an editor has seen before deciding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Does not matter.
    Any,
    /// This revision, and no other.
    Revision(i32),
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Somebody else has changed it since.
    #[error("the product has changed; it is now at revision {current}")]
    Stale {
        /// What it is now.
        current: i32,
    },
    /// What is archived stays as it was.
    #[error("the product is archived")]
    Archived,
}

/// The events that a command leads to; none when all is as wanted already.
pub fn decide(product: &Product, command: Command) -> Result<Vec<Event>, Rejection> {
    let (Command::Replace { expected, .. } | Command::Archive { expected }) = &command;
    if let Expected::Revision(seen) = expected
        && *seen != product.revision
    {
        return Err(Rejection::Stale { current: product.revision });
    }
    match command {
        Command::Archive { .. } if product.archived => Ok(Vec::new()),
        Command::Archive { .. } => Ok(vec![Event::Archived]),
        Command::Replace { .. } if product.archived => Err(Rejection::Archived),
        Command::Replace { details, .. } => Ok(replace(&product.details, *details)),
    }
}

/// A new price alone is `PriceChanged`; anything else is `Updated`, followed by `PriceChanged` when the price is
/// new as well, so that who follows prices need only know one event.
fn replace(old: &Details, new: Details) -> Vec<Event> {
    let price = (old.price != new.price).then_some(Event::PriceChanged { old: old.price, new: new.price });
    let rest = Details { price: old.price, ..new.clone() } != *old;
    let updated = rest.then(|| Event::Updated(Box::new(new)));
    updated.into_iter().chain(price).collect()
}
