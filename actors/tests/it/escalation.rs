//! Who falls too often takes the supervisor along, and that one its own, up to the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use viscount_actors::*;

use crate::clerk::*;
use crate::house::*;

/// A task that notes its births and deaths.
fn resident(supervisor: &Supervisor, name: &'static str, diary: &Diary) -> TaskRef {
    struct Resident(&'static str, Diary);
    impl Drop for Resident {
        fn drop(&mut self) {
            self.1.note(format!("-{}", self.0));
        }
    }
    let diary = diary.clone();
    supervisor.task(name, Restart::Permanent, move || {
        diary.note(format!("+{name}"));
        let resident = Resident(name, diary.clone());
        async move {
            let _resident = resident;
            std::future::pending::<Result<(), String>>().await
        }
    })
}

#[test]
fn the_root_stops_its_children_in_reverse_order_and_says_so_once() {
    paused(async {
        let (tree, diary) = (Tree::with(at_most(2, 60)), Diary::default());
        let _first = resident(&tree.root, "first", &diary);
        let clerk = hire(&tree.root, &Orders::default());
        let _last = resident(&tree.root, "last", &diary);
        for _ in 0..2 {
            assert_eq!(fall(&clerk, Way::Sync).await, Err(AskError::Panicked));
            assert_eq!(serve(&clerk).await, Ok(1));
        }
        assert_eq!(tree.node("shop").restart_budget_remaining, Some(0));
        let (fallen, behind) = futures_util::join!(fall(&clerk, Way::Sync), serve(&clerk));
        assert_eq!((fallen, behind), (Err(AskError::Panicked), Err(AskError::Stopping)));
        until("the root failed", || !tree.failures().is_empty()).await;
        assert_eq!(diary.all(), ["+first", "+last", "-last", "-first"]);
        let failures = tree.failures();
        assert_eq!(failures.len(), 1);
        let Exit::Escalated(reason) = &failures[0] else { panic!("{failures:?}") };
        assert!(reason.contains("more than 2 restarts in 60s") && reason.contains("boom sync"), "{reason}");
        assert_eq!(tree.root.state(), State::Failed);
        assert_eq!(serve(&clerk).await, Err(AskError::Stopping));
        // Nothing new is taken in, and stopping what has failed is no error.
        let late = resident(&tree.root, "late", &diary);
        assert_eq!(late.ended().await, Exit::Stopped);
        assert_eq!(tree.root.stop(seconds(5)).await, Ok(()));
        assert_eq!(tree.failures().len(), 1);
    });
}

#[test]
fn falls_that_are_far_enough_apart_never_escalate() {
    paused(async {
        let tree = Tree::with(at_most(3, 5));
        let clerk = hire(&tree.root, &Orders::default());
        for _ in 0..20 {
            assert_eq!(fall(&clerk, Way::Sync).await, Err(AskError::Panicked));
            tokio::time::sleep(seconds(3)).await;
        }
        assert_eq!(serve(&clerk).await, Ok(1));
        assert_eq!((clerk.restarts(), tree.failures().len()), (20, 0));
        // Four within the window do.
        tokio::time::sleep(seconds(6)).await;
        for _ in 0..4 {
            assert_eq!(fall(&clerk, Way::Sync).await, Err(AskError::Panicked));
        }
        until("the root failed", || tree.failures().len() == 1).await;
    });
}

#[test]
fn the_window_counts_all_children_of_a_supervisor() {
    paused(async {
        let tree = Tree::with(at_most(3, 60));
        let clerks: Vec<ClerkRef> = (0..4).map(|_| hire(&tree.root, &Orders::default())).collect();
        for clerk in &clerks {
            assert_eq!(fall(clerk, Way::Sync).await, Err(AskError::Panicked));
        }
        until("the root failed", || tree.failures().len() == 1).await;
    });
}

#[test]
fn a_supervisor_that_gave_up_is_started_again_by_its_parent_with_a_fresh_budget() {
    paused(async {
        let (tree, diary) = (Tree::with(at_most(2, 600)), Diary::default());
        let neighbour = resident(&tree.root, "neighbour", &diary);
        let desk = tree.root.child("desk", Strategy::OneForOne, at_most(1, 60));
        let first = resident(&desk, "first", &diary);
        let clerk = hire(&desk, &Orders::default());
        let last = resident(&desk, "last", &diary);
        last.running().await;
        diary.clear();

        assert_eq!(fall(&clerk, Way::Sync).await, Err(AskError::Panicked));
        assert_eq!(serve(&clerk).await, Ok(1));
        assert_eq!(diary.all(), Vec::<String>::new());
        // One too many: the whole desk goes down and comes up again, and what waited is answered.
        let (fallen, behind) = futures_util::join!(fall(&clerk, Way::Sync), serve(&clerk));
        assert_eq!((fallen, behind), (Err(AskError::Panicked), Ok(1)));
        last.running().await;
        assert_eq!(diary.all(), ["-last", "-first", "+first", "+last"]);
        let desk_now = tree.node("shop/desk");
        assert_eq!((desk_now.restarts, desk_now.state), (1, State::Running));
        assert!(matches!(desk_now.last_exit, Some(Exit::Escalated(_))));
        assert_eq!(desk_now.restart_budget_remaining, Some(1), "a fresh budget");
        assert_eq!(tree.node("shop").restart_budget_remaining, Some(1), "paid by the parent");
        assert_eq!((first.state(), neighbour.restarts()), (State::Running, 0));
        assert!(tree.failures().is_empty());
    });
}

#[test]
fn what_no_supervisor_can_mend_reaches_the_process() {
    paused(async {
        let (tree, starts) = (Tree::with(at_most(1, 600)), Arc::new(AtomicU32::new(0)));
        let inner = tree.root.child("outer", Strategy::OneForAll, at_most(1, 600)).child(
            "inner",
            Strategy::RestForOne,
            at_most(1, 600),
        );
        let counted = Arc::clone(&starts);
        let task = inner.task("hopeless", Restart::Permanent, move || {
            counted.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Err::<(), _>("no hope"))
        });
        assert_eq!(task.ended().await, Exit::Failed("no hope".into()));
        until("the root failed", || tree.failures().len() == 1).await;
        // Two starts before inner gives up, which happens twice before outer does, which happens twice.
        assert_eq!(starts.load(Ordering::SeqCst), 8);
        let reason = tree.failures()[0].to_string();
        assert!(reason.contains("shop: more than 1") && reason.contains("no hope"), "{reason}");
    });
}

#[test]
fn an_on_failure_that_panics_harms_nobody() {
    paused(async {
        let root = Supervisor::root("shop", at_most(0, 1), |_| panic!("boom in on_failure"));
        let task = root.task("worker", Restart::Permanent, || std::future::ready(Err::<(), _>("no")));
        task.ended().await;
        settle().await;
        assert_eq!(root.state(), State::Failed);
    });
}

#[test]
fn entities_answer_stopping_when_their_root_has_failed() {
    use crate::ledger::*;
    paused(async {
        let (tree, world) = (Tree::with(at_most(0, 1)), World::default());
        let router = tree.root.router::<Ledger>(world.clone(), RouterSpec::default());
        let working = work(&router, 1, seconds(60));
        let failing = async {
            tokio::time::sleep(seconds(1)).await;
            tree.root
                .task("worker", Restart::Permanent, || std::future::ready(Err::<(), _>("no")))
                .ended()
                .await;
            let behind = read(&router, 1).await;
            (behind, read(&router, 2).await)
        };
        let (worked, after) = futures_util::join!(working, failing);
        assert!(worked.is_err(), "{worked:?}");
        assert_eq!(after, (Err(AskError::Stopping), Err(AskError::Stopping)));
        until("the root failed", || tree.failures().len() == 1).await;
        assert_eq!((router.live(), router.in_flight()), (0, 0));
    });
}
