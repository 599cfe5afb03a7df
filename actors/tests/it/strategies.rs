//! Whom a fall takes along.

use viscount_actors::*;

use crate::house::*;
use crate::ledger::{self, Ledger, World};

/// Four tasks that note when they start and when they are dropped.
fn four(supervisor: &Supervisor, diary: &Diary) -> [TaskRef; 4] {
    struct End(&'static str, Diary);
    impl Drop for End {
        fn drop(&mut self) {
            self.1.note(format!("-{}", self.0));
        }
    }
    ["a", "b", "c", "d"].map(|name| {
        let diary = diary.clone();
        supervisor.task(name, Restart::Permanent, move || {
            diary.note(format!("+{name}"));
            let end = End(name, diary.clone());
            async move {
                let _end = end;
                std::future::pending::<Result<(), String>>().await
            }
        })
    })
}

async fn fell_second(strategy: Strategy) -> Vec<String> {
    let (tree, diary) = (Tree::new(), Diary::default());
    let node = tree.root.child("node", strategy, Intensity::default());
    let tasks = four(&node, &diary);
    for task in &tasks {
        task.running().await;
    }
    diary.clear();
    tasks[1].crash();
    until("it came back", || diary.count("+b") == 1).await;
    settle().await;
    for task in &tasks {
        task.running().await;
    }
    assert_eq!(tree.node("shop/node").restart_budget_remaining, Some(4), "one fall, whoever is taken along");
    assert_eq!(tree.node("shop/node").state, State::Running);
    diary.all()
}

#[test]
fn one_for_one_restarts_the_fallen_alone() {
    paused(async { assert_eq!(fell_second(Strategy::OneForOne).await, ["-b", "+b"]) });
}

#[test]
fn one_for_all_takes_all_down_in_reverse_order_and_up_in_order() {
    paused(async {
        let expected = ["-b", "-d", "-c", "-a", "+a", "+b", "+c", "+d"];
        assert_eq!(fell_second(Strategy::OneForAll).await, expected);
    });
}

#[test]
fn rest_for_one_takes_along_those_started_later() {
    paused(async {
        assert_eq!(fell_second(Strategy::RestForOne).await, ["-b", "-d", "-c", "+b", "+c", "+d"])
    });
}

#[test]
fn a_fall_during_a_restart_of_several_begins_another_one() {
    paused(async {
        let (tree, diary) = (Tree::new(), Diary::default());
        let node = tree.root.child("node", Strategy::RestForOne, Intensity::default());
        let tasks = four(&node, &diary);
        let notes = diary.clone();
        let mut left = 2;
        let fragile = node.task("fragile", Restart::Permanent, move || {
            notes.note("+fragile");
            let falls = notes.count("-b") > 0 && left > 0;
            left -= u32::from(falls);
            async move {
                if falls {
                    panic!("boom at the start");
                }
                std::future::pending::<Result<(), String>>().await
            }
        });
        fragile.running().await;
        diary.clear();
        tasks[1].crash();
        until("all is well", || diary.count("+fragile") == 3 && fragile.state() == State::Running).await;
        let (own, others) = (diary.count("+fragile"), ["+a", "+b", "+c", "+d"].map(|note| diary.count(note)));
        assert_eq!((own, others), (3, [0, 1, 1, 1]), "those before it stay up");
        assert_eq!(tree.node("shop/node").restart_budget_remaining, Some(2));
    });
}

#[test]
fn a_router_taken_along_forgets_all_states_and_no_message() {
    paused(async {
        let (tree, world, diary) = (Tree::new(), World::default(), Diary::default());
        let node = tree
            .root
            .child("node", Strategy::OneForAll, Intensity::default())
            .with_backoff(Backoff { base: seconds(10), cap: seconds(10) });
        let tasks = four(&node, &diary);
        let router = node.router::<Ledger>(world.clone(), RouterSpec::default());
        assert_eq!(ledger::add(&router, 1, 5).await, Ok(vec![5]));
        assert_eq!(ledger::scribble(&router, 1, 6).await, Ok(vec![5, 6]));
        assert_eq!(ledger::scribble(&router, 2, 7).await, Ok(vec![7]));
        let working = ledger::work(&router, 3, seconds(100));
        let rest = async {
            settle().await;
            tasks[0].crash();
            tokio::time::sleep(seconds(1)).await;
            assert_eq!(tree.node("shop/node/ledger").state, State::Down);
            // While it is down: for one it knows, for one at work, for one it does not know.
            futures_util::join!(
                ledger::read(&router, 1),
                ledger::read(&router, 3),
                ledger::add(&router, 4, 8)
            )
        };
        let (worked, answers) = futures_util::join!(working, rest);
        assert_eq!(worked, Err(AskError::Dropped), "it was in the middle of its work");
        assert_eq!(answers, (Ok(vec![5]), Ok(vec![]), Ok(vec![8])));
        assert_eq!(ledger::read(&router, 2).await, Ok(vec![]));
        assert_eq!(router.in_flight(), 0);
        assert_eq!(tree.root.stop(seconds(5)).await, Ok(()));
    });
}

#[test]
fn a_supervisor_taken_along_takes_its_own_down_and_up_again() {
    paused(async {
        let (tree, diary) = (Tree::new(), Diary::default());
        let node = tree.root.child("node", Strategy::OneForAll, Intensity::default());
        let first = node.task("first", Restart::Permanent, std::future::pending::<Result<(), String>>);
        let inner = node.child("inner", Strategy::OneForOne, Intensity::default());
        let tasks = four(&inner, &diary);
        tasks[3].running().await;
        diary.clear();
        first.crash();
        until("all are back", || diary.count("+d") == 1).await;
        assert_eq!(diary.all(), ["-d", "-c", "-b", "-a", "+a", "+b", "+c", "+d"]);
        tasks[3].running().await;
        settle().await;
        assert_eq!(tree.node("shop/node/inner").state, State::Running);
    });
}

#[test]
fn those_that_ended_for_good_stay_ended() {
    paused(async {
        let (tree, diary) = (Tree::new(), Diary::default());
        let node = tree.root.child("node", Strategy::OneForAll, Intensity::default());
        let notes = diary.clone();
        let once = node.task("once", Restart::Transient, move || {
            notes.note("+once");
            std::future::ready(Ok::<(), String>(()))
        });
        let tasks = four(&node, &diary);
        assert_eq!(once.ended().await, Exit::Normal);
        tasks[3].running().await;
        tasks[0].crash();
        until("all are back", || diary.count("+d") == 2).await;
        assert_eq!(diary.count("+once"), 1);
    });
}

#[test]
fn a_child_added_while_its_supervisor_is_down_comes_up_with_the_others() {
    paused(async {
        let (tree, diary) = (Tree::new(), Diary::default());
        let slow = Backoff { base: seconds(10), cap: seconds(10) };
        let node = tree.root.child("node", Strategy::OneForAll, Intensity::default()).with_backoff(slow);
        let first = node.task("first", Restart::Permanent, std::future::pending::<Result<(), String>>);
        let inner = node.child("inner", Strategy::OneForOne, Intensity::default());
        first.running().await;
        first.crash();
        until("inner is down", || inner.state() == State::Down).await;
        let late = four(&inner, &diary);
        tokio::time::sleep(seconds(1)).await;
        assert_eq!(late[3].state(), State::Down);
        late[3].running().await;
        assert_eq!(inner.state(), State::Running);
    });
}
