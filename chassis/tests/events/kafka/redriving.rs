//! Dead letters of a group with two members.

use std::time::Duration;

use viscount_chassis::{dead_letters, devkafka::testing::wanted, testing::run};

use super::hall::{Hall, PATIENCE, keys, publish};
use crate::redriving::{Ledger, letter};

/// Whoever finds the letter first redrives it; the owner of its partition keeps later events behind it.
#[test]
fn two_members_redrive_a_key_in_order_in_the_middle_of_traffic() {
    if !wanted("a redrive by two members") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        let (bed, keys) = (hall.bed().await, keys(12));
        let ledger = Ledger::open(&bed.pool).await;
        let sick = keys[3];
        ledger.poison.lock().insert((sick, 2));
        let (first, second) = (hall.member(&bed.pool, &ledger), hall.member(&bed.pool, &ledger));
        publish(&bed, &keys, 1..=5).await;
        let letter = tokio::time::timeout(Duration::from_secs(20), letter(&bed.pool, 3)).await.unwrap();
        ledger.poison.lock().clear();
        assert!(dead_letters::redrive(&bed.pool, &letter).await.unwrap());
        publish(&bed, &keys, 6..=15).await;
        // The one that redrives may go in the middle.
        first.leave().await;
        publish(&bed, &keys, 16..=20).await;
        for key in &keys {
            tokio::time::timeout(PATIENCE, ledger.until(*key, 1..=20)).await.unwrap();
        }
        ledger.until_no_letters().await;
        second.leave().await;
    });
}
