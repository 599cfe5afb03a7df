//! Timers live beside the actor: they survive its restarts and end with it.

use actix::prelude::*;
use viscount_actors::*;

use crate::clerk::*;
use crate::house::*;

#[derive(Message)]
#[rtype(result = "()")]
pub struct Rung(pub Tick);

impl Handler<Rung> for Clerk {
    type Result = ();

    fn handle(&mut self, rung: Rung, _: &mut Self::Context) {
        self.note(if rung.0.is_current() { "rung" } else { "stale" });
    }
}

#[test]
fn a_periodic_timer_survives_restarts_and_ticks_once_per_period() {
    paused(async {
        let (tree, orders) = (Tree::with(at_most(100, 60)), Orders::default());
        let clerk = hire(&tree.root, &orders);
        clerk.timer(Rung).every(seconds(1));
        for round in 1..=20 {
            tokio::time::sleep(millis(900)).await;
            assert_eq!(fall(&clerk, Way::Sync).await, Err(AskError::Panicked));
            assert_eq!(serve(&clerk).await, Ok(1));
            assert_eq!(clerk.restarts(), round);
        }
        // Pauses before restarts are by chance. The window begins just behind a tick, so that none falls on its ends.
        let mut before = orders.diary.count("rung");
        while orders.diary.count("rung") == before {
            tokio::time::sleep(millis(50)).await;
        }
        before = orders.diary.count("rung");
        tokio::time::sleep(millis(10_500)).await;
        assert_eq!(orders.diary.count("rung") - before, 10, "one timer, not twenty-one");
    });
}

#[test]
fn a_timer_set_once_rings_once_even_if_the_actor_is_down_at_the_time() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let root = tree.root.clone().with_backoff(Backoff { base: seconds(20), cap: seconds(20) });
        let clerk = hire(&root, &orders);
        clerk.timer(Rung).once(seconds(1));
        assert_eq!(fall(&clerk, Way::Sync).await, Err(AskError::Panicked));
        tokio::time::sleep(seconds(60)).await;
        assert_eq!(orders.diary.count("rung"), 1);
    });
}

#[test]
fn a_cancelled_timer_is_silent_and_a_tick_on_its_way_is_known_as_stale() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        let timer = clerk.timer(Rung);
        timer.every(seconds(1));
        let busy = clerk.ask(LONG, |reply| Work(millis(1500), reply));
        let cancel = async {
            tokio::time::sleep(millis(1200)).await;
            timer.cancel();
        };
        let (worked, ()) = futures_util::join!(busy, cancel);
        assert_eq!(worked, Ok(1));
        tokio::time::sleep(seconds(10)).await;
        assert_eq!((orders.diary.count("rung"), orders.diary.count("stale")), (0, 1));
    });
}

#[test]
fn setting_a_timer_anew_replaces_what_it_was_set_to() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        let timer = clerk.timer(Rung);
        timer.once(seconds(5));
        tokio::time::sleep(seconds(4)).await;
        timer.once(seconds(5));
        tokio::time::sleep(seconds(4)).await;
        assert_eq!(orders.diary.count("rung"), 0);
        tokio::time::sleep(seconds(2)).await;
        assert_eq!(orders.diary.count("rung"), 1);
        tokio::time::sleep(seconds(60)).await;
        assert_eq!(orders.diary.count("rung"), 1);
    });
}

#[test]
fn an_actor_that_is_late_does_not_find_a_queue_of_ticks() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire(&tree.root, &orders);
        clerk.timer(Rung).every(seconds(1));
        assert_eq!(clerk.ask(LONG, |reply| Work(millis(60_500), reply)).await, Ok(1));
        settle().await;
        assert_eq!(orders.diary.count("rung"), 1);
        assert_eq!(clerk.depth(), 0);
    });
}

#[test]
fn a_timer_set_once_waits_for_room() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let kept = orders.clone();
        let clerk = tree.root.actor("clerk", Restart::Permanent, 1, move |_| Clerk::new(&kept));
        clerk.timer(Rung).once(seconds(1));
        assert_eq!(clerk.ask(LONG, |reply| Work(seconds(5), reply)).await, Ok(1));
        tokio::time::sleep(millis(50)).await;
        assert_eq!(orders.diary.count("rung"), 1);
    });
}

#[test]
fn a_timer_ends_with_its_actor() {
    paused(async {
        let (tree, orders) = (Tree::new(), Orders::default());
        let clerk = hire_as(&tree.root, Restart::Transient, &orders);
        clerk.timer(Rung).every(seconds(1));
        tokio::time::sleep(millis(2500)).await;
        assert_eq!(clerk.ask(LONG, Leave).await, Ok(0));
        assert_eq!(clerk.ended().await, Exit::Normal);
        tokio::time::sleep(seconds(10)).await;
        assert_eq!(orders.diary.count("rung"), 2);
    });
}
