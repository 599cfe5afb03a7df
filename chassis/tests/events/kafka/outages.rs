//! Brokers that are away.

use std::time::Duration;

use tokio::time::timeout;
use viscount_chassis::{
    devkafka::testing::{on_a_blocking_thread, own_broker, wanted},
    testing::{eventually, run},
};

use super::hall::{Hall, Notes, PATIENCE, keys, positions, publish};

/// Away at the start, then there; then killed in the middle, and there again.
#[test]
fn commits_go_on_without_brokers_and_everything_arrives_when_they_are_back() {
    if !wanted("brokers that are away") {
        return;
    }
    run(async {
        let mut broker = own_broker(&[]).await;
        let hall = Hall::on(&broker.brokers());
        broker.kill();
        let (bed, notes, keys) = (hall.bed().await, Notes::default(), keys(20));
        let member = hall.member(&bed.pool, &notes);
        publish(&bed, &keys, 1..=3).await;
        let check = timeout(PATIENCE, bed.log.check()).await.unwrap();
        assert!(check.is_err(), "the readiness report should say that the brokers are away");
        let mut broker = on_a_blocking_thread(move || {
            broker.restart().unwrap();
            broker
        })
        .await;
        notes.until(60).await;
        eventually(|| async { bed.log.check().await.ok() }).await;

        let mut follower = hall.follow(bed.log.as_ref()).await;
        broker.kill();
        publish(&bed, &keys, 4..=6).await;
        let early = timeout(Duration::from_millis(300), notes.until(61)).await;
        assert!(early.is_err(), "nothing can arrive without brokers");
        let _broker = on_a_blocking_thread(move || {
            broker.restart().unwrap();
            broker
        })
        .await;
        notes.until(120).await;
        notes.are_in_order(20, 6);
        let mut all = positions(follower.as_mut(), 120).await;
        all.sort_unstable();
        assert_eq!(all, (1..=120).collect::<Vec<_>>());
        member.leave().await;
    });
}
