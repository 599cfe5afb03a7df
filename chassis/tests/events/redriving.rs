//! Dead letters that go back: in order, past a death in the middle, and not when they fail again.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use sqlx::PgPool;
use uuid::Uuid;
use viscount_actors::{AskError, Intensity, Supervisor};
use viscount_chassis::{
    consumer::{self, ConsumerSpec, HandleError, Handler},
    dead_letters::{self, Filter, Letter, State},
    testing::{eventually, run},
};
use viscount_contracts::{Envelope, Topic, events::orders::v1::OrderCompleted};

use crate::bed::{Bed, event};

/// Has an effect in the database, once for each event, as services have it: with the inbox in the same commit.
#[derive(Clone)]
pub struct Ledger {
    pool: PgPool,
    /// What cannot be handled.
    pub poison: Arc<Mutex<HashSet<(Uuid, i32)>>>,
    /// After the effect of this one nothing more is heard: its process dies there.
    deadly: Arc<Mutex<Option<(Uuid, i32)>>>,
    /// How often somebody began on the deadly one.
    struck: Arc<AtomicUsize>,
    /// Whoever handles anything is quarantined.
    away: Arc<Mutex<bool>>,
}

impl Ledger {
    pub async fn open(pool: &PgPool) -> Self {
        sqlx::query("create table if not exists effects (n serial, key uuid not null, version int not null)")
            .execute(pool)
            .await
            .unwrap();
        Self {
            pool: pool.clone(),
            poison: Arc::default(),
            deadly: Arc::default(),
            struck: Arc::default(),
            away: Arc::default(),
        }
    }

    /// What had an effect of this key, in the order in which it had.
    pub async fn effects(&self, key: Uuid) -> Vec<i32> {
        sqlx::query_scalar("select version from effects where key = $1 order by n")
            .bind(key)
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }

    /// Waits until these, and no others, had an effect.
    pub async fn until(&self, key: Uuid, versions: std::ops::RangeInclusive<i32>) {
        let wanted: Vec<i32> = versions.collect();
        eventually(|| async { (self.effects(key).await.len() >= wanted.len()).then_some(()) }).await;
        assert_eq!(self.effects(key).await, wanted);
    }

    /// Waits until nothing is dead or parked.
    pub async fn until_no_letters(&self) {
        eventually(|| async { (rows(&self.pool).await == 0).then_some(()) }).await;
    }
}

impl Handler for Ledger {
    fn wants(&self, event: &Envelope) -> bool {
        event.is::<OrderCompleted>()
    }

    fn handle(&self, event: Arc<Envelope>) -> impl Future<Output = Result<(), HandleError>> + 'static {
        let ledger = self.clone();
        async move {
            let it = (event.key, event.version);
            event.decode::<OrderCompleted>().map_err(|problem| HandleError::Poison(problem.to_string()))?;
            if *ledger.away.lock() {
                return Err(AskError::Quarantined { kind: "stock", id: "7".into() }.into());
            }
            if ledger.poison.lock().contains(&it) {
                return Err(HandleError::Poison("cannot be".into()));
            }
            sqlx::query(
                "with first as (insert into inbox (event_id) values ($1) on conflict do nothing returning 1)
                 insert into effects (key, version) select $2, $3 from first",
            )
            .bind(event.id.uuid())
            .bind(event.key)
            .bind(event.version)
            .execute(&ledger.pool)
            .await
            .map_err(|error| HandleError::Away(error.to_string()))?;
            let deadly = *ledger.deadly.lock() == Some(it);
            if deadly {
                ledger.struck.fetch_add(1, Ordering::Relaxed);
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    }
}

async fn rows(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from dead_letters").fetch_one(pool).await.unwrap()
}

fn tree() -> Supervisor {
    Supervisor::root("consumer", Intensity::default(), |_| {})
}

fn consume(bed: &Bed, tree: &Supervisor, ledger: &Ledger) {
    let mut spec = ConsumerSpec::new("c", Topic::Orders);
    (spec.first_pause, spec.longest_pause) = (Duration::from_millis(1), Duration::from_millis(5));
    let ledger = ledger.clone();
    consumer::start(tree, "consume", spec, bed.pool.clone(), bed.log.clone(), move || ledger.clone());
}

async fn publish(bed: &Bed, keys: &[Uuid], versions: std::ops::RangeInclusive<i32>) {
    for version in versions {
        bed.commit(keys.iter().map(|key| event(*key, version)).collect()).await.unwrap();
    }
}

/// The only letter, when so many are parked behind it.
pub async fn letter(pool: &PgPool, parked: i64) -> Letter {
    eventually(|| async {
        let letters = dead_letters::list(pool, &Filter::default(), 10).await.unwrap();
        letters.into_iter().find(|letter| letter.state == State::Dead && letter.parked == parked)
    })
    .await
}

#[test]
fn a_redrive_finishes_its_key_in_order_in_the_middle_of_traffic() {
    run(async {
        let bed = Bed::start().await;
        let (sick, well) = (Uuid::now_v7(), Uuid::now_v7());
        let (tree, ledger) = (tree(), Ledger::open(&bed.pool).await);
        ledger.poison.lock().insert((sick, 2));
        consume(&bed, &tree, &ledger);
        publish(&bed, &[sick, well], 1..=4).await;
        ledger.until(well, 1..=4).await;
        let letter = letter(&bed.pool, 2).await;
        assert_eq!((letter.version, letter.attempts, letter.kind.as_str()), (2, 5, "OrderCompleted"));
        assert_eq!(letter.event().unwrap().to_json().unwrap()["order_id"], sick.to_string());
        assert_eq!(ledger.effects(sick).await, [1]);

        ledger.poison.lock().clear();
        assert!(dead_letters::redrive(&bed.pool, &letter).await.unwrap());
        publish(&bed, &[sick, well], 5..=20).await;
        ledger.until(well, 1..=20).await;
        ledger.until(sick, 1..=20).await;
        ledger.until_no_letters().await;
        assert!(!dead_letters::redrive(&bed.pool, &letter).await.unwrap(), "it is gone");
        // The key is free again: nothing stays parked.
        publish(&bed, &[sick], 21..=25).await;
        ledger.until(sick, 1..=25).await;
        ledger.until_no_letters().await;
    });
}

#[test]
fn what_is_meant_for_one_in_quarantine_is_set_aside_at_once_and_goes_back_in_order_when_it_is_released() {
    run(async {
        let bed = Bed::start().await;
        let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
        let (tree, ledger) = (tree(), Ledger::open(&bed.pool).await);
        *ledger.away.lock() = true;
        consume(&bed, &tree, &ledger);
        publish(&bed, &[one, other], 1..=3).await;
        eventually(|| async { (rows(&bed.pool).await == 6).then_some(()) }).await;
        let letters = dead_letters::list(&bed.pool, &Filter::default(), 10).await.unwrap();
        let told: Vec<_> = letters.iter().map(|it| (it.version, it.attempts, it.parked)).collect();
        assert_eq!(told, [(1, 1, 2), (1, 1, 2)], "once, and the others of its key wait");

        let words = AskError::quarantined("stock", "7");
        assert_eq!(letters[0].error, words);
        *ledger.away.lock() = false;
        assert_eq!(dead_letters::redrive_set_aside(&bed.pool, "quarantined: stock 8", "8").await.unwrap(), 0);
        // Released too early: it falls again, and in another way.
        ledger.poison.lock().extend([(one, 1), (other, 1)]);
        assert_eq!(dead_letters::redrive_set_aside(&bed.pool, &words, "7").await.unwrap(), 6);
        eventually(|| async {
            let letters = dead_letters::list(&bed.pool, &Filter::default(), 10).await.unwrap();
            letters.iter().all(|it| it.error == "cannot be" && it.state == State::Dead).then_some(())
        })
        .await;
        ledger.poison.lock().clear();
        assert_eq!(dead_letters::redrive_set_aside(&bed.pool, &words, "7").await.unwrap(), 6);
        ledger.until(one, 1..=3).await;
        ledger.until(other, 1..=3).await;
        ledger.until_no_letters().await;
    });
}

#[test]
fn a_letter_that_fails_again_stays_dead_and_its_followers_parked() {
    run(async {
        let bed = Bed::start().await;
        let sick = Uuid::now_v7();
        let (tree, ledger) = (tree(), Ledger::open(&bed.pool).await);
        ledger.poison.lock().extend([(sick, 2), (sick, 4)]);
        consume(&bed, &tree, &ledger);
        publish(&bed, &[sick], 1..=5).await;
        let first = letter(&bed.pool, 3).await;
        dead_letters::redrive(&bed.pool, &first).await.unwrap();
        let again = eventually(|| async {
            let letter = letter(&bed.pool, 3).await;
            (letter.attempts > 5).then_some(letter)
        })
        .await;
        assert_eq!((again.attempts, again.recorded_at), (10, first.recorded_at));
        let told = |letter: &Letter| {
            letter.errors.iter().map(|tried| (tried.attempts, tried.error.clone())).collect::<Vec<_>>()
        };
        assert_eq!(told(&first), [(5, "cannot be".to_owned())]);
        assert_eq!(told(&again), [(5, "cannot be".to_owned()), (5, "cannot be".to_owned())]);
        assert_eq!(ledger.effects(sick).await, [1]);

        // One that was parked may turn out to be poison itself.
        ledger.poison.lock().remove(&(sick, 2));
        dead_letters::redrive(&bed.pool, &again).await.unwrap();
        let next = letter(&bed.pool, 1).await;
        assert_eq!((next.version, next.attempts), (4, 5));
        ledger.until(sick, 1..=3).await;
        let parked: Uuid = sqlx::query_scalar("select event_id from dead_letters where version = 5")
            .fetch_one(&bed.pool)
            .await
            .unwrap();
        let parked = dead_letters::find(&bed.pool, parked).await.unwrap().remove(0);
        assert_eq!((parked.state, parked.behind), (State::Parked, Some(next.id)));
        ledger.poison.lock().clear();
        dead_letters::redrive(&bed.pool, &next).await.unwrap();
        ledger.until(sick, 1..=5).await;
        ledger.until_no_letters().await;
    });
}

#[test]
fn a_death_in_the_middle_of_a_redrive_loses_and_doubles_nothing() {
    run(async {
        let bed = Bed::start().await;
        let sick = Uuid::now_v7();
        let (first, ledger) = (tree(), Ledger::open(&bed.pool).await);
        ledger.poison.lock().insert((sick, 2));
        consume(&bed, &first, &ledger);
        publish(&bed, &[sick], 1..=6).await;
        let letter = letter(&bed.pool, 4).await;
        ledger.poison.lock().clear();
        *ledger.deadly.lock() = Some((sick, 4));
        dead_letters::redrive(&bed.pool, &letter).await.unwrap();
        ledger.until(sick, 1..=4).await;
        first.stop(Duration::from_millis(10)).await.ok();
        publish(&bed, &[sick], 7..=8).await;
        assert_eq!(rows(&bed.pool).await, 3, "the one in hand, and two behind it");
        *ledger.deadly.lock() = None;
        let second = tree();
        consume(&bed, &second, &ledger);
        ledger.until(sick, 1..=8).await;
        ledger.until_no_letters().await;
        assert_eq!(ledger.struck.load(Ordering::Relaxed), 1);
        assert_eq!(ledger.effects(sick).await, [1, 2, 3, 4, 5, 6, 7, 8]);
    });
}

#[test]
fn another_replica_that_redrives_is_left_alone() {
    run(async {
        let bed = Bed::start().await;
        let sick = Uuid::now_v7();
        let (tree, ledger) = (tree(), Ledger::open(&bed.pool).await);
        ledger.poison.lock().insert((sick, 1));
        consume(&bed, &tree, &ledger);
        publish(&bed, &[sick], 1..=2).await;
        let letter = letter(&bed.pool, 1).await;
        ledger.poison.lock().clear();
        let mut other = bed.pool.acquire().await.unwrap().detach();
        let lock = "select pg_advisory_lock(hashtextextended('redrive c orders.events.v1', 0))";
        sqlx::query(lock).execute(&mut other).await.unwrap();
        dead_letters::redrive(&bed.pool, &letter).await.unwrap();
        tokio::time::timeout(Duration::from_millis(700), std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(ledger.effects(sick).await, [0; 0], "somebody else has the lock");
        // It dies.
        drop(other);
        ledger.until(sick, 1..=2).await;
        ledger.until_no_letters().await;
    });
}
