//! The watchdog.

use std::sync::mpsc;

use viscount_actors::*;

use crate::clerk::*;
use crate::house::*;
use crate::ledger::*;
use crate::recorder::Kept;

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
fn an_entity_that_is_at_a_message_for_long_is_shown_with_it_until_it_is_through() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = tree.root.router::<Ledger>(world.clone(), RouterSpec::default());
        let looks = async {
            tokio::time::sleep(seconds(4)).await;
            assert_eq!(tree.node("shop/ledger").slow, [], "not long yet");
            tokio::time::sleep(seconds(4)).await;
            tree.node("shop/ledger").slow
        };
        let (_, _, slow) =
            futures_util::join!(work(&router, 1, seconds(9)), work(&router, 2, seconds(2)), looks);
        assert_eq!(slow.len(), 1, "{slow:?}");
        assert_eq!((slow[0].id.as_str(), slow[0].message_kind.as_deref()), ("1", Some("work")));
        assert!((7.9..8.1).contains(&slow[0].seconds), "{slow:?}");
        assert_eq!(tree.node("shop/ledger").slow, []);
        assert_eq!(tree.node("shop/ledger").stuck_seconds, None, "the others go on");
    });
}

const DEADLINES: &[Deadline] = &[
    Deadline { message: Some("work"), after: seconds(10), then: Overdue::Restart },
    Deadline { message: Some("add"), after: seconds(20), then: Overdue::Report },
    Deadline { message: None, after: seconds(50), then: Overdue::Report },
];

#[test]
fn a_handler_that_is_late_is_given_up_and_its_entity_loaded_afresh() {
    let kept = Kept::default();
    ::metrics::with_local_recorder(&kept.clone(), || {
        paused(async {
            let (tree, world) = (Tree::new(), World::default());
            let spec = RouterSpec { deadlines: DEADLINES.to_vec(), batch: 1, ..RouterSpec::default() };
            let router = tree.root.router::<Ledger>(world.clone(), spec);
            assert_eq!(scribble(&router, 1, 9).await, Ok(vec![9]));
            assert_eq!(work(&router, 1, seconds(9)).await, Ok(vec![9]), "in time");
            let began = tokio::time::Instant::now();
            let (late, behind) = futures_util::join!(work(&router, 1, seconds(1000)), read(&router, 1));
            assert_eq!(late, Err(AskError::TimedOut), "its asker hears of it at once");
            assert_eq!(behind, Ok(vec![]), "the next one meets what was stored");
            assert!((10..14).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
            let node = tree.node("shop/ledger");
            assert_eq!((node.restarts, node.stuck), (1, 0));
            assert_eq!(node.fallen[0].last_exit, Exit::Overdue("work took more than 10s".into()));
            assert_eq!(tree.root.exits(&ExitFilter::default(), 1)[0].message_kind.as_deref(), Some("work"));
            assert_eq!(router.in_flight(), 0);
            let counted = |message: &str, action: &str| {
                kept.get(&format!(
                    r#"actor_deadline_exceeded_total{{action="{action}",actor="ledger",message="{message}",service="shop"}}"#
                ))
            };
            assert_eq!(counted("work", "restarted"), Some(1.0));
            assert_eq!(
                kept.get(r#"actor_messages_lost_total{actor="ledger",reason="timed_out",service="shop"}"#),
                Some(1.0)
            );
            // Late so often that it is quarantined.
            for _ in 0..RouterSpec::default().intensity.max_restarts {
                let _ = work(&router, 2, seconds(1000)).await;
            }
            assert_eq!(read(&router, 2).await, Ok(vec![]), "not within one window");
        });
    });
}

#[test]
fn a_deadline_that_only_reports_is_counted_once_for_a_batch() {
    let kept = Kept::default();
    ::metrics::with_local_recorder(&kept.clone(), || {
        paused(async {
            let (tree, world) = (Tree::new(), World::default());
            let spec = RouterSpec { deadlines: DEADLINES.to_vec(), ..RouterSpec::default() };
            let router = tree.root.router::<Ledger>(world.clone(), spec);
            // The longest deadline of its kinds: 50 s, for `boom` has none of its own.
            let slow = router.ask(1, LONG, |reply| Entry::Boom(seconds(100), reply));
            assert_eq!(slow.await, Err(AskError::Panicked));
            let counted = |message: &str| {
                kept.get(&format!(
                    r#"actor_deadline_exceeded_total{{action="reported",actor="ledger",message="{message}",service="shop"}}"#
                ))
            };
            assert_eq!(counted("boom"), Some(1.0));
            let (first, second) = futures_util::join!(add(&router, 2, 1), work(&router, 2, seconds(19)));
            assert_eq!((first, second), (Ok(vec![1]), Ok(vec![1])), "`add` gives `work` 20 s");
            assert_eq!(counted("several"), None);
            *world.load_takes.lock().unwrap() = seconds(60);
            assert_eq!(read(&router, 3).await, Ok(vec![]));
            assert_eq!(counted("unnamed"), Some(1.0), "a load that hangs counts as well");
            assert_eq!(tree.node("shop/ledger").stuck, 2, "after 30 s, whatever the deadline");
        });
    });
}

#[test]
fn an_actor_that_finishes_no_message_is_counted() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        tokio::time::sleep(seconds(100)).await;
        assert_eq!(tree.node("shop/clerk").stuck, 0, "idle is not stuck");
        let look = async {
            tokio::time::sleep(seconds(4)).await;
            assert_eq!(tree.node("shop/clerk").stuck_seconds, None, "not long yet");
            tokio::time::sleep(seconds(6)).await;
            tree.node("shop/clerk").stuck_seconds.unwrap()
        };
        let (done, so_far) = futures_util::join!(clerk.ask(LONG, |reply| Work(seconds(100), reply)), look);
        assert!((9.9..11.1).contains(&so_far), "{so_far}");
        assert_eq!((done, tree.node("shop/clerk").stuck_seconds), (Ok(1), None));
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
                let found = root.snapshot();
                if found
                    .find("shop/blocker")
                    .is_some_and(|node| node.stuck == 1 && node.stuck_seconds > Some(1.9))
                {
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
        let limit = std::time::Instant::now() + BLOCKED_AFTER * 10;
        while tree.node("shop/blocker").stuck_seconds.is_some() {
            assert!(std::time::Instant::now() < limit, "it is through, and still shown");
            tokio::task::yield_now().await;
        }
    });
}
