//! Every queue has an end, every question a deadline, and every refusal a name.

use futures_util::future::join_all;
use tokio::time::Instant;
use viscount_actors::*;

use crate::clerk::*;
use crate::house::*;
use crate::ledger::*;

fn router(tree: &Tree, world: &World, spec: RouterSpec) -> Router<Ledger> {
    tree.root.router::<Ledger>(world.clone(), spec)
}

fn tally<T>(answers: &[Result<T, AskError>], error: &AskError) -> (usize, usize) {
    let refused = answers.iter().filter(|answer| answer.as_ref().err() == Some(error)).count();
    (answers.iter().filter(|answer| answer.is_ok()).count(), refused)
}

#[test]
fn an_entity_takes_in_as_much_as_its_mailbox_holds() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec { mailbox: 4, ..RouterSpec::default() });
        let answers = join_all((0..10).map(|number| add(&router, 1, number))).await;
        assert_eq!(tally(&answers, &AskError::Overloaded), (4, 6));
        assert_eq!(router.in_flight(), 0);
        assert_eq!(add(&router, 1, 99).await, Ok(vec![0, 1, 2, 3, 99]));
    });
}

#[test]
fn a_router_takes_in_as_much_as_is_allowed_in_flight() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec { in_flight: 7, ..RouterSpec::default() });
        let answers = join_all((0..10).map(|id| work(&router, id, seconds(1)))).await;
        assert_eq!(tally(&answers, &AskError::Overloaded), (7, 3));
        assert_eq!(router.in_flight(), 0);
    });
}

#[test]
fn all_places_come_back_however_a_message_ends() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let spec = RouterSpec { in_flight: 8, intensity: at_most(1000, 1), ..RouterSpec::default() };
        let router = router(&tree, &world, spec);
        for round in 0..50 {
            *world.load_panics.lock().unwrap() = u32::from(round % 7 == 0);
            *world.down.lock().unwrap() = round % 5 == 0;
            let brief = |id, long| router.ask(id, millis(10), move |reply| Entry::Work(long, reply));
            let _ = futures_util::join!(
                add(&router, round, 1),
                boom(&router, round + 1),
                router.ask(round, LONG, Entry::Forget),
                brief(round, seconds(1)),
                brief(round, seconds(1)),
                then(&router, round, Next::Stop),
                then(&router, round + 1, Next::Reload),
            );
        }
        until("everything is finished", || router.in_flight() == 0).await;
        let answers = join_all((1000..1008).map(|id| read(&router, id))).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 8);
    });
}

#[test]
fn a_question_ends_with_its_deadline_and_is_not_worked_on_after_it() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec::default());
        let began = Instant::now();
        let busy = work(&router, 1, seconds(10));
        let waiting = async {
            settle().await;
            let answer = router.ask(1, seconds(2), |reply| Entry::Add(5, reply)).await;
            (answer, began.elapsed())
        };
        let (worked, (waited, at)) = futures_util::join!(busy, waiting);
        assert_eq!((worked, waited), (Ok(vec![]), Err(AskError::TimedOut)));
        assert!(at >= seconds(2) && at < millis(2010), "{at:?}");
        assert_eq!(read(&router, 1).await, Ok(vec![]), "the expired message was thrown away");
        assert_eq!(world.stored(1), Vec::<u32>::new());
        assert_eq!(router.in_flight(), 0);
    });
}

#[test]
fn what_is_told_waits_for_as_long_as_it_takes() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec { mailbox: 1, ..RouterSpec::default() });
        let busy = work(&router, 1, seconds(3600));
        let telling = async {
            settle().await;
            let tell = || router.tell(1, Entry::Add(5, Reply::channel().0));
            (tell(), tell())
        };
        let (worked, told) = futures_util::join!(busy, telling);
        assert_eq!(worked, Err(AskError::TimedOut), "longer than its own deadline");
        assert_eq!(told, (Ok(()), Err(AskError::Overloaded)));
        tokio::time::sleep(seconds(3001)).await;
        assert_eq!(world.stored(1), [5]);
    });
}

#[test]
fn a_forgotten_reply_and_a_panic_are_told_apart() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec::default());
        assert_eq!(router.ask(1, LONG, Entry::Forget).await, Err(AskError::Dropped));
        assert_eq!(boom(&router, 1).await, Err(AskError::Panicked));
    });
}

#[test]
fn of_a_batch_that_falls_the_answered_are_answered_and_the_rest_hear_panicked() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec::default());
        let (first, second, third) =
            futures_util::join!(add(&router, 1, 1), boom(&router, 1), add(&router, 1, 2));
        assert_eq!(*world.batches.lock().unwrap(), [3], "it was one batch");
        assert_eq!((first, second, third), (Ok(vec![1]), Err(AskError::Panicked), Err(AskError::Panicked)));
        assert_eq!(read(&router, 1).await, Ok(vec![1]));
    });
}

#[test]
fn a_batch_holds_what_waits_but_not_more_than_allowed() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec { batch: 3, ..RouterSpec::default() });
        let answers = join_all((0..8).map(|number| add(&router, 1, number))).await;
        assert_eq!(answers.last().unwrap(), &Ok((0..8).collect()), "in the order in which they came");
        assert_eq!(*world.batches.lock().unwrap(), [3, 3, 2]);
    });
}

#[test]
fn a_make_that_panics_takes_no_place() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec { in_flight: 1, ..RouterSpec::default() });
        let asking = router.clone();
        let made =
            actix_rt::spawn(async move { asking.ask::<Vec<u32>>(1, LONG, |_| panic!("boom in make")).await });
        assert!(made.await.is_err());
        assert_eq!(read(&router, 1).await, Ok(vec![]));
    });
}

#[test]
fn an_actor_has_a_deadline_too() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        let busy = clerk.ask(seconds(1), |reply| Work(seconds(10), reply));
        let behind = clerk.ask(seconds(2), Serve);
        assert_eq!(futures_util::join!(busy, behind), (Err(AskError::TimedOut), Err(AskError::TimedOut)));
        assert_eq!(clerk.depth(), 2, "they are in the mailbox still");
        tokio::time::sleep(seconds(10)).await;
        assert_eq!(clerk.depth(), 0);
    });
}

#[test]
fn bounds_of_zero_are_bounds_of_one() {
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let none = RouterSpec { mailbox: 0, batch: 0, max_live: 0, in_flight: 0, ..RouterSpec::default() };
        let router = router(&tree, &world, none);
        assert_eq!(add(&router, 1, 1).await, Ok(vec![1]));
        let orders = Orders::default();
        let clerk = tree.root.actor("clerk", Restart::Permanent, 0, move |_| Clerk::new(&orders));
        assert_eq!(serve(&clerk).await, Ok(1));
    });
}

/// What services rely on: handles and questions may cross threads.
#[test]
fn handles_and_questions_are_send() {
    fn send<T: Send>(_: &T) {}
    fn sync<T: Sync>(_: &T) {}
    paused(async {
        let (tree, world) = (Tree::new(), World::default());
        let router = router(&tree, &world, RouterSpec::default());
        let clerk = hire(&tree.root, &Orders::default());
        send(&router);
        sync(&router);
        send(&clerk);
        sync(&clerk);
        send(&tree.root);
        sync(&tree.root);
        send(&router.ask(1, LONG, Entry::Read));
        send(&router.ask_new(1, LONG, Entry::Read));
        send(&clerk.ask(LONG, Serve));
        send(&tree.root.stop(LONG));
    });
}
