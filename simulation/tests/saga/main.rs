//! The order saga, checked in every interleaving: two orders, one piece of stock, two replicas of orders and two of
//! inventory, messages that come at least once, a crash at any step. The decisions are the real cores'.
//!
//! The simulation goes far along few ways; this goes all ways of a small world.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cores;
mod model;
mod state;

use std::time::Duration;

use model::Saga;
use stateright::{Checker, Model};

fn check(saga: Saga) -> impl Checker<Saga> {
    let checker = saga.checker().threads(2).timeout(Duration::from_secs(55)).spawn_bfs().join();
    let (states, transitions) = (checker.unique_state_count(), checker.state_count());
    println!("{saga:?}: {states} states, {transitions} transitions, {} deep", checker.max_depth());
    checker
}

#[test]
fn the_saga_holds_in_every_interleaving() {
    let checker = check(Saga { crashes: 1, repeats: 1, calls_off: true, expires: false, guard: true, keyed: true });
    assert!(checker.unique_state_count() > 10_000, "else it would say little");
    checker.assert_properties();
}

#[test]
fn deadlines_may_pass_at_any_moment() {
    let checker = check(Saga { crashes: 1, repeats: 0, calls_off: false, expires: true, guard: true, keyed: true });
    checker.assert_properties();
}

#[test]
fn without_the_guard_of_versions_two_writers_fork() {
    let checker = check(Saga { crashes: 0, repeats: 0, calls_off: true, expires: false, guard: false, keyed: true });
    let path = checker.assert_any_discovery("versions are contiguous");
    assert!(path.into_actions().len() <= 12, "the shortest way to it");
}

#[test]
fn without_a_key_of_its_own_an_order_is_charged_twice() {
    let checker = check(Saga { crashes: 0, repeats: 0, calls_off: false, expires: false, guard: true, keyed: false });
    checker.assert_any_discovery("an order is charged once");
}
