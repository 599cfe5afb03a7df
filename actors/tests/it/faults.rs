//! Faults on demand.

use viscount_actors::faults::*;
use viscount_actors::*;

use crate::clerk::*;
use crate::house::*;
use crate::ledger::*;
use crate::recorder::Kept;

fn at(kind: FaultKind, actor: &str) -> Fault {
    Fault { actor: Some(actor.to_owned()), ..Fault::of(kind) }
}

fn shop() -> (Tree, Router<Ledger>, Faults) {
    let tree = Tree::with(at_most(3, 60));
    let spec = RouterSpec { intensity: at_most(1000, 1), batch: 1, ..RouterSpec::default() };
    let router = tree.root.router::<Ledger>(World::default(), spec);
    let faults = tree.root.faults();
    faults.allow();
    (tree, router, faults)
}

#[test]
fn where_nobody_allows_faults_there_are_none() {
    paused(async {
        let tree = Tree::new();
        let faults = tree.root.faults();
        assert!(!faults.are_allowed());
        assert_eq!(faults.set(at(FaultKind::Panic, "ledger")), Err(BadFault::NotAllowed));
        assert_eq!(faults.replace(vec![at(FaultKind::Panic, "ledger")]), Err(BadFault::NotAllowed));
        assert_eq!(faults.list(), vec![]);
    });
}

#[test]
fn every_nth_handler_of_a_kind_panics_until_it_has_happened_often_enough() {
    let kept = Kept::default();
    ::metrics::with_local_recorder(&kept.clone(), || {
        paused(async {
            let (tree, router, faults) = shop();
            let fault = Fault { every: Some(3), times: Some(2), ..at(FaultKind::Panic, "ledger") };
            let set = faults.set(fault).unwrap();
            assert_eq!((set.fault.id.as_deref(), set.injected), (Some("fault-1"), 0));
            let mut fell = Vec::new();
            for call in 1..=9 {
                match add(&router, call % 2, call).await {
                    Ok(_) => {}
                    Err(AskError::Panicked) => fell.push(call),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(fell, [3, 6]);
            assert_eq!(faults.list(), vec![], "it has happened twice");
            assert_eq!(kept.get(r#"faults_injected_total{kind="panic",service="shop"}"#), Some(2.0));
            let exits = tree.root.exits(&ExitFilter::default(), 10);
            assert_eq!((exits.len(), exits[0].message_kind.as_deref()), (2, Some("add")));
            assert!(matches!(exits[0].exit, Exit::Panicked { during: "handle", .. }));
        });
    });
}

#[test]
fn one_entity_may_be_struck_alone() {
    paused(async {
        let (_tree, router, faults) = shop();
        let fault = Fault { entity: Some("1".into()), ..at(FaultKind::Panic, "ledger") };
        let id = faults.set(fault).unwrap().fault.id.unwrap();
        assert_eq!(add(&router, 1, 5).await, Err(AskError::Panicked));
        assert_eq!(add(&router, 2, 5).await, Ok(vec![5]));
        assert_eq!(add(&router, 1, 5).await, Err(AskError::Panicked));
        assert_eq!(faults.list()[0].injected, 2);
        assert!(faults.clear(&id) && !faults.clear(&id));
        assert_eq!(add(&router, 1, 5).await, Ok(vec![5]));
    });
}

#[test]
fn a_slow_handler_takes_longer_and_a_stuck_one_waits_for_the_end_of_its_fault() {
    paused(async {
        let (_tree, router, faults) = shop();
        let slow = Fault { delay_ms: Some(5_000), times: Some(1), ..at(FaultKind::Slow, "ledger") };
        faults.set(slow).unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(add(&router, 1, 5).await, Ok(vec![5]));
        assert_eq!(began.elapsed().as_secs(), 5);

        // Taken back.
        let stuck = Fault { id: Some("s".into()), times: Some(1), ..at(FaultKind::Stuck, "ledger") };
        faults.set(stuck.clone()).unwrap();
        let end = async {
            tokio::time::sleep(seconds(20)).await;
            assert_eq!(add(&router, 2, 5).await, Ok(vec![5]), "once is once");
            assert_eq!(faults.list().len(), 1, "it holds somebody");
            assert!(faults.clear("s"));
        };
        let (answer, ()) = futures_util::join!(add(&router, 1, 6), end);
        assert_eq!((answer, began.elapsed().as_secs()), (Ok(vec![5, 6]), 25));

        // Expired.
        faults.set(Fault { expires_in_seconds: Some(30), ..stuck }).unwrap();
        assert_eq!(add(&router, 1, 7).await, Ok(vec![5, 6, 7]));
        assert_eq!(began.elapsed().as_secs(), 55);
        assert_eq!(faults.list(), vec![]);
    });
}

#[test]
fn a_task_or_actor_is_struck_when_its_turn_comes_and_what_falls_too_often_escalates() {
    paused(async {
        let (tree, _router, faults) = shop();
        let clerk = hire(&tree.root, &Orders::default());
        assert_eq!(serve(&clerk).await, Ok(1));
        faults.set(Fault { times: Some(2), ..at(FaultKind::Panic, "clerk") }).unwrap();
        assert_eq!(serve(&clerk).await, Ok(1), "the mailbox outlives both falls");
        assert_eq!((clerk.restarts(), faults.list()), (2, vec![]));
        faults.set(Fault { times: Some(1), delay_ms: Some(7_000), ..at(FaultKind::Slow, "clerk") }).unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(serve(&clerk).await, Ok(2));
        assert_eq!(began.elapsed().as_secs(), 7);
        faults.set(at(FaultKind::Panic, "clerk")).unwrap();
        assert_eq!(serve(&clerk).await, Err(AskError::Stopping));
        until("the root failed", || tree.failures().len() == 1).await;
    });
}

#[test]
fn a_list_replaces_all_and_leaves_alone_what_is_in_it_already() {
    paused(async {
        let (_tree, router, faults) = shop();
        let first = Fault { every: Some(2), ..at(FaultKind::Panic, "ledger") };
        faults.replace(vec![first.clone(), Fault::of(FaultKind::ProviderDown)]).unwrap();
        assert_eq!(add(&router, 1, 5).await, Ok(vec![5]));
        faults.replace(vec![first.clone()]).unwrap();
        assert_eq!(add(&router, 1, 6).await, Err(AskError::Panicked), "it went on counting");
        let bad = faults.replace(vec![Fault::of(FaultKind::Panic)]);
        assert!(matches!(bad, Err(BadFault::Field { field: "actor", .. })), "{bad:?}");
        assert_eq!(faults.list().len(), 1, "nothing was changed");
        assert_eq!(faults.replace(vec![first.clone(); 65]), Err(BadFault::TooMany));
        faults.replace(vec![]).unwrap();
        assert_eq!(faults.list(), vec![]);
        assert_eq!(add(&router, 1, 7).await, Ok(vec![5, 7]));
        // One by one there is an end as well.
        for number in 0..64 {
            faults.set(Fault { id: Some(format!("f{number}")), ..first.clone() }).unwrap();
        }
        assert_eq!(faults.set(first.clone()), Err(BadFault::TooMany));
        faults.set(Fault { id: Some("f1".into()), ..first }).unwrap();
        assert_eq!(faults.clear_all(), 64);
    });
}

#[test]
fn those_at_the_edge_ask_for_theirs() {
    paused(async {
        let (_tree, _router, faults) = shop();
        assert_eq!(faults.happens(FaultKind::ProviderDown), None);
        faults.set(Fault { every: Some(2), times: Some(1), ..Fault::of(FaultKind::ProviderDown) }).unwrap();
        faults.set(Fault::of(FaultKind::DropDatabaseConnections)).unwrap();
        let calls: Vec<bool> = (0..4).map(|_| faults.happens(FaultKind::ProviderDown).is_some()).collect();
        assert_eq!(calls, [false, true, false, false]);
        assert!(faults.happens(FaultKind::ProviderSlow).is_none());
        assert!(faults.happens(FaultKind::DropDatabaseConnections).is_some());
        assert!(faults.happens(FaultKind::DropDatabaseConnections).is_none(), "once unless said otherwise");
    });
}
