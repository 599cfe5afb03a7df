//! The watchdog.

use std::sync::mpsc;

use viscount_actors::*;

use crate::clerk::*;
use crate::house::*;
use crate::ledger::*;

#[test]
fn an_entity_that_makes_no_progress_is_counted_once_per_batch() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let spec = RouterSpec { stuck_after: seconds(10), ..RouterSpec::default() };
        let router = tree.root.router::<Ledger>(world.clone(), spec);
        assert_eq!(work(&router, 1, seconds(9)).await, Ok(vec![]));
        assert_eq!(tree.node("shop/ledger").stuck, 0);
        assert_eq!(work(&router, 1, seconds(60)).await, Ok(vec![]));
        assert_eq!(tree.node("shop/ledger").stuck, 1);
        futures_util::join!(work(&router, 1, seconds(12)), work(&router, 2, seconds(12))).0.unwrap();
        assert_eq!(tree.node("shop/ledger").stuck, 3);
        *world.load_takes.lock().unwrap() = seconds(30);
        assert_eq!(read(&router, 3).await, Ok(vec![]));
        assert_eq!(tree.node("shop/ledger").stuck, 4, "a load that hangs counts as well");
    });
}

#[test]
fn an_actor_that_finishes_no_message_is_counted() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        tokio::time::sleep(seconds(100)).await;
        assert_eq!(tree.node("shop/clerk").stuck, 0, "idle is not stuck");
        assert_eq!(clerk.ask(LONG, |reply| Work(seconds(100), reply)).await, Ok(1));
        assert_eq!(tree.node("shop/clerk").stuck, 1);
    });
}

/// The one thing that nobody on the arbiter can see: its thread does not come back.
#[test]
fn an_actor_that_blocks_its_thread_is_seen_from_outside() {
    real(async {
        let tree = Tree::new();
        let (free, blocked) = mpsc::channel::<()>();
        let mut blocked = Some(blocked);
        let task = tree.root.task("blocker", Restart::Transient, move || {
            let blocked = blocked.take();
            async move {
                if let Some(blocked) = blocked {
                    blocked.recv().ok();
                }
                Ok::<(), String>(())
            }
        });
        // Another thread looks at the tree, for this one is about to be blocked too.
        let root = tree.root.clone();
        let looking = std::thread::spawn(move || {
            let limit = std::time::Instant::now() + BLOCKED_AFTER * 10;
            while std::time::Instant::now() < limit {
                if root.snapshot().find("shop/blocker").is_some_and(|node| node.stuck == 1) {
                    drop(free);
                    return true;
                }
                std::thread::park_timeout(millis(20));
            }
            drop(free);
            false
        });
        assert_eq!(task.ended().await, Exit::Normal);
        assert!(looking.join().unwrap(), "the watchdog saw nothing");
    });
}
