//! The group commit: together when all is well, alone when something is not.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;
use viscount_chassis::{
    store::{CommitError, Committer, CommitterSpec, EVENT_TOO_LARGE, EventStore, NewEvent},
    testing::{EventsOnly, eventually, run},
};
use viscount_contracts::{EventId, Topic};

use crate::{
    bed::{Bed, entry, event, handled},
    wire::Wire,
};

#[test]
fn a_thousand_entities_at_once_get_positions_without_a_gap() {
    run(async {
        let bed = Bed::start().await;
        let commits = (0..1_000).map(|_| bed.commit(vec![event(Uuid::now_v7(), 1)]));
        assert!(join_all(commits).await.iter().all(Result::is_ok));
        assert_eq!(bed.positions().await, (1..=1_000).collect::<Vec<_>>());
    });
}

#[test]
fn an_event_that_its_topic_would_not_take_is_refused_and_nothing_has_happened() {
    run(async {
        let bed = Bed::start().await;
        let (large, limit) = (Uuid::now_v7(), Topic::Orders.spec().max_message_bytes as usize);
        let mut too_large = event(large, 2);
        too_large.data = vec![7; limit - 1_023];
        let both = || vec![event(large, 1), too_large.clone()];
        let refused = bed.commit(both()).await.unwrap_err();
        assert_eq!(refused, CommitError::Refused { constraint: EVENT_TOO_LARGE.to_owned() });
        assert_eq!(bed.positions().await, [0; 0]);
        too_large.data.pop();
        bed.commit(vec![event(large, 1), too_large]).await.unwrap();
        assert_eq!(bed.positions().await, [1, 2]);
    });
}

#[test]
fn one_entitys_conflict_rejects_that_entity_alone() {
    run(async {
        let bed = Bed::start().await;
        let contended = Uuid::now_v7();
        bed.commit(vec![event(contended, 1)]).await.unwrap();
        let mut commits: Vec<_> = (0..50).map(|_| bed.commit(vec![event(Uuid::now_v7(), 1)])).collect();
        commits.push(bed.commit(vec![event(contended, 1)]));
        commits.push(bed.commit(vec![event(contended, 2), event(contended, 3)]));
        let outcomes = join_all(commits).await;
        assert!(outcomes[..50].iter().all(Result::is_ok));
        assert_eq!(outcomes[50], Err(CommitError::Conflict));
        assert!(outcomes[51].is_ok());
        assert_eq!(bed.positions().await, (1..=bed.positions().await.len() as i64).collect::<Vec<_>>());
    });
}

#[test]
fn an_event_of_another_service_has_its_effect_once() {
    run(async {
        let bed = Bed::start().await;
        let id = EventId::new();
        let outcomes = join_all((0..20).map(|_| bed.committer.commit(handled(id)))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(CommitError::Duplicate))));
    });
}

#[test]
fn two_replicas_share_one_log_without_a_gap() {
    run(async {
        let bed = Bed::start().await;
        let other = bed.replica();
        let commits = (0..400).map(|n| {
            let committer = if n % 2 == 0 { &bed.committer } else { &other };
            committer.commit(entry(vec![event(Uuid::now_v7(), 1)]))
        });
        assert!(join_all(commits).await.iter().all(Result::is_ok));
        assert_eq!(bed.positions().await, (1..=400).collect::<Vec<_>>());
    });
}

/// The connection breaks in mid-commit again and again: nobody knows what was committed, and yet what was answered Ok
/// is there exactly once, and nothing else.
#[test]
fn commits_whose_outcome_is_unknown_are_neither_lost_nor_doubled() {
    run(async {
        let bed = Bed::start().await;
        let streams: Vec<_> = (0..600).map(|_| Uuid::now_v7()).collect();
        let mut admin = PgConnection::connect(&bed.admin_url).await.unwrap();
        let committing = join_all(streams.iter().map(|stream| async {
            for version in 1..=3 {
                bed.commit(vec![event(*stream, version)]).await.unwrap();
            }
        }));
        let breaking = async {
            for _ in 0..40 {
                sqlx::query(
                    "select pg_terminate_backend(pid) from pg_stat_activity
                     where datname = current_database() and pid <> pg_backend_pid() and query like 'with inboxed%'",
                )
                .execute(&mut admin)
                .await
                .unwrap();
            }
        };
        tokio::join!(committing, breaking);
        assert_eq!(bed.positions().await, (1..=1_800).collect::<Vec<_>>());
        let whole: i64 = sqlx::query_scalar(
            "select count(*) from (select stream from events group by stream having array_agg(version order by position) = '{1,2,3}') s",
        )
        .fetch_one(&bed.pool)
        .await
        .unwrap();
        assert_eq!(whole, 600);
    });
}

/// Not every refusal has a constraint; an empty name is kept for what the writer itself takes the blame for.
#[test]
fn a_broken_entry_is_refused_with_a_reason_and_alone() {
    run(async {
        let bed = Bed::start().await;
        let broken = NewEvent { kind: "a\0b", ..event(Uuid::now_v7(), 1) };
        let (refused, written) =
            tokio::join!(bed.commit(vec![broken]), bed.commit(vec![event(Uuid::now_v7(), 1)]));
        assert_eq!(refused, Err(CommitError::Refused { constraint: "22021".to_owned() }));
        assert!(written.is_ok());
    });
}

/// A connection that is open and silent (a cable pulled, a firewall that forgot) once held the committer for ever.
#[test]
fn a_connection_gone_silent_is_given_up_for_another() {
    run(async {
        let bed = Bed::start().await;
        let wire = Wire::to(bed.pool.connect_options().as_ref()).await;
        let through =
            sqlx::PgPool::connect_with(wire.options(bed.pool.connect_options().as_ref())).await.unwrap();
        let store = EventStore::new(Topic::Orders, bed.pool.clone());
        let publisher = bed.log.publisher(store.clone());
        let spec = CommitterSpec { timeout: Duration::from_millis(500), ..Default::default() };
        let committer = Committer::start(&bed.tree, store, through, publisher, EventsOnly::default(), spec);
        let commit = || committer.commit(entry(vec![event(Uuid::now_v7(), 1)]));
        commit().await.unwrap();
        wire.fall_silent();
        assert_eq!(commit().await, Err(CommitError::Unavailable));
        eventually(|| async { commit().await.ok() }).await;
    });
}
