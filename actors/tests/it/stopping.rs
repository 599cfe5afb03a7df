//! The end: in reverse order, with everything answered that was accepted.

use futures_util::future::join_all;
use tokio::time::Instant;
use viscount_actors::*;

use crate::clerk::*;
use crate::house::*;
use crate::ledger::*;

#[test]
fn a_router_answers_all_it_accepted_and_accepts_nothing_more() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router =
            tree.root.router::<Ledger>(world.clone(), RouterSpec { batch: 1, ..RouterSpec::default() });
        assert_eq!(add(&router, 99, 1).await, Ok(vec![1]), "one that will be idle");
        let accepted = join_all((0..50).map(|n| work(&router, n % 5, millis(100))));
        let falling = boom(&router, 3);
        let stopping = async {
            settle().await;
            let stop = tree.root.stop(seconds(60));
            let late = async {
                settle().await;
                (add(&router, 0, 1).await, add(&router, 77, 1).await)
            };
            futures_util::join!(stop, late)
        };
        let (accepted, fallen, (stopped, late)) = futures_util::join!(accepted, falling, stopping);
        assert!(accepted.iter().all(Result::is_ok), "{accepted:?}");
        assert_eq!(fallen, Err(AskError::Panicked), "a fall on the way does not stop the drain");
        assert_eq!(late, (Err(AskError::Stopping), Err(AskError::Stopping)));
        assert_eq!(stopped, Ok(()));
        assert_eq!((router.live(), router.in_flight(), tree.root.state()), (0, 0, State::Ended));
    });
}

#[test]
fn what_takes_too_long_is_ended_by_force_and_named() {
    paused(async {
        let (tree, world, orders) = (Tree::new(), World::default(), Orders::default());
        let router = tree.root.router::<Ledger>(world.clone(), RouterSpec::default());
        let clerk = hire(&tree.root, &orders);
        let deaf = tree
            .root
            .task_with_stop("deaf", Restart::Permanent, |_| std::future::pending::<Result<(), String>>());
        let (worked, behind, clerked, (stopped, took)) = futures_util::join!(
            work(&router, 1, seconds(3600)),
            async {
                settle().await;
                read(&router, 1).await
            },
            clerk.ask(LONG, |reply| Work(seconds(3600), reply)),
            async {
                deaf.running().await;
                settle().await;
                let began = Instant::now();
                (tree.root.stop(seconds(5)).await, began.elapsed())
            }
        );
        let StopTimeout { children } = stopped.unwrap_err();
        assert_eq!(children, ["shop/deaf", "shop/clerk", "shop/ledger (2 messages unanswered)"]);
        assert!(took < seconds(6), "{took:?}");
        assert_eq!(
            (worked, behind, clerked),
            (Err(AskError::Stopping), Err(AskError::Stopping), Err(AskError::Stopping))
        );
        assert_eq!((router.in_flight(), clerk.depth(), deaf.state()), (0, 0, State::Ended));
    });
}

#[test]
fn children_end_in_reverse_order_each_when_the_one_after_it_has() {
    paused(async {
        let (tree, diary) = (Tree::new(), Diary::default());
        let task = |name: &'static str, lingers: u64| {
            let diary = diary.clone();
            tree.root.task_with_stop(name, Restart::Permanent, move |stop| {
                let diary = diary.clone();
                async move {
                    stop.stopped().await;
                    diary.note(format!("{name} told"));
                    tokio::time::sleep(seconds(lingers)).await;
                    diary.note(format!("{name} done"));
                    Ok::<(), String>(())
                }
            })
        };
        let (first, second) = (task("first", 1), task("second", 3));
        first.running().await;
        second.running().await;
        let began = Instant::now();
        assert_eq!(tree.root.stop(seconds(60)).await, Ok(()));
        assert!(began.elapsed() >= seconds(4));
        assert_eq!(diary.all(), ["second told", "second done", "first told", "first done"]);
        assert_eq!((first.restarts(), first.ended().await), (0, Exit::Normal));
    });
}

#[test]
fn a_plain_task_is_dropped_where_it_waits() {
    paused(async {
        let tree = Tree::new();
        let task = tree.root.task("worker", Restart::Permanent, std::future::pending::<Result<(), String>>);
        task.running().await;
        let began = Instant::now();
        assert_eq!(tree.root.stop(seconds(60)).await, Ok(()));
        assert!(began.elapsed() < millis(10));
        assert_eq!(task.ended().await, Exit::Stopped);
    });
}

#[test]
fn an_actor_empties_its_mailbox_and_says_goodbye() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        let work = || clerk.ask(LONG, |reply| Work(seconds(2), reply));
        let (first, second, (stopped, late)) = futures_util::join!(work(), work(), async {
            settle().await;
            futures_util::join!(tree.root.stop(seconds(60)), async {
                settle().await;
                serve(&clerk).await
            })
        });
        assert_eq!((first, second, stopped, late), (Ok(1), Ok(2), Ok(()), Err(AskError::Stopping)));
        assert_eq!((orders.diary.count("stopping"), orders.diary.count("stopped")), (1, 1));
    });
}

#[test]
fn what_is_waiting_for_a_restart_is_stopped_too() {
    paused(async {
        let tree = Tree::new();
        let root = tree.root.clone().with_backoff(Backoff { base: seconds(3600), cap: seconds(3600) });
        let failing = || std::future::ready(Err::<(), _>("no"));
        let plain = root.task("plain", Restart::Permanent, failing);
        let told = root.task_with_stop("told", Restart::Permanent, move |_| failing());
        until("both wait", || plain.state() == State::BackingOff && told.state() == State::BackingOff).await;
        assert_eq!(root.stop(seconds(5)).await, Ok(()));
    });
}

#[test]
fn a_stopped_tree_takes_nothing_in() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let child = tree.root.child("child", Strategy::OneForOne, Intensity::default());
        assert_eq!(tree.root.stop(seconds(5)).await, Ok(()));
        assert_eq!(tree.root.stop(seconds(5)).await, Ok(()), "twice is no error");
        for supervisor in
            [&tree.root, &child, &tree.root.child("late", Strategy::OneForOne, Intensity::default())]
        {
            let task =
                supervisor.task("worker", Restart::Permanent, std::future::pending::<Result<(), String>>);
            assert_eq!(task.ended().await, Exit::Stopped);
            assert_eq!(serve(&hire(supervisor, &Orders::default())).await, Err(AskError::Stopping));
            let router = supervisor.router::<Ledger>(world.clone(), RouterSpec::default());
            assert_eq!(read(&router, 1).await, Err(AskError::Stopping));
        }
    });
}

#[test]
fn a_branch_can_be_stopped_alone() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let branch = tree.root.child("branch", Strategy::OneForOne, Intensity::default());
        let (here, there) = (
            tree.root.router::<Ledger>(world.clone(), RouterSpec::default()),
            branch.router::<Ledger>(world.clone(), RouterSpec::default()),
        );
        assert_eq!((add(&here, 1, 1).await, add(&there, 2, 2).await), (Ok(vec![1]), Ok(vec![2])));
        assert_eq!(branch.stop(seconds(5)).await, Ok(()));
        assert_eq!((read(&here, 1).await, read(&there, 2).await), (Ok(vec![1]), Err(AskError::Stopping)));
        assert_eq!(tree.node("shop/branch").state, State::Ended);
    });
}
