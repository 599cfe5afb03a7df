//! Supervised futures, and the three restart policies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::Instant;
use viscount_actors::*;

use crate::clerk::*;
use crate::house::*;

/// What the incarnations of a task do, one after another; the last one is repeated.
#[derive(Clone, Copy)]
enum Run {
    Panics,
    Fails,
    Ends,
    Stays,
}

fn task(supervisor: &Supervisor, restart: Restart, runs: &'static [Run]) -> (TaskRef, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let task = supervisor.task("worker", restart, move || {
        let at = counted.fetch_add(1, Ordering::SeqCst) as usize;
        let run = runs[at.min(runs.len() - 1)];
        async move {
            tokio::task::yield_now().await;
            match run {
                Run::Panics => panic!("boom in a task"),
                Run::Fails => Err("no broker"),
                Run::Ends => Ok(()),
                Run::Stays => std::future::pending().await,
            }
        }
    });
    (task, count)
}

#[test]
fn a_permanent_task_comes_back_after_every_end() {
    paused(async {
        let tree = Tree::new();
        let (task, runs) =
            task(&tree.root, Restart::Permanent, &[Run::Panics, Run::Fails, Run::Ends, Run::Stays]);
        let mut exits = Vec::new();
        until("it stays", || {
            exits.extend(task.last_exit());
            exits.dedup();
            runs.load(Ordering::SeqCst) == 4
        })
        .await;
        exits.extend(task.last_exit());
        exits.dedup();
        let panicked = Exit::Panicked { message: "boom in a task".into(), during: "task" };
        assert_eq!(exits, [panicked, Exit::Failed("no broker".into()), Exit::Normal]);
        task.running().await;
        assert_eq!((task.restarts(), task.state()), (3, State::Running));
    });
}

#[test]
fn a_transient_task_comes_back_after_failures_only() {
    paused(async {
        let tree = Tree::new();
        let (task, runs) = task(&tree.root, Restart::Transient, &[Run::Panics, Run::Fails, Run::Ends]);
        assert_eq!(task.ended().await, Exit::Normal);
        assert_eq!((task.restarts(), runs.load(Ordering::SeqCst)), (2, 3));
        assert_eq!(tree.node("shop/worker").state, State::Ended, "still to be seen");
    });
}

#[test]
fn a_temporary_task_never_comes_back_and_costs_nobody_a_restart() {
    paused(async {
        let tree = Tree::with(at_most(0, 60));
        for runs in [&[Run::Panics], &[Run::Fails], &[Run::Ends]] {
            let (task, count) = task(&tree.root, Restart::Temporary, runs);
            task.ended().await;
            assert_eq!((task.restarts(), count.load(Ordering::SeqCst)), (0, 1));
        }
        assert_eq!(tree.root.snapshot().children, [], "the tree has forgotten them");
        assert!(tree.failures().is_empty());
    });
}

#[test]
fn actors_follow_the_same_policies() {
    paused(async {
        let tree = Tree::new();
        let clerk = hire_as(&tree.root, Restart::Transient, &Orders::default());
        assert_eq!(fall(&clerk, Way::Sync).await, Err(AskError::Panicked));
        assert_eq!(serve(&clerk).await, Ok(1));
        assert_eq!(clerk.ask(LONG, Leave).await, Ok(1));
        assert_eq!((clerk.ended().await, clerk.restarts()), (Exit::Normal, 1));
        assert_eq!(serve(&clerk).await, Err(AskError::Stopping));

        let clerk = hire_as(&tree.root, Restart::Temporary, &Orders::default());
        let (fallen, behind) = futures_util::join!(fall(&clerk, Way::Sync), serve(&clerk));
        assert_eq!(fallen, Err(AskError::Panicked));
        assert!(matches!(behind, Err(AskError::Unavailable(_))), "{behind:?}");
    });
}

#[test]
fn a_crash_injected_into_a_task_is_a_panic_like_any_other() {
    paused(async {
        let tree = Tree::new();
        let (task, runs) = task(&tree.root, Restart::Permanent, &[Run::Stays]);
        task.running().await;
        task.crash();
        until("it came back", || runs.load(Ordering::SeqCst) == 2).await;
        assert_eq!(task.last_exit().unwrap().label(), "panicked");
    });
}

#[test]
fn pauses_grow_and_start_over_after_a_calm_time() {
    paused(async {
        let tree = Tree::with(at_most(100, 100));
        let root = tree.root.clone().with_backoff(Backoff { base: seconds(1), cap: seconds(60) });
        let starts = Arc::new(std::sync::Mutex::new(Vec::new()));
        let kept = Arc::clone(&starts);
        let task = root.task("worker", Restart::Permanent, move || {
            kept.lock().unwrap().push(Instant::now());
            std::future::pending::<Result<(), String>>()
        });
        let starts = || starts.lock().unwrap().clone();
        for round in 0..6 {
            task.running().await;
            task.crash();
            until("it came back", || starts().len() == round + 2).await;
        }
        let gaps: Vec<_> = starts().windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (attempt, gap) in gaps.iter().enumerate() {
            let ceiling = seconds(1 << attempt) + millis(2);
            assert!(*gap >= millis(500) && *gap <= ceiling, "pause {attempt}: {gap:?}");
        }
        task.running().await;
        tokio::time::sleep(seconds(101)).await;
        let (fell, count) = (Instant::now(), starts().len());
        task.crash();
        until("it came back", || starts().len() > count).await;
        assert!(fell.elapsed() <= millis(1002), "the first pause again: {:?}", fell.elapsed());
    });
}
