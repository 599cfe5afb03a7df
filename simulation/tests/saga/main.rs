//! The order saga, checked in every interleaving: two orders, one piece of stock, two replicas of orders and two of
//! inventory, messages that come at least once, a crash at any step. The decisions are the real cores'.
//!
//! The simulation goes far along few ways; this goes all ways of a small world.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cores;
mod model;
mod state;

use model::Saga;
use stateright::{Checker, Model};

fn check(saga: Saga) -> impl Checker<Saga> {
    let checker = saga.checker().threads(2).spawn_bfs().join();
    let (states, transitions) = (checker.unique_state_count(), checker.state_count());
    println!("{saga:?}: {states} states, {transitions} transitions, {} deep", checker.max_depth());
    checker
}

const SOUND: Saga = Saga {
    crashes: 0,
    repeats: 0,
    calls_off: false,
    expires: 0,
    bad_card: false,
    guard: true,
    keyed: true,
    looks: true,
};

fn holds(saga: Saga) {
    let checker = check(saga);
    assert!(checker.is_done(), "not every state was seen");
    checker.assert_properties();
}

#[test]
fn two_crashes_at_any_steps_change_nothing() {
    holds(Saga { crashes: 2, bad_card: true, ..SOUND });
}

#[test]
fn a_buyer_may_change_their_mind_around_a_crash_and_a_message_that_comes_again() {
    holds(Saga { crashes: 1, repeats: 1, calls_off: true, ..SOUND });
}

#[test]
fn a_deadline_may_pass_at_any_moment_around_a_crash() {
    holds(Saga { crashes: 1, expires: 1, ..SOUND });
}

#[test]
fn without_the_guard_of_versions_two_writers_fork() {
    check(Saga { guard: false, expires: 1, ..SOUND }).assert_any_discovery("versions are contiguous");
}

#[test]
fn without_a_key_of_its_own_an_order_is_charged_twice() {
    check(Saga { keyed: false, crashes: 1, ..SOUND }).assert_any_discovery("an order is charged once");
}

#[test]
fn who_does_nothing_on_old_news_loses_what_comes() {
    let checker = check(Saga { calls_off: true, looks: false, ..SOUND });
    checker.assert_any_discovery("whoever rests, rests well");
}
