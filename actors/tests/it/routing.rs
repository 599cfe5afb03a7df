//! What a router does with entities that cannot be loaded, fall too often, or ask for something.

use viscount_actors::*;

use crate::house::*;
use crate::ledger::*;

fn router(tree: &Tree, world: &World, spec: RouterSpec) -> Router<Ledger> {
    tree.root.router::<Ledger>(world.clone(), spec)
}

#[test]
fn an_entity_that_cannot_be_loaded_answers_all_that_wait_at_once_and_is_forgotten() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec::default());
        assert_eq!(add(&router, 2, 1).await, Ok(vec![1]));
        *world.down.lock().unwrap() = true;
        let answers = futures_util::join!(read(&router, 1), read(&router, 1), add(&router, 1, 5));
        let expected = Err(AskError::Unavailable("the store is down".into()));
        assert_eq!(answers, (expected.clone(), expected.clone(), expected));
        assert_eq!(router.live(), 1, "the neighbour is not touched");
        assert_eq!(add(&router, 2, 2).await, Ok(vec![1, 2]));
        *world.down.lock().unwrap() = false;
        assert_eq!(add(&router, 1, 5).await, Ok(vec![5]), "no cool-down for that");
        assert_eq!(tree.node("shop/ledger").restarts, 0);
        assert_eq!(router.in_flight(), 0);
    });
}

#[test]
fn a_new_entity_is_made_without_reading_the_store_once() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec::default());
        let made = router.ask_new(1, LONG, |reply| Entry::Add(5, reply)).await;
        assert_eq!(made, Ok(vec![5]));
        assert_eq!(boom(&router, 1).await, Err(AskError::Panicked));
        assert_eq!(read(&router, 1).await, Ok(vec![5]));
        assert_eq!(world.diary.all(), ["load 1 New", "drop 1", "load 1 Stored"]);
        // While it is alive, it makes no difference.
        assert_eq!(router.ask_new(1, LONG, Entry::Read).await, Ok(vec![5]));
    });
}

#[test]
fn a_new_entity_that_falls_while_it_is_made_is_loaded_from_the_store() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec::default());
        *world.load_panics.lock().unwrap() = 1;
        assert_eq!(router.ask_new(1, LONG, |reply| Entry::Add(5, reply)).await, Ok(vec![5]));
        assert_eq!(world.diary.all(), ["load 1 New", "load 1 Stored"]);
    });
}

#[test]
fn reload_drops_the_state_before_the_next_message() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec::default());
        assert_eq!(add(&router, 1, 5).await, Ok(vec![5]));
        assert_eq!(scribble(&router, 1, 6).await, Ok(vec![5, 6]));
        assert_eq!(then(&router, 1, Next::Reload).await, Ok(vec![5, 6]));
        assert_eq!(read(&router, 1).await, Ok(vec![5]));
        assert_eq!(world.diary.all(), ["load 1 Stored", "drop 1", "load 1 Stored"]);
        assert_eq!(tree.node("shop/ledger").restarts, 0);
    });
}

#[test]
fn stop_passivates_at_once_and_what_comes_meanwhile_goes_to_the_next_incarnation() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec { batch: 1, ..RouterSpec::default() });
        let (stopped, behind) = futures_util::join!(then(&router, 1, Next::Stop), add(&router, 1, 5));
        assert_eq!((stopped, behind), (Ok(vec![]), Ok(vec![5])));
        assert_eq!(world.diary.all(), ["load 1 Stored", "drop 1", "load 1 Stored"]);
        assert_eq!(then(&router, 1, Next::Stop).await, Ok(vec![5]));
        settle().await;
        assert_eq!(router.live(), 0);
        assert_eq!(tree.node("shop/ledger").passivations, Some(1));
    });
}

#[test]
fn falls_outside_the_window_do_not_add_up() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let spec = RouterSpec { intensity: at_most(2, 5), idle: seconds(600), ..RouterSpec::default() };
        let router = router(&tree, &world, spec);
        for _ in 0..20 {
            assert_eq!(boom(&router, 1).await, Err(AskError::Panicked));
            tokio::time::sleep(seconds(3)).await;
        }
        assert_eq!(read(&router, 1).await, Ok(vec![]));
        assert_eq!(tree.node("shop/ledger").restarts, 20);
    });
}

#[test]
fn the_list_of_the_fallen_is_bounded_and_shows_the_latest_first() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec::default());
        for id in 0..100 {
            assert_eq!(boom(&router, id).await, Err(AskError::Panicked));
        }
        assert_eq!(boom(&router, 98).await, Err(AskError::Panicked));
        let fallen = tree.node("shop/ledger").fallen;
        assert_eq!(fallen.len(), 64);
        assert_eq!((fallen[0].id.as_str(), fallen[0].restarts), ("98", 2));
        assert_eq!((fallen[1].id.as_str(), fallen[1].restarts), ("99", 1));
    });
}

#[test]
fn the_routers_own_actor_may_fall_without_any_loss() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec::default());
        assert_eq!(scribble(&router, 1, 5).await, Ok(vec![5]));
        assert!(tree.root.crash("shop/ledger"));
        assert!(!tree.root.crash("shop/nobody"));
        let fresh = (10..20).map(|id| add(&router, id, id));
        let answers = futures_util::future::join_all(fresh).await;
        assert_eq!(answers, (10..20).map(|id| Ok(vec![id])).collect::<Vec<_>>());
        assert_eq!(read(&router, 1).await, Ok(vec![5]), "the entities did not notice");
        assert_eq!(tree.node("shop").restart_budget_remaining, Some(4));
    });
}
