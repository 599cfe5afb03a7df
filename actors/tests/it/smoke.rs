//! The first things to work.

use crate::house::*;
use std::time::Duration;
use viscount_actors::*;

#[test]
fn an_entity_answers_falls_and_answers_again_from_the_store() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = tree.root.router::<Ledger>(world.clone(), spec());
        assert_eq!(add(&router, 1, 5).await, Ok(vec![5]));
        assert_eq!(router.ask(1, LONG, |reply| Entry::Scribble(9, reply)).await, Ok(vec![5, 9]));
        assert_eq!(boom(&router, 1).await, Err(AskError::Panicked));
        assert_eq!(read(&router, 1).await, Ok(vec![5]));
        assert_eq!(router.live(), 1);
        let snapshot = tree.root.snapshot();
        eprintln!("{}", serde_json::to_string_pretty(&snapshot).unwrap());
        tree.root.stop(Duration::from_secs(5)).await.unwrap();
        assert_eq!(read(&router, 1).await, Err(AskError::Stopping));
        assert_eq!(router.in_flight(), 0);
    });
}

#[test]
fn a_task_is_built_anew() {
    paused(async {
        let tree = Tree::new();
        let task = tree.root.task("relay", Restart::Transient, move || async {
            match count("runs") {
                1 => panic!("boom"),
                2 => Err("no broker"),
                _ => Ok(()),
            }
        });
        assert_eq!(task.ended().await, Exit::Normal);
        assert_eq!(task.restarts(), 2);
        tree.root.stop(LONG).await.unwrap();
    });
}
