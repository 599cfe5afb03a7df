//! The pure part: pauses and policies.

use proptest::prelude::*;
use viscount_actors::*;

use crate::house::*;

proptest! {
    #[test]
    fn a_pause_lies_between_half_the_base_and_the_cap(
        base in 1u64..10_000, cap in 1u64..100_000, attempt in 0u32..200, draw in 0.0f64..=1.0,
    ) {
        let backoff = Backoff { base: millis(base), cap: millis(cap) };
        let pause = backoff.spread(attempt, draw);
        prop_assert!(pause <= backoff.cap);
        prop_assert!(pause >= (backoff.base / 2).min(backoff.cap));
        prop_assert!(pause <= backoff.spread(attempt + 1, draw), "later pauses are not shorter");
        prop_assert!(backoff.delay(attempt) <= backoff.cap);
    }
}

#[test]
fn the_ceiling_doubles_up_to_the_cap() {
    let backoff = Backoff { base: millis(50), cap: millis(300) };
    let ceilings: Vec<u128> = (0..5).map(|attempt| backoff.spread(attempt, 1.0).as_millis()).collect();
    assert_eq!(ceilings, [50, 100, 200, 300, 300]);
}

#[test]
fn pauses_are_spread() {
    let backoff = Backoff { base: seconds(1), cap: seconds(60) };
    let pauses: std::collections::HashSet<_> = (0..100).map(|_| backoff.delay(3)).collect();
    assert!(pauses.len() > 90, "only {} different ones", pauses.len());
}

#[test]
fn each_policy_knows_which_ends_it_answers() {
    let panicked = Exit::Panicked { message: "boom".into(), during: "handler" };
    let table = [
        (Exit::Normal, [true, false, false]),
        (Exit::Passivated, [true, false, false]),
        (panicked, [true, true, false]),
        (Exit::Failed("x".into()), [true, true, false]),
        (Exit::Escalated("x".into()), [true, true, false]),
        (Exit::Stopped, [false, false, false]),
    ];
    for (exit, wanted) in table {
        let policies = [Restart::Permanent, Restart::Transient, Restart::Temporary];
        assert_eq!(policies.map(|restart| restart.wants(&exit)), wanted, "{exit}");
        assert_eq!(exit.is_failure(), wanted[1], "{exit}");
    }
}

#[test]
fn an_exit_can_be_read_by_people_and_machines() {
    let exit = Exit::Panicked { message: "boom".into(), during: "load" };
    assert_eq!(exit.to_string(), "panicked during load: boom");
    assert_eq!(
        serde_json::to_value(&exit).unwrap(),
        serde_json::json!({ "kind": "panicked", "detail": { "message": "boom", "during": "load" } })
    );
    assert_eq!(serde_json::to_value(Exit::Normal).unwrap(), serde_json::json!({ "kind": "normal" }));
}
