//! The last exits: whose, when, why, over which sort of message.

use serde_json::{Value, json};
use viscount_actors::*;

use crate::clerk::*;
use crate::house::*;
use crate::ledger::*;

fn exits(tree: &Tree, path: &str) -> Vec<ExitRecord> {
    tree.root.exits(&ExitFilter { path: Some(path.to_owned()), id: None }, 1000)
}

#[test]
fn an_entitys_fall_tells_its_id_and_the_kind_of_message_and_nothing_of_what_is_in_it() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = tree.root.router::<Ledger>(world.clone(), RouterSpec::default());
        assert_eq!(add(&router, 1, 77_123).await, Ok(vec![77_123]));
        tokio::time::sleep(seconds(3)).await;
        assert_eq!(boom(&router, 1).await, Err(AskError::Panicked));
        let found = exits(&tree, "shop/ledger");
        assert_eq!(found.len(), 1);
        let exit = &found[0];
        assert_eq!((exit.path.as_str(), exit.id.as_deref()), ("shop/ledger", Some("1")));
        assert_eq!(exit.message_kind.as_deref(), Some("boom"));
        assert!(matches!(&exit.exit, Exit::Panicked { message, during: "handle" } if message == "boom"));
        assert!((3.0..4.0).contains(&exit.uptime_seconds), "{}", exit.uptime_seconds);
        let shown = serde_json::to_value(exit).unwrap();
        // Its time is made of digits too, and may have these among them.
        let mut told = shown.clone();
        told.as_object_mut().unwrap().remove("at");
        assert!(!told.to_string().contains("77"), "{told}");
        assert!(shown["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{shown}");
        assert_eq!(shown["exit"]["kind"], "panicked");
        assert_eq!(shown.get("backtrace"), None, "the tests' own hook takes none");
    });
}

#[test]
fn a_batch_of_several_kinds_names_them() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = tree.root.router::<Ledger>(world.clone(), RouterSpec::default());
        let _ = futures_util::join!(add(&router, 1, 1), add(&router, 1, 2), boom(&router, 1));
        assert_eq!(exits(&tree, "shop/ledger")[0].message_kind.as_deref(), Some("add+boom"));
        // A load has no message in hand yet.
        *world.load_panics.lock().unwrap() = 1;
        assert_eq!(read(&router, 2).await, Ok(vec![]));
        let found = exits(&tree, "shop/ledger");
        assert_eq!((found[0].id.as_deref(), found[0].message_kind.as_deref()), (Some("2"), None));
    });
}

#[test]
fn an_actor_tells_the_type_of_the_message_it_panicked_over() {
    paused(async {
        let tree = Tree::new();
        let clerk = hire(&tree.root, &Orders::default());
        assert_eq!(fall(&clerk, Way::Sync).await, Err(AskError::Panicked));
        assert_eq!(serve(&clerk).await, Ok(1));
        let found = exits(&tree, "shop/clerk");
        assert!(found[0].message_kind.as_deref().is_some_and(|kind| kind.ends_with("Fall")), "{found:?}");
    });
}

#[test]
fn what_is_kept_is_bounded_and_the_latest_comes_first() {
    paused(async {
        let (tree, world) = (Tree::with(at_most(1000, 1)), World::default());
        let router = tree.root.router::<Ledger>(world.clone(), RouterSpec::default());
        for id in 0..100 {
            assert_eq!(boom(&router, id).await, Err(AskError::Panicked));
        }
        let mut fails = 0;
        tree.root.task("worker", Restart::Permanent, move || {
            fails += 1;
            std::future::ready(if fails <= 40 { Err(format!("failure {fails}")) } else { Ok(()) })
        });
        until("forty failures", || {
            exits(&tree, "shop/worker").iter().any(|exit| exit.exit == Exit::Failed("failure 40".into()))
        })
        .await;
        let found = exits(&tree, "shop/ledger");
        assert_eq!(
            (found.len(), found[0].id.as_deref(), found[63].id.as_deref()),
            (64, Some("99"), Some("36"))
        );
        assert_eq!(exits(&tree, "shop/worker").len(), 16);
        assert!(
            tree.root.exits(&ExitFilter::default(), 1000).is_sorted_by_key(|exit| std::cmp::Reverse(exit.at))
        );
        let one = ExitFilter { path: None, id: Some("99".into()) };
        assert_eq!(tree.root.exits(&one, 1000).len(), 1);
        assert_eq!(tree.root.exits(&ExitFilter::default(), 5).len(), 5);
        assert_eq!(exits(&tree, "shop/led"), vec![], "a path is not a beginning of a name");
    });
}

#[test]
fn a_supervisor_that_gave_up_has_an_exit_too() {
    paused(async {
        let tree = Tree::with(at_most(0, 60));
        let inner = tree.root.child("inner", Strategy::OneForOne, at_most(0, 60));
        inner.task("hopeless", Restart::Permanent, || std::future::ready(Err::<(), _>("no hope")));
        until("the root failed", || !tree.failures().is_empty()).await;
        let paths: Vec<String> =
            tree.root.exits(&ExitFilter::default(), 10).into_iter().map(|exit| exit.path).collect();
        assert_eq!(paths, ["shop", "shop/inner"], "what was under a supervisor goes with it");
    });
}

#[test]
fn the_tree_tells_strategies_intensities_and_restart_types() {
    paused(async {
        let (tree, world) = (Tree::with(at_most(3, 7)), World::default());
        let desk = tree.root.child("desk", Strategy::RestForOne, at_most(1, 60));
        desk.task("once", Restart::Temporary, std::future::pending::<Result<(), String>>).running().await;
        let _router = tree.root.router::<Ledger>(world, RouterSpec::default());
        let shown: Value = serde_json::to_value(tree.root.snapshot()).unwrap();
        assert_eq!(shown["strategy"], "one_for_one");
        assert_eq!(shown["intensity"], json!({"max_restarts": 3, "window_seconds": 7.0}));
        assert_eq!(shown.get("restart"), None, "nobody restarts a root");
        let (desk, ledger) = (&shown["children"][0], &shown["children"][1]);
        assert_eq!((&desk["strategy"], &desk["restart"]), (&json!("rest_for_one"), &json!("permanent")));
        assert_eq!(desk["children"][0]["restart"], "temporary");
        assert_eq!(ledger["intensity"]["max_restarts"], RouterSpec::default().intensity.max_restarts);
    });
}
