//! Right and wrong profiles.

#![allow(clippy::unwrap_used)]

use super::*;

const GOOD: &str = r#"
about = "a test"
[[phase]]
name = "orders"
seconds = 10
open = { schedule = "poisson", rate = 100 }
[[phase.journey]]
steps = [
  { do = "browse", pages = 2 },
  { do = "think", seconds = [0.5, 2] },
  { do = "order" },
  { do = "retry" },
]
[phase.objectives]
"order.p99_ms" = 50
"#;

fn error(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    parse("t", &GOOD.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn a_good_profile_is_read() {
    let profile = parse("t", GOOD).unwrap();
    let phase = &profile.phases[0];
    assert_eq!(
        phase.load,
        Load::Open { shape: Shape::Flat { rate: 100.0 }, unit: Rate::PerSecond, even: false }
    );
    assert_eq!(phase.journeys[0].steps[1], Step::Think { least: 0.5, most: 2.0 });
    assert_eq!((phase.tries, phase.settle, phase.objectives["order.p99_ms"]), (1, true, 50.0));
    assert_eq!((profile.baskets.lines, profile.seed), ((1, 8), 1));
}

#[test]
fn an_unknown_step_is_told_with_its_place() {
    assert_eq!(
        error(r#"do = "order""#, r#"do = "ordr""#),
        "line 11: phase orders, journey 1, step 3: there is no step ordr; did you mean order? There are: browse, \
         search, product, order, hot, retry, cancel, refund, follow, login, me, history, think"
    );
    assert!(error(r#"do = "order""#, r#"does = "order""#).ends_with(r#"step 3: needs `do = "…"`"#));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (from, to, expected) in [
        ("pages = 2", "page = 2", "line 9: phase orders, journey 1, step 1 (browse): unknown field `page`"),
        ("pages = 2", "pages = -2", "line 9: phase orders, journey 1, step 1 (browse): invalid value"),
        (
            "pages = 2",
            "pages = 0",
            "line 9: phase orders, journey 1, step 1 (browse): pages: must be at least 1",
        ),
        (
            "do = \"order\"",
            "do = \"hot\", pieces = 0",
            "line 11: phase orders, journey 1, step 3 (hot): pieces: must be at least 1",
        ),
        (
            "do = \"order\"",
            "do = \"hot\", pieces = 2000000",
            "line 11: phase orders, journey 1, step 3 (hot): pieces: a line has at most",
        ),
        (
            "{ do = \"order\" }",
            "{ do = \"order\" }, { do = \"product\", times = 0 }",
            "step 4 (product): times: must be at least 1",
        ),
        (
            "seconds = 10\n",
            "seconds = 10\nsets_peak = true\nsettle = false\n",
            "line 3: phase orders: sets_peak: with `settle = false`",
        ),
        (
            "order.p99_ms",
            "ordr.p99_ms",
            "line 3: phase orders, objectives: ordr.p99_ms: there is no request ordr",
        ),
        ("[0.5, 2]", "[2, 0.5]", "line 10: phase orders, journey 1, step 2 (think): seconds: must be two"),
        (
            "poisson",
            "poison",
            "line 6: phase orders, open (poison): there is no schedule poison; did you mean",
        ),
        ("rate = 100", "rate = 0", "line 6: phase orders, open (poisson): rates must be above 0"),
        ("rate = 100", "speed = 100", "line 6: phase orders, open (poisson): unknown field `speed`"),
        ("rate = 100", "rate = 100, unit = \"x\"", "line 6: phase orders, open: unit: must be"),
        ("seconds = 10\n", "seconds = -1\n", "line 3: phase orders: seconds: must be above 0"),
        ("seconds = 10\n", "seconds = 1\nwarm_up = 1\n", "line 3: phase orders: warm_up: must be shorter"),
        ("seconds = 10\n", "secs = 10\n", "line 5: unknown field `secs`"),
        ("about", "abuot", "line 2: unknown field `abuot`"),
        ("open =", "closed = { clients = 1 }\nopen =", "line 3: phase orders: needs exactly one of"),
        (
            "{ do = \"order\" },",
            "",
            "line 12: phase orders, journey 1, step 3: no step before it places an order",
        ),
        ("about", "customers = 0\nabout", "line 2: customers: must be 1 to 10000"),
        ("about", "baskets = { lines = [3, 2] }\nabout", "line 2: baskets: lines: must be two numbers"),
    ] {
        let message = error(from, to);
        assert!(message.starts_with(expected) || message.contains(expected), "{to}: {message}");
    }
}

#[test]
fn two_phases_need_two_names() {
    let twice = format!("{GOOD}{}", &GOOD[GOOD.find("[[phase]]").unwrap()..]);
    assert!(parse("t", &twice).unwrap_err().to_string().contains("another phase of this name"));
}
