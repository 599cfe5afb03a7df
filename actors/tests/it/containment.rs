//! A panic stays where it happens: wherever that is, the actor comes back with fresh state and its neighbours do not
//! notice.

use viscount_actors::*;

use crate::clerk::*;
use crate::house::*;
use crate::ledger::{self, Ledger, World};

fn during(exit: Option<Exit>) -> &'static str {
    match exit {
        Some(Exit::Panicked { during, .. }) => during,
        other => panic!("no panic: {other:?}"),
    }
}

#[test]
fn whatever_way_a_message_fells_an_actor_its_asker_hears_of_it_and_the_next_incarnation_is_fresh() {
    paused(async {
        for way in WAYS {
            let (tree, orders) = (Tree::new(), Orders::default());
            let (clerk, neighbour) = (hire(&tree.root, &orders), hire(&tree.root, &Orders::default()));
            assert_eq!(serve(&neighbour).await, Ok(1));
            assert_eq!(serve(&clerk).await, Ok(1));
            assert_eq!(serve(&clerk).await, Ok(2));
            assert_eq!(fall(&clerk, way).await, Err(AskError::Panicked), "{way:?}");
            assert_eq!(serve(&clerk).await, Ok(1), "{way:?}: fresh state");
            assert_eq!(clerk.restarts(), 1, "{way:?}");
            assert_eq!(during(clerk.last_exit()), "handler", "{way:?}");
            assert_eq!(orders.diary.count("started"), 2, "{way:?}");
            assert_eq!((serve(&neighbour).await, neighbour.restarts()), (Ok(2), 0), "{way:?}");
            assert_eq!(clerk.depth(), 0, "{way:?}");
        }
    });
}

#[test]
fn a_panic_in_started_is_tried_again() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        orders.panic_in(&["started", "started"]);
        let clerk = hire(&tree.root, &orders);
        assert_eq!(serve(&clerk).await, Ok(1));
        assert_eq!(clerk.restarts(), 2);
        assert_eq!(during(clerk.last_exit()), "started");
        assert_eq!(orders.diary.count("factory"), 3);
    });
}

#[test]
fn a_panic_in_the_first_factory_call_keeps_what_waits_in_the_mailbox() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        orders.panic_in(&["factory", "factory"]);
        let clerk = hire(&tree.root, &orders);
        let (first, second) = futures_util::join!(serve(&clerk), serve(&clerk));
        assert_eq!((first, second), (Ok(1), Ok(2)));
        assert_eq!(clerk.restarts(), 2);
        assert_eq!(during(clerk.last_exit()), "factory");
    });
}

#[test]
fn what_a_panicking_factory_had_spawned_is_cancelled() {
    use actix::AsyncContext;
    paused(async {
        let (tree, diary) = (Tree::new(), Diary::default());
        let (orders, notes) = (Orders::default(), diary.clone());
        let mut first = true;
        let clerk = tree.root.actor("clerk", Restart::Permanent, 4, move |ctx| {
            let note = notes.clone();
            ctx.run_interval(seconds(1), move |_, _| note.note("tick"));
            if std::mem::take(&mut first) {
                panic!("boom in factory");
            }
            Clerk::new(&orders)
        });
        assert_eq!(serve(&clerk).await, Ok(1));
        tokio::time::sleep(millis(10_500)).await;
        assert_eq!(diary.count("tick"), 10, "one interval, not two");
    });
}

#[test]
fn a_panic_in_a_later_factory_call_is_tried_again() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        assert_eq!(serve(&clerk).await, Ok(1));
        orders.panic_in(&["factory"]);
        assert_eq!(fall(&clerk, Way::Sync).await, Err(AskError::Panicked));
        assert_eq!(serve(&clerk).await, Ok(1));
        assert_eq!(clerk.restarts(), 2);
        assert_eq!(during(clerk.last_exit()), "factory");
    });
}

#[test]
fn a_panic_in_stopping_or_stopped_is_contained() {
    paused(async {
        for place in ["stopping", "stopped"] {
            let (tree, orders) = (Tree::new(), Orders::default());
            let clerk = hire(&tree.root, &orders);
            assert_eq!(serve(&clerk).await, Ok(1));
            orders.panic_in(&[place]);
            assert_eq!(tree.root.stop(LONG).await, Ok(()), "{place}");
            assert_eq!(during(clerk.last_exit()), "stopping", "{place}");
            assert_eq!(clerk.state(), State::Ended);
        }
    });
}

#[test]
fn a_panic_in_stopping_after_ctx_stop_is_a_fall_like_any_other() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        orders.panic_in(&["stopping"]);
        assert_eq!(clerk.ask(LONG, Leave).await, Ok(0));
        assert_eq!(serve(&clerk).await, Ok(1));
        assert_eq!(clerk.restarts(), 1);
        assert!(matches!(clerk.last_exit(), Some(Exit::Panicked { .. })));
    });
}

#[test]
fn a_second_panic_while_the_fallen_actor_is_dropped_does_not_abort() {
    paused(async {
        let (tree, orders) = (Tree::with(at_most(0, 60)), Orders::default());
        let clerk = hire_as(&tree.root, Restart::Temporary, &orders);
        orders.panic_in(&["stopping"]);
        assert_eq!(fall(&clerk, Way::Sync).await, Err(AskError::Panicked));
        assert!(matches!(clerk.ended().await, Exit::Panicked { .. }));
        assert_eq!(serve(&clerk).await, Err(AskError::Stopping));
    });
}

#[test]
fn replies_held_beside_the_panic_say_panicked_too() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        let pondering = clerk.ask(LONG, |reply| Ponder(seconds(300), reply));
        let falling = async {
            settle().await;
            fall(&clerk, Way::Sync).await
        };
        let (pondered, fallen) = futures_util::join!(pondering, falling);
        assert_eq!((pondered, fallen), (Err(AskError::Panicked), Err(AskError::Panicked)));
    });
}

#[test]
fn an_actor_whose_restarting_keeps_the_old_state_is_not_accepted() {
    use actix::{Actor, Context, Supervised};
    struct Stubborn;
    impl Actor for Stubborn {
        type Context = Context<Self>;
        fn started(&mut self, ctx: &mut Self::Context) {
            use actix::ActorContext;
            ctx.stop();
        }
    }
    impl Supervised for Stubborn {}
    paused(async {
        let tree = Tree::with(at_most(2, 60));
        let stubborn = tree.root.actor("stubborn", Restart::Permanent, 1, |_| Stubborn);
        until("the root gave up", || !tree.failures().is_empty()).await;
        assert!(stubborn.last_exit().unwrap().to_string().contains("viscount_actors::renew"));
    });
}

#[test]
fn an_entity_that_panics_in_load_is_tried_again_and_its_messages_are_answered() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = tree.root.router::<Ledger>(world.clone(), RouterSpec::default());
        *world.load_panics.lock().unwrap() = 2;
        world.store.lock().unwrap().insert(7, vec![1, 2]);
        assert_eq!(ledger::read(&router, 7).await, Ok(vec![1, 2]));
        let node = tree.node("shop/ledger");
        assert_eq!(node.restarts, 2);
        assert_eq!(node.fallen[0].id, "7");
        assert_eq!(during(Some(node.fallen[0].last_exit.clone())), "load");
        assert_eq!(node.fallen[0].state, "2 entries");
    });
}

#[test]
fn an_entity_that_panics_in_handle_loses_its_state_and_nothing_else() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = tree.root.router::<Ledger>(world.clone(), RouterSpec::default());
        assert_eq!(ledger::add(&router, 1, 5).await, Ok(vec![5]));
        assert_eq!(ledger::scribble(&router, 1, 6).await, Ok(vec![5, 6]));
        assert_eq!(ledger::scribble(&router, 2, 7).await, Ok(vec![7]));
        for after in [millis(0), millis(5)] {
            let fallen = router.ask(1, LONG, |reply| ledger::Entry::Boom(after, reply)).await;
            assert_eq!(fallen, Err(AskError::Panicked));
            assert_eq!(ledger::read(&router, 1).await, Ok(vec![5]), "what was stored");
        }
        assert_eq!(ledger::read(&router, 2).await, Ok(vec![7]), "the neighbour kept its state");
        assert_eq!(during(Some(tree.node("shop/ledger").fallen[0].last_exit.clone())), "handle");
        assert_eq!(router.in_flight(), 0);
    });
}

#[test]
fn a_crash_from_outside_is_a_panic_like_any_other() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = tree.root.router::<Ledger>(world.clone(), RouterSpec::default());
        assert!(!router.crash(1), "nobody is there yet");
        assert_eq!(ledger::scribble(&router, 1, 5).await, Ok(vec![5]));
        assert!(router.crash(1));
        until("it fell", || tree.node("shop/ledger").restarts == 1).await;
        assert_eq!(ledger::read(&router, 1).await, Ok(vec![]));
        // In the middle of its work, too.
        let (worked, ()) = futures_util::join!(ledger::work(&router, 1, seconds(5)), async {
            tokio::time::sleep(seconds(1)).await;
            assert!(router.crash(1));
        });
        assert_eq!(worked, Err(AskError::Panicked));
        assert_eq!(ledger::read(&router, 1).await, Ok(vec![]));

        let clerk = hire(&tree.root, &Orders::default());
        assert_eq!(serve(&clerk).await, Ok(1));
        clerk.crash();
        until("the clerk fell", || clerk.restarts() == 1).await;
        assert_eq!(during(clerk.last_exit()), "injected");
        assert_eq!(serve(&clerk).await, Ok(1));
    });
}
