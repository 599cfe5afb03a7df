//! An entity that falls too often is stopped alone, until somebody releases it.

use viscount_actors::*;

use crate::house::*;
use crate::ledger::*;
use crate::recorder::Kept;

fn quarantined(id: u32) -> AskError {
    AskError::Quarantined { kind: "ledger", id: id.to_string() }
}

fn router(tree: &Tree, world: &World, spec: RouterSpec) -> Router<Ledger> {
    let spec = RouterSpec { intensity: at_most(2, 60), batch: 1, ..spec };
    tree.root.router::<Ledger>(world.clone(), spec)
}

async fn fall_three_times(router: &Router<Ledger>, id: u32) {
    let fallen = futures_util::join!(boom(router, id), boom(router, id), boom(router, id));
    assert_eq!(fallen, (Err(AskError::Panicked), Err(AskError::Panicked), Err(AskError::Panicked)));
}

#[test]
fn an_entity_that_falls_too_often_is_quarantined_alone_until_it_is_released() {
    let kept = Kept::default();
    ::metrics::with_local_recorder(&kept.clone(), || {
        paused(async {
            let (tree, world) = (Tree::with(at_most(0, 60)), World::default());
            let router = router(&tree, &world, RouterSpec::default());
            assert_eq!(scribble(&router, 2, 9).await, Ok(vec![9]));
            let ((), behind) = futures_util::join!(fall_three_times(&router, 1), add(&router, 1, 5));
            assert_eq!(behind, Err(quarantined(1)), "what waits behind the last fall");
            assert_eq!(read(&router, 1).await, Err(quarantined(1)));
            assert_eq!(router.tell(1, Entry::Forget(Reply::channel().0)), Err(quarantined(1)));
            assert_eq!(read(&router, 2).await, Ok(vec![9]), "its neighbour does not notice");
            assert_eq!((tree.failures(), tree.node("shop").state), (vec![], State::Running));
            // No time heals it.
            tokio::time::sleep(seconds(3600)).await;
            assert_eq!(read(&router, 1).await, Err(quarantined(1)));

            let node = tree.node("shop/ledger");
            assert_eq!((node.given_up, node.quarantined.len(), router.quarantined()), (Some(1), 1, 1));
            let shown = &node.quarantined[0];
            assert_eq!((shown.id.as_str(), shown.restarts), ("1", 2));
            assert!(matches!(&shown.last_exit, Exit::Panicked { during: "handle", .. }), "{shown:?}");
            assert!(shown.seconds_ago >= 3600.0);
            let gauge = r#"actor_quarantined{kind="ledger",service="shop"}"#;
            assert_eq!(kept.get(gauge), Some(1.0));

            assert!(!tree.root.release("shop/ledger", "2"), "it is not quarantined");
            assert!(!tree.root.release("shop", "1") && !tree.root.release("shop/ledger", "one"));
            assert!(tree.root.release("shop/ledger", "1"));
            assert!(!tree.root.release("shop/ledger", "1"), "once");
            assert_eq!(kept.get(gauge), Some(0.0));
            assert_eq!(add(&router, 1, 5).await, Ok(vec![5]));
            assert_eq!(tree.node("shop/ledger").quarantined, vec![]);
            // With a full budget.
            fall_three_times(&router, 1).await;
            assert_eq!(read(&router, 1).await, Err(quarantined(1)));
            assert_eq!(router.in_flight(), 0);
        });
    });
}

#[test]
fn a_full_quarantine_forgives_the_one_that_is_there_longest() {
    let kept = Kept::default();
    ::metrics::with_local_recorder(&kept.clone(), || {
        paused(async {
            let (tree, world) = (Tree::new(), World::default());
            let router = router(&tree, &world, RouterSpec { quarantine: 2, ..RouterSpec::default() });
            for id in 1..=3 {
                fall_three_times(&router, id).await;
            }
            let ids: Vec<String> =
                tree.node("shop/ledger").quarantined.into_iter().map(|held| held.id).collect();
            assert_eq!(ids, ["3", "2"], "the latest first");
            assert_eq!(add(&router, 1, 5).await, Ok(vec![5]), "tried afresh");
            let forgiven = r#"actor_quarantine_forgiven_total{kind="ledger",service="shop"}"#;
            assert_eq!(kept.get(forgiven), Some(1.0));
            assert_eq!(kept.get(r#"actor_quarantined{kind="ledger",service="shop"}"#), Some(2.0));
        });
    });
}

#[test]
fn a_quarantine_outlives_a_restart_of_the_router() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec::default());
        fall_three_times(&router, 1).await;
        assert!(tree.root.crash("shop/ledger"));
        assert_eq!(add(&router, 2, 7).await, Ok(vec![7]));
        assert_eq!(read(&router, 1).await, Err(quarantined(1)));
        assert_eq!(tree.root.stop(seconds(5)).await, Ok(()));
    });
}
