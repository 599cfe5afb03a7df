//! Who is idle makes room.

use viscount_actors::*;

use crate::house::*;
use crate::ledger::*;

fn router(tree: &Tree, world: &World, spec: RouterSpec) -> Router<Ledger> {
    tree.root.router::<Ledger>(world.clone(), spec)
}

#[test]
fn an_idle_entity_is_put_to_rest_and_loaded_again_when_it_is_needed() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec { idle: seconds(30), ..RouterSpec::default() });
        assert_eq!(add(&router, 1, 5).await, Ok(vec![5]));
        assert_eq!(add(&router, 2, 6).await, Ok(vec![6]));
        tokio::time::sleep(seconds(25)).await;
        assert_eq!(read(&router, 2).await, Ok(vec![6]), "this one is not idle");
        tokio::time::sleep(seconds(10)).await;
        assert_eq!(router.live(), 1);
        assert_eq!(world.diary.count("drop 1"), 1);
        assert_eq!(read(&router, 1).await, Ok(vec![5]));
        assert_eq!(world.diary.count("load 1 Stored"), 2);
        let node = tree.node("shop/ledger");
        assert_eq!((node.live, node.passivations, node.restarts), (Some(2), Some(1), 0));
    });
}

#[test]
fn an_entity_at_work_is_not_idle() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec { idle: seconds(1), ..RouterSpec::default() });
        assert_eq!(scribble(&router, 1, 5).await, Ok(vec![5]));
        assert_eq!(work(&router, 1, seconds(60)).await, Ok(vec![5]));
    });
}

#[test]
fn beyond_max_live_the_longest_idle_makes_room() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec { max_live: 3, ..RouterSpec::default() });
        for id in [1, 2, 3] {
            assert_eq!(add(&router, id, id).await, Ok(vec![id]));
            tokio::time::sleep(seconds(1)).await;
        }
        assert_eq!(read(&router, 1).await, Ok(vec![1]), "now 2 has been idle longest");
        settle().await;
        assert_eq!(add(&router, 4, 4).await, Ok(vec![4]));
        settle().await;
        assert_eq!(router.live(), 3);
        let dropped: Vec<_> = world.diary.all().into_iter().filter(|note| note.starts_with("drop")).collect();
        assert_eq!(dropped, ["drop 2"]);
        assert_eq!(read(&router, 2).await, Ok(vec![2]));
    });
}

#[test]
fn when_nobody_is_idle_there_is_no_room() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec { max_live: 2, ..RouterSpec::default() });
        let (first, second, third) =
            futures_util::join!(work(&router, 1, seconds(5)), work(&router, 2, seconds(5)), async {
                settle().await;
                (add(&router, 3, 3).await, router.ask(1, LONG, Entry::Read).await)
            });
        assert_eq!((first, second), (Ok(vec![]), Ok(vec![])));
        assert_eq!(third, (Err(AskError::Overloaded), Ok(vec![])), "those alive are served");
        settle().await;
        assert_eq!(add(&router, 3, 3).await, Ok(vec![3]));
    });
}

#[test]
fn many_more_entities_than_may_live_are_all_served() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec { max_live: 10, ..RouterSpec::default() });
        for round in 0..3 {
            for id in 0..200 {
                assert_eq!(add(&router, id, round).await.map(|all| all.len()), Ok(round as usize + 1));
                assert!(router.live() <= 12, "{} alive", router.live());
            }
        }
        settle().await;
        assert_eq!(router.live(), 10);
        assert_eq!(tree.node("shop/ledger").passivations, Some(590));
    });
}

#[test]
fn an_entity_that_falls_while_it_is_to_make_room_is_gone_all_the_same() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec { max_live: 1, ..RouterSpec::default() });
        assert_eq!(add(&router, 1, 1).await, Ok(vec![1]));
        settle().await;
        assert!(router.crash(1));
        assert_eq!(add(&router, 2, 2).await, Ok(vec![2]));
        until("the first one is gone", || router.live() == 1).await;
        assert_eq!(read(&router, 1).await, Ok(vec![1]));
    });
}
