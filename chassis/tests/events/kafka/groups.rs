//! Members that share the work of a group.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::watch, time::timeout};
use uuid::Uuid;
use viscount_chassis::{
    consumer::{ConsumerSpec, HandleError, Handler},
    devkafka::testing::wanted,
    log::{self, LogError, kafka::OutOfRange},
    testing::{eventually, run},
};
use viscount_contracts::{Envelope, Topic};

use super::hall::{Hall, Notes, PATIENCE, keys, publish};

#[test]
fn members_come_and_go_and_every_event_is_handled_in_the_order_of_its_key() {
    if !wanted("a rebalance in mid-flight") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        let (bed, notes, keys) = (hall.bed().await, Notes::default(), keys(60));
        let first = hall.member(&bed.pool, &notes);
        publish(&bed, &keys, 1..=5).await;
        notes.until(60).await;
        let second = hall.member(&bed.pool, &notes);
        publish(&bed, &keys, 6..=20).await;
        eventually(|| async { (notes.count() > 700).then_some(()) }).await;
        first.leave().await;
        publish(&bed, &keys, 21..=30).await;
        notes.until(1_800).await;
        notes.are_in_order(60, 30);
        let twice = notes.count() - 1_800;
        assert!(twice < 600, "{twice} events were handled twice: partitions are let go too early");
        // Everything was saved: nobody begins anew.
        second.leave().await;
        let (count, third) = (notes.count(), hall.member(&bed.pool, &notes));
        publish(&bed, &keys[..1], 31..=31).await;
        notes.until(1_801).await;
        let again = notes.count() - count - 1;
        assert!(again < 100, "{again} events were handled again after an orderly end");
        third.leave().await;
    });
}

/// Retention that took what a group has not seen: never silent, and the policy decides.
#[test]
fn events_that_are_gone_are_told_of_and_the_policy_decides() {
    if !wanted("offsets out of range") {
        return;
    }
    run(async {
        let mut hall = Hall::shared().await;
        hall.made(1, &[]).await;
        let (bed, keys) = (hall.bed().await, keys(10));
        publish(&bed, &keys, 1..=2).await;
        let join = |log: std::sync::Arc<dyn log::EventLog>| {
            let (pool, topic) = (bed.pool.clone(), Topic::Orders);
            async move { log.subscribe(log::Member { consumer: "late", topic, pool }).await.unwrap() }
        };
        // The group comes to offset 4, and stays away while 15 are deleted.
        let log = hall.log();
        let mut member = join(log.clone()).await;
        let mut next = 0;
        while next < 20 {
            let delivery = timeout(PATIENCE, member.deliveries.next(100)).await.unwrap().unwrap();
            if let log::Delivery::Events(batch) = delivery {
                next = batch.into_records().map(|(offset, _)| offset + 1).last().unwrap_or(next);
            }
        }
        member.place.save(&[(0, 4)]).await.unwrap();
        drop(member);
        log.close(PATIENCE).await;
        let mut gone = rdkafka::TopicPartitionList::new();
        gone.add_partition_offset(&hall.topic(), 0, rdkafka::Offset::Offset(15)).unwrap();
        hall.admin().delete_records(&gone, &Default::default()).await.unwrap();

        hall.config.out_of_range = OutOfRange::Stop;
        let mut stopped = join(hall.log()).await;
        let refused = timeout(PATIENCE, stopped.deliveries.next(100)).await.unwrap().unwrap_err();
        assert!(
            matches!(refused, LogError::HistoryLost { partition: 0, wanted: 5, found: 15, .. }),
            "{refused}"
        );
        drop(stopped);

        hall.config.out_of_range = OutOfRange::Earliest;
        let mut goes_on = join(hall.log()).await;
        let delivery = timeout(PATIENCE, goes_on.deliveries.next(100)).await.unwrap().unwrap();
        let log::Delivery::Events(batch) = delivery else { panic!("there should be events") };
        assert_eq!(batch.into_records().map(|(offset, _)| offset).next(), Some(15));
    });
}

/// What a member had taken and not handled goes to the others.
#[test]
fn a_member_that_gives_up_is_replaced() {
    if !wanted("a member that gives up") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        let (bed, notes, keys) = (hall.bed().await, Notes::default(), keys(30));
        publish(&bed, &keys, 1..=10).await;
        let living = hall.member(&bed.pool, &notes);
        // Takes events and handles none.
        let silent = hall.log();
        let member = log::Member { consumer: "members", topic: Topic::Orders, pool: bed.pool.clone() };
        let mut hung = silent.subscribe(member).await.unwrap();
        let _ = timeout(Duration::from_secs(3), hung.deliveries.next(10)).await;
        drop(hung);
        silent.close(PATIENCE).await;
        notes.until(300).await;
        notes.are_in_order(30, 10);
        living.leave().await;
    });
}

/// Can finish nothing until what it needs is there.
#[derive(Clone, Default)]
struct Needy {
    is_there: Arc<watch::Sender<bool>>,
    tried: Arc<Mutex<BTreeSet<Uuid>>>,
    handled: Arc<Mutex<BTreeSet<(Uuid, i32)>>>,
}

impl Handler for Needy {
    fn wants(&self, _: &Envelope) -> bool {
        true
    }

    fn handle(&self, event: Arc<Envelope>) -> impl Future<Output = Result<(), HandleError>> + 'static {
        let needy = self.clone();
        async move {
            needy.tried.lock().insert(event.key);
            let _ = needy.is_there.subscribe().wait_for(|is_there| *is_there).await;
            needy.handled.lock().insert((event.key, event.version));
            Ok(())
        }
    }
}

/// In an outage a member has as much in hand as it may, and reads nothing more. Partitions go to others all the same.
#[test]
fn a_member_with_full_hands_does_not_begin_what_has_gone_to_another() {
    if !wanted("a member with full hands") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        hall.made(2, &[]).await;
        let (bed, notes, needy, keys) = (hall.bed().await, Notes::default(), Needy::default(), keys(20));
        publish(&bed, &keys, 1..=3).await;
        let spec = ConsumerSpec { in_hand: 40, ..ConsumerSpec::new("members", Topic::Orders) };
        let full = hall.member_with(&bed.pool, &needy, spec);
        // Three events of each key, and forty in hand: these are of fourteen keys at least.
        eventually(|| async { (needy.tried.lock().len() >= 14).then_some(()) }).await;
        let other = hall.member(&bed.pool, &notes);
        eventually(|| async { (notes.count() > 0).then_some(()) }).await;
        needy.is_there.send_replace(true);
        let all = || async {
            let mut handled = needy.handled.lock().clone();
            handled.extend(notes.all());
            (handled.len() == 60).then_some(())
        };
        eventually(all).await;
        full.leave().await;
        other.leave().await;
        let gone: BTreeSet<Uuid> = notes.all().into_iter().map(|(key, _)| key).collect();
        let begun: Vec<_> = needy
            .handled
            .lock()
            .iter()
            .filter(|(key, version)| gone.contains(key) && *version > 1)
            .copied()
            .collect();
        assert!(begun.is_empty(), "begun although another member had it: {begun:?}");
    });
}
