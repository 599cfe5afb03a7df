//! What a load may be, and what its seed decides.

use std::{collections::BTreeMap, time::Duration};

use rand::{SeedableRng, rngs::StdRng};

use super::load;
use crate::clients::{
    Journey, Load,
    plan::{Deed, Plan},
    visit::grace,
    world::next_look,
};

fn plans(load: &Load, seed: u64) -> Vec<Plan> {
    (0..4_000).map(|number| Plan::new(load, &mut StdRng::seed_from_u64(seed * 10_000 + number))).collect()
}

#[test]
fn the_same_seed_decides_the_same() {
    let load = load("orders", "");
    assert_eq!(plans(&load, 1), plans(&load, 1));
    assert_ne!(plans(&load, 1), plans(&load, 2));
}

#[test]
fn shares_are_as_the_load_says() {
    let load = load("orders", "buyers = 3\nproducts = 2\npayments = { tok_visa = 3, tok_slow = 1 }");
    let plans = plans(&load, 1);
    let share =
        |is: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| is(plan)).count() as f64 / plans.len() as f64;
    let about = |found: f64, wanted: f64| assert!((found - wanted).abs() < 0.03, "{found} for {wanted}");
    about(share(&|plan| plan.payment == "tok_visa"), 0.75);
    about(share(&|plan| plan.at_once), load.repeat_at_once);
    about(share(&|plan| plan.again_after.is_some()), load.repeat_later);
    about(share(&|plan| plan.other_body), load.other_body);
    about(share(&|plan| plan.deed == Deed::Cancel(0)), load.cancel_now);
    about(share(&|plan| matches!(plan.deed, Deed::Cancel(1..))), load.cancel_later);
    about(share(&|plan| matches!(plan.deed, Deed::Refund(_))), load.refund);
    about(share(&|plan| plan.deed == Deed::Read), load.read);
    about(share(&|plan| plan.follow.is_some()), load.streams);
    about(share(&|plan| plan.follow.as_ref().is_some_and(|follow| follow.after == 0)), load.streams / 2.0);
    let mut lines: BTreeMap<usize, usize> = BTreeMap::new();
    for plan in &plans {
        *lines.entry(plan.lines.len()).or_default() += 1;
        assert!(plan.buyer < 3);
        let mut products: Vec<_> = plan.lines.iter().map(|(product, _)| *product).collect();
        products.sort_unstable();
        products.dedup();
        assert_eq!(products.len(), plan.lines.len(), "each product once");
        assert!(plan.lines.iter().all(|(product, pieces)| *product < 2 && (1..=3).contains(pieces)));
    }
    assert_eq!(lines.keys().copied().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_load_is_what_an_experiment_says_and_defaults() {
    let load = load("same_key", "at_once = 7\ntimeout = \"1500ms\"\npatience = \"2m\"");
    assert_eq!((load.journey, load.at_once()), (Journey::SameKey, 7));
    assert_eq!((load.timeout, load.patience), (Duration::from_millis(1_500), Duration::from_secs(120)));
    assert_eq!(super::load("last_pieces", "").at_once(), 200);
    assert_eq!(super::load("same_key", "").at_once(), 100);
    for journey in ["orders", "same_key", "last_pieces", "streams"] {
        let load = super::load(journey, "");
        load.check().unwrap();
        let written = serde_json::to_string(&load).unwrap();
        assert_eq!(serde_json::from_str::<Load>(&written).unwrap(), load, "{written}");
    }
}

#[test]
fn a_load_that_cannot_be_says_which_field() {
    let unreadable = |text: &str| toml::from_str::<Load>(text).unwrap_err().to_string();
    assert!(unreadable("journey = \"orders\"\nproduct = 3").contains("unknown field `product`"));
    assert!(unreadable("rate = 3.0").contains("missing field `journey`"));
    assert!(unreadable("journey = \"browse\"").contains("unknown variant `browse`"));
    assert!(unreadable("journey = \"orders\"\ntimeout = \"soon\"").contains("\"soon\" is not a duration"));
    assert!(unreadable("journey = \"orders\"\ntimeout = \"-1s\"").contains("less than nothing"));
    for (fields, field) in [
        ("rate = 0.0", "rate"),
        ("rate = nan", "rate"),
        ("rate = 10001.0", "rate"),
        ("products = 0", "products"),
        ("stock = 0", "stock"),
        ("buyers = 1001", "buyers"),
        ("at_once = 1", "at_once"),
        ("rounds = 0", "rounds"),
        ("pieces = 0", "pieces"),
        ("watchers = 20001", "watchers"),
        ("watchers_per_order = 0", "watchers_per_order"),
        ("connections = 0", "connections"),
        ("visits = 0", "visits"),
        ("streams = 1.1", "streams"),
        ("slow_readers = -0.1", "slow_readers"),
        ("refund = 0.9", "read"),
        ("payments = {}", "payments"),
        ("payments = { tok_visa = -1.0, tok_slow = 2.0 }", "payments"),
        ("timeout = \"0s\"", "timeout"),
        ("patience = \"2h\"", "patience"),
    ] {
        let bad = load("orders", fields).check().unwrap_err();
        assert_eq!(bad.field, field, "{fields}");
        assert!(bad.to_string().starts_with(&format!("[load] {field} is ")), "{bad}");
    }
}

#[test]
fn visits_may_go_on_for_longer_than_a_request_takes() {
    let load = load("orders", "timeout = \"10s\"");
    assert!(grace(&load) > load.timeout);
}

#[test]
fn whoever_has_waited_for_long_looks_less_often() {
    let (mut waited, mut pause, mut looks) = (Duration::ZERO, Duration::from_millis(100), Vec::new());
    while waited < Duration::from_secs(60) {
        waited += pause;
        looks.push(waited);
        pause = next_look(pause, waited);
    }
    let until = |seconds| looks.iter().filter(|look| **look < Duration::from_secs(seconds)).count();
    assert!((5..=6).contains(&until(2)), "as soon as ever: {looks:?}");
    assert!(until(60) <= 25, "{}", looks.len());
}
