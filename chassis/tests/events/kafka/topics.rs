//! Topics: missing, growing, different.

use rdkafka::admin::NewPartitions;
use viscount_chassis::{
    devkafka::testing::wanted,
    log::{LogError, Start, kafka::KafkaLog},
    testing::run,
};
use viscount_contracts::{DeadLetterTopic, Topic};

use super::hall::{Hall, Notes, keys, positions, publish};
use crate::bed::Bed;

#[test]
fn a_topic_that_is_not_there_yet_is_waited_for() {
    if !wanted("an unknown topic") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        let Err(error) = hall.log().follow(Topic::Orders, Start::Now).await else {
            panic!("nobody can follow what is not there")
        };
        assert!(matches!(error, LogError::UnknownTopic(Topic::Orders)), "{error}");
        // Consumers of a service that has never run; then it runs for the first time.
        let pool = Bed::start().await.pool;
        let notes = Notes::default();
        let member = hall.member(&pool, &notes);
        let (bed, keys) = (hall.bed().await, keys(5));
        publish(&bed, &keys, 1..=2).await;
        notes.until(10).await;
        member.leave().await;
    });
}

#[test]
fn partitions_that_are_added_are_read_from_their_beginning() {
    if !wanted("partitions that are added") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        hall.made(1, &[]).await;
        let (bed, notes) = (hall.bed().await, Notes::default());
        let member = hall.member(&bed.pool, &notes);
        let mut follower = hall.follow(bed.log.as_ref()).await;
        publish(&bed, &keys(20), 1..=1).await;
        notes.until(20).await;
        positions(follower.as_mut(), 20).await;
        let more = NewPartitions::new("", 6);
        let name = hall.topic();
        let more = NewPartitions { topic_name: &name, ..more };
        hall.admin().create_partitions([&more], &Default::default()).await.unwrap()[0].as_ref().unwrap();
        publish(&bed, &keys(100), 1..=1).await;
        notes.until(120).await;
        positions(follower.as_mut(), 100).await;
        member.leave().await;
    });
}

#[test]
fn topics_are_made_once_and_a_difference_is_told_and_left() {
    if !wanted("topics") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        hall.made(2, &[("retention.ms", "1000")]).await;
        let log = KafkaLog::new(hall.config.clone()).unwrap();
        let reports = log.migrate().await.unwrap();
        let all = Topic::ALL.len() + DeadLetterTopic::ALL.len();
        assert_eq!(reports.iter().filter(|report| report.created).count(), all - 1);
        for _ in 0..2 {
            let reports = log.migrate().await.unwrap();
            let orders = reports.iter().find(|report| report.name == hall.topic()).unwrap();
            let differences = orders.differences.join("; ");
            assert!(differences.contains("partitions is 2, should be 6"), "{differences}");
            assert!(differences.contains("retention.ms is 1000, should be -1"), "{differences}");
            let letters = reports.iter().find(|report| report.name.ends_with("orders.dlq.v1")).unwrap();
            let one_broker = ["replication is 1, should be 3", "min.insync.replicas is 1, should be 2"];
            assert_eq!(letters.differences, one_broker, "and nothing else");
        }
    });
}

#[test]
fn of_two_who_make_the_topics_at_once_each_is_made_by_one() {
    if !wanted("topics made twice") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        let [one, other] = [0; 2].map(|_| KafkaLog::new(hall.config.clone()).unwrap());
        let (one, other) = tokio::join!(one.migrate(), other.migrate());
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.len(), Topic::ALL.len() + DeadLetterTopic::ALL.len());
        for (one, other) in one.iter().zip(&other) {
            assert!(one.created != other.created, "{one:?} {other:?}");
            let seen = if one.created { other } else { one };
            // What was made is compared, by the one who has not made it.
            let differences = seen.differences.join("; ");
            assert!(differences.contains("replication is 1, should be 3"), "{differences}");
        }
    });
}
