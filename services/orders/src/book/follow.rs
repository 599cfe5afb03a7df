//! Keeps the book in memory right where other replicas write a part of the table: by following the whole topic.
//!
//! It begins at the topic's beginning. Then every event that one builds on has been seen, and nothing depends on how far
//! the group has come; the table, loaded before, makes the book good from the first moment on.

use std::{convert::Infallible, sync::Arc, time::Duration};

use viscount_chassis::{
    log::{EventLog, LogError, Start},
    seldom::Seldom,
};
use viscount_contracts::{Envelope, Topic};

use super::{Change, PriceBook};

/// Follows the catalogue for ever. Run as a supervised task.
pub async fn follow(book: PriceBook, log: Arc<dyn EventLog>) -> Result<(), Infallible> {
    let mut seldom = Seldom::default();
    loop {
        let Err(error) = follow_from_the_beginning(&book, log.as_ref()).await;
        if seldom.is_due() {
            tracing::warn!(%error, "the price book pauses");
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(500..1_500))).await;
    }
}

async fn follow_from_the_beginning(book: &PriceBook, log: &dyn EventLog) -> Result<Infallible, LogError> {
    let mut reader = log.follow(Topic::Catalog, Start::Beginning).await?;
    loop {
        for event in reader.next(512).await? {
            turn(book, &event);
        }
    }
}

fn turn(book: &PriceBook, event: &Envelope) {
    match Change::of(event, book.remembered(event)) {
        Ok(Some(change)) => book.turn(change),
        Ok(None) => {}
        // The group's consumer makes a dead letter of it.
        Err(error) => tracing::debug!(%error, "an event that cannot be read is not in the price book"),
    }
}
