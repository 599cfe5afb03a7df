//! Thirteen facts about actix 0.13.5, one by one, and what this layer makes of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::prelude::{Actor, ActorContext, Context};
use futures_util::future::join_all;
use tokio::time::Instant;
use viscount_actors::*;

use crate::clerk::*;
use crate::house::*;
use crate::ledger::{self, Entry, Ledger, World};

/// actix's `Supervisor` does not contain a panic, and answers `Closed` to all that waits.
#[test]
fn fact_01_a_panic_is_contained_and_what_waits_is_answered() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        let falling = fall(&clerk, Way::Sync);
        let waiting = join_all((0..10).map(|_| serve(&clerk)));
        let (fallen, answers) = futures_util::join!(falling, waiting);
        assert_eq!(fallen, Err(AskError::Panicked));
        assert_eq!(answers, (1..=10).map(Ok).collect::<Vec<_>>());
    });
}

/// actix's `Supervisor` restarts with the same struct and its old state.
#[test]
fn fact_02_a_restart_makes_the_state_anew() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        for expected in [1, 2, 3] {
            assert_eq!(serve(&clerk).await, Ok(expected));
        }
        // Also after a normal end, for this one is permanent.
        assert_eq!(clerk.ask(LONG, Leave).await, Ok(3));
        assert_eq!(serve(&clerk).await, Ok(1));
        assert_eq!(orders.diary.count("factory"), 2);
    });
}

/// Without backoff and limit, `started() { ctx.stop() }` restarts about a million times a second.
#[test]
fn fact_03_restarts_pause_and_have_an_end() {
    struct Quitter(Arc<AtomicU64>);
    impl Actor for Quitter {
        type Context = Context<Self>;
        fn started(&mut self, ctx: &mut Self::Context) {
            self.0.fetch_add(1, Ordering::SeqCst);
            ctx.stop();
        }
    }
    supervised!(Quitter);
    paused(async {
        let tree = Tree::with(at_most(5, 30));
        let (starts, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let counted = Arc::clone(&starts);
        let quitter =
            tree.root.actor("quitter", Restart::Permanent, 1, move |_| Quitter(Arc::clone(&counted)));
        quitter.ended().await;
        assert_eq!(starts.load(Ordering::SeqCst), 6, "the first start and five restarts");
        // At the least five times half the base, at the most the sum of the ceilings.
        let took = began.elapsed();
        assert!(took >= millis(125) && took <= millis(50 + 100 + 200 + 400 + 800 + 10), "{took:?}");
        assert_eq!(tree.failures().len(), 1);
    });
}

/// Dropping a `ContextFut` polls `stopped`; a panic there while unwinding aborts the process.
#[test]
fn fact_04_a_panic_in_stopped_does_not_abort() {
    paused(async {
        // Of a fallen actor nothing is called any more.
        let (tree, orders) = (Tree::with(at_most(0, 60)), Orders::default());
        let clerk = hire(&tree.root, &orders);
        orders.panic_in(&["stopped"]);
        assert_eq!(fall(&clerk, Way::Sync).await, Err(AskError::Panicked));
        assert!(matches!(clerk.ended().await, Exit::Panicked { during: "handler", .. }));
        assert_eq!(orders.diary.all(), ["factory", "started"]);
        // One that is ended by force is asked, and may panic.
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        orders.panic_in(&["stopped"]);
        let (worked, stopped) = futures_util::join!(clerk.ask(LONG, |reply| Work(LONG, reply)), async {
            settle().await;
            tree.root.stop(seconds(1)).await
        });
        assert_eq!((worked, stopped.is_err()), (Err(AskError::Stopping), true));
        assert_eq!(orders.diary.all(), ["factory", "started", "stopping", "stopped"]);
        assert_eq!(clerk.ended().await, Exit::Stopped);
    });
}

/// A mailbox's capacity is no bound.
#[test]
fn fact_05_a_full_mailbox_refuses_and_all_permits_come_back() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = tree.root.actor("clerk", Restart::Permanent, 4, move |_| Clerk::new(&orders));
        let clones: Vec<ClerkRef> = (0..10).map(|_| clerk.clone()).collect();
        let answers = join_all(clones.iter().map(serve)).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 4);
        assert_eq!(answers.iter().filter(|answer| **answer == Err(AskError::Overloaded)).count(), 6);
        assert_eq!(clerk.depth(), 0);
        for way in WAYS {
            assert_eq!(fall(&clerk, way).await, Err(AskError::Panicked));
            tokio::time::sleep(seconds(30)).await;
        }
        assert_eq!(clerk.depth(), 0, "also those of messages that fell");
        assert_eq!(
            join_all((0..4).map(|_| serve(&clerk))).await.iter().filter(|answer| answer.is_ok()).count(),
            4
        );
    });
}

/// `Closed` says nothing: a panic in a `ResponseFuture` gives it while the actor lives on with its state.
#[test]
fn fact_06_the_asker_can_tell_a_panic_from_a_forgotten_reply() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        assert_eq!(serve(&clerk).await, Ok(1));
        assert_eq!(clerk.ask(LONG, Ignore).await, Err(AskError::Dropped));
        assert_eq!(serve(&clerk).await, Ok(2));
        assert_eq!(clerk.ask(LONG, Detached).await, Err(AskError::Panicked));
        assert_eq!((serve(&clerk).await, clerk.restarts()), (Ok(3), 0));
    });
}

/// While an actor waits in `AtomicResponse` or `ctx.wait`, the timers of its context stand still.
#[test]
fn fact_07_a_timer_beside_the_actor_fires_while_the_actor_waits() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let (clerk, began) = (hire(&tree.root, &orders), Instant::now());
        let rung = Arc::new(AtomicU64::new(0));
        let bell = Arc::clone(&rung);
        let timer = clerk.timer(move |tick| {
            bell.store(began.elapsed().as_millis() as u64, Ordering::SeqCst);
            crate::timers::Rung(tick)
        });
        timer.once(seconds(1));
        assert_eq!(clerk.ask(LONG, |reply| Work(seconds(10), reply)).await, Ok(1));
        let rung = rung.load(Ordering::SeqCst);
        assert!((1000..1010).contains(&rung), "it fired on time: {rung} ms");
        settle().await;
        assert_eq!(orders.diary.count("rung"), 1, "and its message was the next to be handled");
    });
}

/// `cancel_future` and a stop in one turn can kill the re-armed timer of the next incarnation.
#[test]
fn fact_08_a_cancelled_and_newly_set_timer_survives_a_restart_in_the_same_turn() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        let timer = clerk.timer(crate::timers::Rung);
        timer.every(seconds(1));
        tokio::time::sleep(millis(3500)).await;
        assert_eq!(orders.diary.count("rung"), 3);
        timer.cancel();
        assert_eq!(clerk.ask(LONG, Leave).await, Ok(0));
        timer.every(seconds(1));
        tokio::time::sleep(millis(10_500)).await;
        assert_eq!(orders.diary.count("rung"), 13);
    });
}

/// There is no cooperative budget: a million messages to itself starve the arbiter.
#[test]
fn fact_09_an_entity_that_keeps_itself_busy_leaves_its_neighbours_their_turns() {
    struct Busy {
        router: Arc<std::sync::OnceLock<Router<Busy>>>,
    }
    impl Entity for Busy {
        const KIND: &'static str = "busy";
        type Id = u32;
        type Env = Arc<std::sync::OnceLock<Router<Busy>>>;
        type Message = (u32, Option<Reply<u32>>);
        async fn load(_: u32, router: Self::Env, _: Origin) -> Result<Busy, LoadError> {
            Ok(Busy { router })
        }
        async fn handle(&mut self, messages: Vec<Self::Message>) -> Next {
            for (left, reply) in messages {
                match left.checked_sub(1) {
                    Some(left) => self.router.get().unwrap().tell(1, (left, reply)).unwrap(),
                    None => reply.unwrap().send(0),
                }
            }
            Next::Continue
        }
    }
    paused(async {
        let tree = Tree::new();
        let env = Arc::new(std::sync::OnceLock::new());
        let router = tree.root.router::<Busy>(Arc::clone(&env), RouterSpec::default());
        env.set(router.clone()).unwrap();
        let beats = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&beats);
        let heart = actix_rt::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        });
        const MESSAGES: u32 = 100_000;
        assert_eq!(router.ask(1, LONG, |reply| (MESSAGES, Some(reply))).await, Ok(0));
        heart.abort();
        let beats = beats.load(Ordering::SeqCst);
        assert!(beats >= u64::from(MESSAGES) / 256, "the neighbour had {beats} turns");
    });
}

/// `Actor::start` panics on a plain tokio runtime, and a panicking factory shows up only as `Closed`.
#[test]
fn fact_10_handles_work_from_any_thread_and_a_factory_panic_has_a_name() {
    real(async {
        let (tree, orders, world) = (Tree::new(), Orders::default(), World::default());
        orders.panic_in(&["factory"]);
        let clerk = hire(&tree.root, &orders);
        let router = tree.root.router::<Ledger>(world.clone(), RouterSpec::default());
        let supervisor = tree.root.clone();
        let elsewhere = std::thread::spawn({
            let clerk = clerk.clone();
            move || {
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                    // Made here, it lives on the root's arbiter all the same.
                    let task = supervisor.task("made-elsewhere", Restart::Transient, || async {
                        actix_rt::Arbiter::try_current().map(|_| ()).ok_or("no arbiter here")
                    });
                    let spawned = tokio::spawn(async move { ledger::add(&router, 1, 5).await });
                    (serve(&clerk).await, spawned.await.unwrap(), task.ended().await)
                })
            }
        });
        let (served, added, task) = tokio::task::spawn_blocking(|| elsewhere.join().unwrap()).await.unwrap();
        assert_eq!((served, added, task), (Ok(1), Ok(vec![5]), Exit::Normal));
        assert!(matches!(clerk.last_exit(), Some(Exit::Panicked { during: "factory", .. })));
        tree.root.stop(LONG).await.unwrap();
    });
}

/// A `SyncArbiter` never replaces a worker that panicked.
#[test]
fn fact_11_blocking_work_that_panics_is_an_error_of_its_task_which_is_started_again() {
    real(async {
        let (tree, runs) = (Tree::new(), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&runs);
        let task = tree.root.task("hashing", Restart::Transient, move || {
            let counted = Arc::clone(&counted);
            async move {
                tokio::task::spawn_blocking(move || {
                    if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                        panic!("boom in blocking work");
                    }
                })
                .await
            }
        });
        assert_eq!(task.ended().await, Exit::Normal);
        assert_eq!((task.restarts(), runs.load(Ordering::SeqCst)), (1, 2));
    });
}

/// Virtual time works.
#[test]
fn fact_12_a_day_of_supervision_takes_no_time() {
    let real = std::time::Instant::now();
    paused(async {
        let tree = Tree::new();
        let root = tree.root.clone().with_backoff(Backoff { base: seconds(3600), cap: seconds(24 * 3600) });
        let orders = Orders::default();
        let (clerk, began) = (hire(&root, &orders), Instant::now());
        for _ in 0..3 {
            assert_eq!(
                clerk.ask(seconds(100_000), |reply| Fall(Way::Sync, reply)).await,
                Err(AskError::Panicked)
            );
            assert_eq!(clerk.ask(seconds(100_000), Serve).await, Ok(1));
        }
        assert!(began.elapsed() >= seconds(3 * 1800));
    });
    assert!(real.elapsed() < seconds(30));
}

/// `ContextFut::restart` keeps the mailbox.
#[test]
fn fact_13_messages_behind_a_panic_are_answered_by_the_fresh_incarnation_after_the_backoff() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router =
            tree.root.router::<Ledger>(world.clone(), RouterSpec { batch: 1, ..RouterSpec::default() });
        assert_eq!(ledger::add(&router, 1, 5).await, Ok(vec![5]));
        assert_eq!(ledger::scribble(&router, 1, 6).await, Ok(vec![5, 6]));
        let began = Instant::now();
        let (fallen, behind, second) = futures_util::join!(
            ledger::boom(&router, 1),
            async {
                let answer = ledger::read(&router, 1).await;
                (answer, began.elapsed())
            },
            router.ask(1, LONG, |reply| Entry::Add(7, reply)),
        );
        assert_eq!(fallen, Err(AskError::Panicked));
        assert_eq!(behind.0, Ok(vec![5]));
        assert!(behind.1 >= millis(25) && behind.1 <= millis(51), "{:?}", behind.1);
        assert_eq!(second, Ok(vec![5, 7]));
    });
}
