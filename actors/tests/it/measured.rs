//! What can be seen from outside: the tree, and the metrics.

use viscount_actors::*;

use crate::clerk::*;
use crate::house::*;
use crate::ledger::{self, Entry, Ledger, World};
use crate::recorder::Kept;

#[test]
fn the_tree_is_data() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let branch = tree.root.child("branch", Strategy::RestForOne, at_most(3, 60));
        let router =
            branch.router::<Ledger>(world.clone(), RouterSpec { in_flight: 100, ..RouterSpec::default() });
        let clerk = hire(&branch, &Orders::default());
        tree.root.task("relay", Restart::Permanent, std::future::pending::<Result<(), String>>);
        assert_eq!(ledger::boom(&router, 8).await, Err(AskError::Panicked));
        assert_eq!(ledger::add(&router, 8, 1).await, Ok(vec![1]));
        assert_eq!(serve(&clerk).await, Ok(1));
        tokio::time::sleep(seconds(5)).await;
        let (tree_now, _) = futures_util::join!(
            async {
                settle().await;
                serde_json::to_value(tree.root.snapshot()).unwrap()
            },
            clerk.ask(LONG, |reply| Work(seconds(1), reply)),
        );
        let at =
            |pointer: &str| tree_now.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {tree_now:#}"));
        assert_eq!(at("/path"), "shop");
        assert_eq!((at("/kind"), at("/state")), (&"supervisor".into(), &"running".into()));
        assert_eq!(at("/restart_budget_remaining"), 5);
        let branch = "/children/0";
        assert_eq!(at(&format!("{branch}/path")), "shop/branch");
        let router = format!("{branch}/children/0");
        assert_eq!(at(&format!("{router}/path")), "shop/branch/ledger");
        assert_eq!(
            (at(&format!("{router}/kind")), at(&format!("{router}/live"))),
            (&"router".into(), &1.into())
        );
        assert_eq!(
            (at(&format!("{router}/restarts")), at(&format!("{router}/mailbox_capacity"))),
            (&1.into(), &100.into())
        );
        assert_eq!(at(&format!("{router}/fallen/0/id")), "8");
        assert_eq!(at(&format!("{router}/fallen/0/last_exit/kind")), "panicked");
        let clerk = format!("{branch}/children/1");
        assert_eq!(
            (at(&format!("{clerk}/kind")), at(&format!("{clerk}/mailbox_depth"))),
            (&"actor".into(), &1.into())
        );
        assert_eq!(at("/children/1/kind"), "task");
        let uptime = at("/children/1/uptime_seconds").as_f64().unwrap();
        assert!((5.0..6.0).contains(&uptime), "{uptime}");
    });
}

#[test]
fn what_happens_is_counted_without_ids_in_the_labels() {
    let kept = Kept::default();
    ::metrics::with_local_recorder(&kept.clone(), || {
        paused(async {
            let (tree, world) = (Tree::with(at_most(2, 60)), World::default());
            let spec = RouterSpec {
                mailbox: 2,
                intensity: at_most(1, 60),
                idle: seconds(10),
                ..RouterSpec::default()
            };
            let router = tree.root.router::<Ledger>(world.clone(), RouterSpec { batch: 1, ..spec });
            let clerk = hire(&tree.root, &Orders::default());
            assert_eq!(fall(&clerk, Way::Sync).await, Err(AskError::Panicked));
            assert_eq!(serve(&clerk).await, Ok(1));
            let _ = futures_util::join!(
                ledger::add(&router, 71, 1),
                ledger::add(&router, 71, 2),
                ledger::add(&router, 71, 3),
                ledger::boom(&router, 72),
                ledger::boom(&router, 72),
                router.ask(73, LONG, Entry::Forget),
            );
            tokio::time::sleep(seconds(2)).await;
            let get =
                |name: &str| kept.get(name).unwrap_or_else(|| panic!("{name} not in {:#?}", kept.names()));
            assert_eq!(get(r#"actor_restarts_total{actor="clerk",reason="panicked",service="shop"}"#), 1.0);
            assert_eq!(get(r#"actor_up{actor="clerk",service="shop"}"#), 1.0);
            assert_eq!(get(r#"actor_recovery_seconds{actor="clerk",service="shop"}"#), 1.0);
            assert_eq!(get(r#"actor_restart_budget_remaining{actor="shop",service="shop"}"#), 1.0);
            assert_eq!(get(r#"actor_mailbox_depth{actor="clerk",service="shop"}"#), 0.0);
            assert_eq!(
                get(r#"actor_messages_lost_total{actor="clerk",reason="panicked",service="shop"}"#),
                1.0
            );
            assert_eq!(get(r#"actor_restarts_total{actor="ledger",reason="panicked",service="shop"}"#), 1.0);
            assert_eq!(get(r#"actor_escalations_total{actor="ledger",service="shop"}"#), 1.0);
            let refused =
                r#"actor_mailbox_rejected_total{actor="ledger",reason="overloaded",service="shop"}"#;
            assert_eq!(get(refused), 1.0);
            assert_eq!(
                get(r#"actor_messages_lost_total{actor="ledger",reason="panicked",service="shop"}"#),
                2.0
            );
            assert_eq!(get(r#"actor_handle_seconds{actor="ledger",service="shop"}"#), 3.0);
            assert_eq!(get(r#"actor_mailbox_wait_seconds{actor="ledger",service="shop"}"#), 5.0);
            assert_eq!(get(r#"actor_live{kind="ledger",service="shop"}"#), 2.0);
            assert!(get(r#"actor_restart_backoff_seconds{actor="clerk",service="shop"}"#) > 0.0);
            tokio::time::sleep(seconds(15)).await;
            assert_eq!(get(r#"actor_live{kind="ledger",service="shop"}"#), 0.0);
            assert_eq!(get(r#"actor_passivations_total{actor="ledger",service="shop"}"#), 2.0);
            tokio::time::sleep(seconds(60)).await;
            let budget = get(r#"actor_restart_budget_remaining{actor="shop",service="shop"}"#);
            assert_eq!(budget, 2.0, "the budget recovers without another fall");
            let ids: Vec<String> = kept.names().into_iter().filter(|name| name.contains('7')).collect();
            assert_eq!(ids, Vec::<String>::new());
            tree.root.stop(seconds(5)).await.unwrap();
            assert_eq!(get(r#"actor_up{actor="clerk",service="shop"}"#), 0.0);
        });
    });
}
