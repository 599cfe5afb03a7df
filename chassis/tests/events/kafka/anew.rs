//! A topic that is deleted: everything is published again.

use viscount_chassis::{
    devkafka::testing::wanted,
    store::EventStore,
    testing::{eventually, run},
};
use viscount_contracts::Topic;

use super::hall::{Hall, PATIENCE, keys, positions, publish};

async fn delete(hall: &Hall) {
    let (admin, name) = (hall.admin(), hall.topic());
    admin.delete_topics(&[&name], &Default::default()).await.unwrap()[0].as_ref().unwrap();
    eventually(|| async {
        let metadata = admin.inner().fetch_metadata(Some(&name), PATIENCE).unwrap();
        metadata.topics()[0].partitions().is_empty().then_some(())
    })
    .await;
}

#[test]
fn a_topic_that_was_deleted_has_its_history_again() {
    if !wanted("a topic that was deleted") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        hall.made(3, &[]).await;
        let (bed, keys) = (hall.bed().await, keys(5));
        publish(&bed, &keys, 1..=4).await;
        positions(hall.follow(bed.log.as_ref()).await.as_mut(), 20).await;
        bed.log.close(PATIENCE).await;
        for made_by_hand in [true, false] {
            delete(&hall).await;
            if made_by_hand {
                hall.made(3, &[]).await;
            }
            let log = hall.log();
            let _publisher = log.publisher(EventStore::new(Topic::Orders, bed.pool.clone()));
            let mut all = positions(hall.follow(log.as_ref()).await.as_mut(), 20).await;
            all.sort_unstable();
            assert_eq!(all, (1..=20).collect::<Vec<_>>());
            log.close(PATIENCE).await;
        }
    });
}

/// The producer that lives on would go on in the middle.
#[test]
fn a_topic_that_is_made_anew_under_a_living_relay_has_its_history_again() {
    if !wanted("a topic that is made anew") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        hall.made(1, &[]).await;
        let (bed, keys) = (hall.bed().await, keys(5));
        publish(&bed, &keys, 1..=4).await;
        positions(hall.follow(bed.log.as_ref()).await.as_mut(), 20).await;
        delete(&hall).await;
        hall.made(1, &[]).await;
        publish(&bed, &keys, 5..=5).await;
        let mut all = positions(hall.follow(bed.log.as_ref()).await.as_mut(), 25).await;
        all.sort_unstable();
        assert_eq!(all, (1..=25).collect::<Vec<_>>());
    });
}
