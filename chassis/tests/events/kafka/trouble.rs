//! A service whose brokers do not let it in, until they do.

use std::sync::atomic::{AtomicI32, Ordering};

use uuid::Uuid;
use viscount_chassis::testing::eventually;

use super::hall::{Hall, Member, Notes, keys, publish};
use crate::bed::Bed;

const KEYS: usize = 20;

/// Publishes and consumes.
pub struct Shop {
    bed: Bed,
    member: Member,
    notes: Notes,
    keys: Vec<Uuid>,
    version: AtomicI32,
}

impl Shop {
    pub async fn open(hall: Hall) -> Self {
        let (bed, notes) = (hall.bed().await, Notes::default());
        let member = hall.member(&bed.pool, &notes);
        Self { bed, member, notes, keys: keys(KEYS), version: AtomicI32::new(0) }
    }

    /// Commits events, which needs no broker.
    pub async fn sells(&self) {
        let next = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        publish(&self.bed, &self.keys, next..=next).await;
    }

    /// Waits until everything has come through the brokers, in order, and nothing is the matter any more.
    pub async fn delivers(self) {
        let version = self.version.load(Ordering::Relaxed);
        assert!(version > 0, "nothing was sold");
        self.notes.until(KEYS * usize::try_from(version).unwrap()).await;
        self.notes.are_in_order(KEYS, version);
        eventually(|| async { self.bed.log.check().await.ok() }).await;
        self.member.leave().await;
    }
}

/// Waits until the check of readiness says this; gives the whole line.
pub async fn told(shop: &Shop, what: &str) -> String {
    let last = parking_lot::Mutex::new(String::new());
    let said = eventually(|| async {
        let said = shop.bed.log.check().await.err()?;
        last.lock().clone_from(&said);
        said.contains(what).then_some(said)
    });
    let said = tokio::time::timeout(super::hall::PATIENCE, said).await;
    let said = said.unwrap_or_else(|_| panic!("{what:?} should be told, not {:?}", last.lock()));
    assert!(!said.contains('\n'), "one line: {said}");
    println!("{said}");
    said
}
