//! A service whose brokers do not let it in, until they do.

use std::{
    sync::atomic::{AtomicI32, Ordering},
    time::Duration,
};

use tokio::time::timeout;
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
    let mut last = String::new();
    let asking = async {
        loop {
            if let Err(said) = shop.bed.log.check().await {
                last = said;
                if last.contains(what) {
                    break;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = timeout(Duration::from_secs(20), asking).await;
    assert!(told.is_ok(), "{what:?} should be told, not {last:?}");
    assert!(!last.contains('\n'), "one line: {last}");
    println!("{last}");
    last
}
