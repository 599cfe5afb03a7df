#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use proptest::prelude::*;

use super::{Action, Experiment, Step};
use crate::platform::Engine;

const WHOLE: &str = r#"
    name = "everything"
    about = "One of each."
    seconds = 300
    settle = 60
    quick = { seconds = 60, repeat = 2, load = { rate = 20.0 } }

    [platform]
    failpoints = true
    volume = 256
    replicas = { payments = 2 }
    variables = { VISCOUNT_FAULTS = "1" }

    [load]
    journey = "orders"
    rate = 60.0
    products = 7

    [[fault]]
    do = "kill"
    parts = ["services"]
    every = "5s"
    jitter = 0.5
    times = 20
    down = "1s"

    [[fault]]
    do = "pause"
    parts = ["orders", "postgres"]
    at = "10s"
    every = "20s"
    for = "2s"

    [[fault]]
    do = "restart"
    parts = ["inventory"]
    every = "10s"
    times = 5

    [[fault]]
    do = "restart_postgres"
    at = "100s"
    every = "30s"
    times = 3
    down = "1s"

    [[fault]]
    do = "failpoint"
    parts = ["payments"]
    points = ["payments.before-provider", "payments.after-provider", "store.after-commit"]
    passes = 5
    every = "30s"
    for = "10s"

    [[fault]]
    do = "weather"
    link = "postgres"
    at = "20s"
    for = "10s"
    weather = { delay = { ms = 50, jitter_ms = 20 } }

    [[fault]]
    do = "weather"
    links = ["orders", "broker-1"]
    at = "25s"
    for = "10s"
    weather = "black_hole"

    [[fault]]
    do = "cut"
    links = ["gateway-1"]
    every = "10s"

    [[fault]]
    do = "disk_full"
    parts = ["postgres"]
    at = "200s"
    for = "30s"

    [[fault]]
    do = "clock"
    parts = ["services"]
    shift = "-10m"
    at = "50s"
    for = "60s"

    [[fault]]
    do = "repeat_events"
    topics = ["orders.events.v1", "payments.events.v1"]
    copies = 9
    at = "250s"

    [[fault]]
    do = "poison"
    topic = "inventory.events.v1"
    poison = "garbage"
    count = 3
    at = "40s"

    [[fault]]
    do = "provider"
    provider = { lose_answer = 0.2 }
    at = "60s"
    for = "30s"

    [[fault]]
    do = "faults"
    service = "orders"
    fault = { kind = "panic", actor = "order", every = 50 }
    at = "60s"
    for = "30s"

    [[fault]]
    do = "refuse_rows"
    database = "order_db"
    table = "orders"
    check = "status <> 'validated' or right(customer_id::text, 1) <> 'a'"
    at = "100s"
    for = "20s"

    [[fault]]
    do = "rebalance"
    parts = ["orders"]
    every = "40s"
    for = "8s"

    [holds]
    all_final_within = "60s"
    max_unknown_share = 0.02
    each_failpoint_hit = true
    exactly_sold = 10
"#;

fn load(text: &str) -> Result<Experiment, String> {
    Experiment::load("test.toml", text).map_err(|error| error.to_string())
}

/// An experiment with this fault, and more lines in its head.
fn with(head: &str, fault: &str) -> Result<Experiment, String> {
    load(&format!(
        "name = 'x'\nabout = 'x'\nseconds = 60\nsettle = 10\nload = {{ journey = 'orders' }}\n{head}\n[[fault]]\n{fault}"
    ))
}

/// The steps that an experiment's fault has, in all.
fn of_fault(steps: &[Step], number: usize) -> usize {
    steps.iter().filter(|step| step.fault == number).count()
}

/// A schedule's rules.
fn is_sound(experiment: &Experiment, steps: &[Step]) {
    let mut busy: HashMap<String, Duration> = HashMap::new();
    let mut before = Duration::ZERO;
    for step in steps {
        assert!(step.at >= before, "steps come by begin");
        before = step.at;
        assert!(step.at + step.action.length() <= experiment.length, "{step:?} ends after the run");
        if let Some(what) = step.action.holds() {
            let free = busy.insert(what.clone(), step.at + step.action.length()).unwrap_or_default();
            assert!(free <= step.at, "{what} is met by {step:?} while it is busy until {free:?}");
        }
        if step.action.holds().is_some_and(|what| !what.contains(' ') && what != "provider") {
            assert!(experiment.resolve(step.action.target()).is_ok(), "{step:?}");
        }
    }
}

#[test]
fn an_experiment_with_everything_is_read_and_has_a_schedule() {
    let experiment = load(WHOLE).unwrap();
    assert_eq!(experiment.length, Duration::from_secs(300));
    assert_eq!(experiment.resolve("payments").unwrap(), ["payments-1", "payments-2"]);
    let steps = experiment.schedule(7).unwrap();
    is_sound(&experiment, &steps);
    assert_eq!(of_fault(&steps, 0), 20, "`times` is kept");
    assert_eq!(of_fault(&steps, 4), 3, "each point has its turn");
    assert_eq!(of_fault(&steps, 6), 3, "orders' two replicas and the broker");
    assert_eq!(of_fault(&steps, 7), 30, "as often as it fits");
    let parts: Vec<&str> =
        steps.iter().filter(|step| step.fault == 2).map(|step| step.action.target()).collect();
    assert_eq!(parts, ["inventory-1", "inventory-2", "inventory-1", "inventory-2", "inventory-1"]);
    let kinds: Vec<_> = steps.iter().filter(|s| s.fault == 15).map(|s| s.action.name()).collect();
    assert!(kinds.iter().all(|kind| ["restart", "pause"].contains(kind)), "{kinds:?}");
    let json = serde_json::to_string(&steps).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Step>>(&json).unwrap(), steps);
}

#[test]
fn the_same_seed_gives_the_same_steps_and_another_one_others() {
    let experiment = load(WHOLE).unwrap();
    assert_eq!(experiment.schedule(1).unwrap(), experiment.schedule(1).unwrap());
    assert_ne!(experiment.schedule(1).unwrap(), experiment.schedule(2).unwrap());
}

#[test]
fn what_a_fault_does_by_chance_is_its_own() {
    let kills = "do = 'kill'\nparts = ['orders']\nevery = '4s'\njitter = 1.0\ntimes = 9";
    let alone = with("", kills).unwrap().schedule(3).unwrap();
    let cuts = format!("{kills}\n[[fault]]\ndo = 'cut'\nlink = 'postgres'\nevery = '1s'\njitter = 0.3");
    let beside = with("", &cuts).unwrap().schedule(3).unwrap();
    let beside: Vec<Step> = beside.into_iter().filter(|step| step.fault == 0).collect();
    assert_eq!(alone, beside);
}

#[test]
fn a_scaled_down_experiment_is_shorter_and_repeats_less() {
    let quick = load(WHOLE).unwrap().scaled_down().unwrap().unwrap();
    assert_eq!((quick.length.as_secs(), quick.settle.as_secs()), (60, 60));
    assert_eq!((quick.load.rate, quick.load.products), (20.0, 7), "what is not said differently stays");
    let steps = quick.schedule(1).unwrap();
    is_sound(&quick, &steps);
    assert_eq!(of_fault(&steps, 0), 2);
    let provider = steps.iter().find(|step| step.fault == 12).unwrap();
    assert_eq!((provider.at.as_secs(), provider.action.length().as_secs()), (12, 6));
    let down = steps.iter().find(|step| step.fault == 0).unwrap();
    assert_eq!(down.action.length(), Duration::from_secs(1), "how long a process is down stays");
}

#[test]
fn a_fault_waits_until_whom_it_meets_is_free() {
    let text = "do = 'pause'\nparts = ['orders-1']\nfor = '10s'\n[[fault]]\n\
                do = 'kill'\nparts = ['orders-1']\nat = '5s'\ndown = '1s'";
    let steps = with("", text).unwrap().schedule(0).unwrap();
    assert_eq!(steps[1].at, Duration::from_millis(10_100));
    let other = text.replace("'orders-1']\nat", "'orders']\npick = 'turn'\nat");
    let steps = with("", &other).unwrap().schedule(0).unwrap();
    assert_eq!((steps[1].at.as_secs(), steps[1].action.target()), (5, "orders-2"));
}

#[test]
fn a_fault_may_take_one_at_a_time() {
    for (written, is_meant) in [("", false), ("\none_at_a_time = true", true)] {
        let text = format!("do = 'restart'\nparts = ['orders']\nevery = '5s'\ntimes = 2{written}");
        let steps = with("", &text).unwrap().schedule(0).unwrap();
        assert!(steps.len() == 2 && steps.iter().all(|step| step.one_at_a_time == is_meant), "{steps:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_place() {
    for (fault, place, problem) in [
        ("do = 'explode'", "fault 1 (explode)", "none of: kill"),
        ("do = 'kill'", "fault 1 (kill)", "`parts` is missing"),
        ("do = 'kill'\nparts = []", "fault 1 (kill)", "it names nobody"),
        (
            "do = 'kill'\nparts = ['ordres']",
            "fault 1 (kill)",
            "there is no part ordres; there are: broker, broker-1",
        ),
        ("do = 'kill'\nparts = ['orders-3']", "fault 1 (kill)", "there is no part orders-3"),
        (
            "do = 'restart_postgres'\none_at_a_time = true",
            "fault 1 (restart_postgres)",
            "`one_at_a_time` does not go with restart_postgres",
        ),
        ("do = 'kill'\nparts = ['orders']\nfor = '1s'", "fault 1 (kill)", "`for` does not go with kill"),
        (
            "do = 'kill'\nparts = ['orders']\nweather = 'clear'",
            "fault 1 (kill)",
            "`weather` does not go with kill",
        ),
        ("do = 'kill'\nparts = ['orders']\nwhen = '1s'", "line 10", "unknown field `when`"),
        ("do = 'kill'\nparts = ['orders']\ntimes = 3", "fault 1 (kill)", "`every` is missing"),
        ("do = 'kill'\nparts = ['orders']\njitter = 0.5", "fault 1 (kill)", "share of `every`"),
        ("do = 'kill'\nparts = ['orders']\nevery = '1s'\njitter = 1.5", "fault 1 (kill)", "between 0 and 1"),
        ("do = 'kill'\nparts = ['orders']\nevery = '1ms'", "fault 1 (kill)", "at least 10ms"),
        ("do = 'kill'\nparts = ['orders']\nevery = '1 second'", "line 10", "times are written 250ms"),
        ("do = 'kill'\nparts = ['orders']\nevery = '1s'\ntimes = 0", "fault 1 (kill)", "at least 1"),
        (
            "do = 'kill'\nparts = ['orders']\nevery = '10s'\ntimes = 9",
            "fault 1 (kill)",
            "room for 6 in 60 seconds",
        ),
        (
            "do = 'kill'\nparts = ['orders-1']\nevery = '1s'\ntimes = 40\ndown = '3s'",
            "fault 1 (kill)",
            "busy for too long",
        ),
        ("do = 'pause'\nparts = ['orders']", "fault 1 (pause)", "`for` is missing"),
        ("do = 'pause'\nparts = ['orders']\nat = '55s'\nfor = '10s'", "fault 1 (pause)", "end after the run"),
        ("do = 'weather'\nfor = '1s'\nweather = 'clear'", "fault 1 (weather)", "`link` is missing"),
        (
            "do = 'weather'\nlink = 'x'\nlinks = ['y']\nfor = '1s'\nweather = 'clear'",
            "fault 1 (weather)",
            "only one",
        ),
        (
            "do = 'weather'\nlink = 'broker-2'\nfor = '1s'\nweather = 'clear'",
            "fault 1 (weather)",
            "no part broker-2",
        ),
        (
            "do = 'weather'\nlink = 'postgres'\nfor = '1s'\nweather = 'rain'",
            "line 11",
            "unknown variant `rain`",
        ),
        (
            "do = 'weather'\nlink = 'postgres'\nfor = '1s'\nweather = { delay = { ms = 1, jitter_ms = 2 } }",
            "fault 1 (weather)",
            "jitter_ms is larger",
        ),
        (
            "do = 'failpoint'\nparts = ['orders']\npoints = ['a.b']",
            "fault 1 (failpoint)",
            "failpoints = true",
        ),
        ("do = 'disk_full'\nparts = ['orders']\nfor = '1s'", "fault 1 (disk_full)", "no disk of its own"),
        (
            "do = 'clock'\nparts = ['orders']\nshift = '10'\nfor = '1s'",
            "fault 1 (clock)",
            "shifts are written",
        ),
        ("do = 'clock'\nparts = ['orders']\nshift = '48h'\nfor = '1s'", "fault 1 (clock)", "at most a day"),
        (
            "do = 'repeat_events'\ntopics = ['orders']\ncopies = 2",
            "fault 1 (repeat_events)",
            "`orders` is none of: catalog.events.v1",
        ),
        (
            "do = 'repeat_events'\ntopics = ['orders.events.v1']\ncopies = 0",
            "fault 1 (repeat_events)",
            "`copies` lies",
        ),
        (
            "do = 'poison'\ntopic = 'identity.events.v1'\npoison = 'garbage'",
            "fault 1 (poison)",
            "nobody would refuse it",
        ),
        (
            "do = 'poison'\ntopic = 'orders.events.v1'\npoison = 'stranger'",
            "fault 1 (poison)",
            "only on inventory",
        ),
        (
            "do = 'refuse_rows'\ndatabase = 'a'\ntable = 'b; drop'\ncheck = 'c'\nfor = '1s'",
            "fault 1 (refuse_rows)",
            "are names",
        ),
        ("do = 'provider'\nprovider = {}\nfor = '1s'", "fault 1 (provider)", "nothing that goes wrong"),
        (
            "do = 'provider'\nprovider = { fail_before = 2.0 }\nfor = '1s'",
            "fault 1 (provider)",
            "between 0 and 1",
        ),
        (
            "do = 'faults'\nservice = 'shop'\nfault = { kind = 'panic' }\nfor = '1s'",
            "fault 1 (faults)",
            "no service `shop`",
        ),
        (
            "do = 'faults'\nservice = 'orders'\nfault = { kind = 'odd' }\nfor = '1s'",
            "fault 1 (faults)",
            "`fault.kind` is none of",
        ),
        (
            "do = 'rebalance'\nparts = ['orders']\nevery = '10s'\nfor = '6s'",
            "fault 1 (rebalance)",
            "not longer than a group waits",
        ),
        (
            "do = 'cut'\nlink = 'postgres'\n[holds]\nmax_loss = 1",
            "[holds]",
            "`max_loss` is none of: accepted_min",
        ),
        (
            "do = 'cut'\nlink = 'postgres'\n[holds]\nall_final_within = 60",
            "[holds]",
            "`all_final_within`: is a time",
        ),
        ("do = 'cut'\nlink = 'postgres'\n[holds]\nonly_retriable = false", "[holds]", "can only be true"),
    ] {
        let error = with("", fault).map(|_| "nothing").expect_err(fault);
        assert!(error.contains(place) && error.contains(problem), "{fault}\n  {error}");
    }
    let load = |text: &str| {
        let text = format!("name = 'x'\nabout = 'x'\nseconds = 1\nsettle = 1\nload = {text}");
        Experiment::load("test.toml", &text).unwrap_err().to_string()
    };
    assert!(load("{}").contains("[load]: missing field `journey`"), "{}", load("{}"));
    assert!(load("{ journey = 'orders', rate = -1.0 }").contains("rate is -1"));
    for (head, place, problem) in [
        ("platform = { brokers = 2 }", "[platform]", "1 or 3 brokers, not 2"),
        ("platform = { replicas = { orders = 9 } }", "[platform]", "1 to 4"),
        ("platform = { replicas = { gateway = 2 } }", "[platform]", "1 to 1"),
        ("platform = { own = { 'orders-7' = { A = 'b' } } }", "[platform]", "orders-7"),
        ("platform = { engine = 'embedded', replicas = { orders = 2 } }", "[platform]", "one process"),
        ("quick = { seconds = 600 }", "quick", "those of the whole"),
        ("colour = 'red'", "line 6", "unknown field `colour`"),
    ] {
        let error = with(head, "do = 'cut'\nlink = 'postgres'").map(|_| "nothing").expect_err(head);
        assert!(error.contains(place) && error.contains(problem), "{head}\n  {error}");
    }
}

#[test]
fn what_needs_brokers_is_refused_on_the_embedded_engine() {
    let kill = with("platform = { engine = 'embedded' }", "do = 'kill'\nparts = ['services']").unwrap();
    assert_eq!(kill.schedule(0).unwrap()[0].action.target(), "platform-1");
    let error = load(WHOLE).unwrap().on(Engine::Embedded).unwrap_err().to_string();
    assert!(error.contains("everything: "), "{error}");
    let events = "do = 'repeat_events'\ntopics = ['orders.events.v1']\ncopies = 2";
    let error = with("", events).unwrap().on(Engine::Embedded).unwrap_err().to_string();
    assert!(error.contains("it needs brokers"), "{error}");
}

#[test]
fn expectations_hold_by_their_bounds_and_not_without_a_figure() {
    let holds = load(WHOLE).unwrap().holds;
    let figures = [("all_final_within", 60.0), ("max_unknown_share", 0.03), ("each_failpoint_hit", 1.0)];
    let measured: BTreeMap<String, f64> =
        figures.into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect();
    let judged = holds.judge(&measured);
    let verdicts: BTreeMap<&str, bool> =
        judged.iter().map(|judged| (judged.name.as_str(), judged.holds)).collect();
    assert_eq!(
        verdicts,
        BTreeMap::from([
            ("all_final_within", true),
            ("max_unknown_share", false),
            ("each_failpoint_hit", true),
            ("exactly_sold", false),
        ])
    );
    let sold = judged.iter().find(|judged| judged.name == "exactly_sold").unwrap();
    assert_eq!((sold.measured_words(), sold.expected_words()), ("not measured".to_owned(), "10".to_owned()));
}

#[test]
fn a_length_can_be_given() {
    let longer = load(WHOLE).unwrap().with_length(Duration::from_secs(600)).unwrap();
    let steps = longer.schedule(1).unwrap();
    is_sound(&longer, &steps);
    assert_eq!(of_fault(&steps, 0), 20);
}

/// A tenth of the whole.
const BOUNDS: &str = "quick = { seconds = 6, holds = { accepted_min = 50, dead_letters_min = 2 } }";
const HOLDS: &str =
    "[holds]\naccepted_min = 1000\nprocess_starts_min = 30\ndead_letters_min = 40\nall_final_within = '60s'";

#[test]
fn a_shorter_load_has_bounds_of_its_own_or_in_proportion() {
    let fault = format!("do = 'cut'\nlink = 'postgres'\n{HOLDS}");
    let whole = with(BOUNDS, &fault).unwrap();
    let bounds = |experiment: &Experiment| {
        ["accepted_min", "process_starts_min", "dead_letters_min", "all_final_within"]
            .map(|name| experiment.holds.bound(name).unwrap())
    };
    assert_eq!(bounds(&whole), [1_000.0, 30.0, 40.0, 60.0]);
    assert_eq!(bounds(&whole.scaled_down().unwrap().unwrap()), [50.0, 3.0, 2.0, 60.0]);
    let shorter = whole.with_length(Duration::from_secs(30)).unwrap();
    assert_eq!(bounds(&shorter), [500.0, 15.0, 40.0, 60.0], "messages are as many however long it takes");
    let longer = whole.with_length(Duration::from_secs(600)).unwrap();
    assert_eq!(bounds(&longer), [1_000.0, 30.0, 40.0, 60.0], "faults are no more");
    let error = with("quick = { seconds = 6, holds = { max_loss = 1 } }", &fault).unwrap_err();
    assert!(error.contains("quick") && error.contains("`max_loss` is none of"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the numbers: a schedule that there is keeps its rules, and `times`.
    #[test]
    fn schedules_keep_their_rules(
        seed in any::<u64>(),
        kills in 1u32..40,
        every in 200u64..4_000,
        down in 0u64..3_000,
        jitter in 0.0f64..1.0,
        pauses in 1u32..10,
        pick in prop::sample::select(vec!["random", "turn", "all"]),
        with_points in any::<bool>(),
    ) {
        let point = if with_points {
            "[[fault]]\ndo = 'failpoint'\nparts = ['orders']\npoints = ['a.b', 'c.d']\nevery = '20s'\nfor = '3s'\npasses = 9"
        } else {
            ""
        };
        let faults = format!(
            "do = 'kill'\nparts = ['services']\npick = '{pick}'\nevery = '{every}ms'\njitter = {jitter:.3}\ntimes = {kills}\n\
             down = '{down}ms'\n[[fault]]\ndo = 'pause'\nparts = ['orders', 'payments-1']\nevery = '5s'\ntimes = {pauses}\n\
             for = '1500ms'\n{point}"
        );
        // What does not fit is refused, and nothing is left out in silence.
        let Ok(experiment) = with("platform = { failpoints = true }", &faults) else { return Ok(()) };
        let Ok(steps) = experiment.schedule(seed) else { return Ok(()) };
        is_sound(&experiment, &steps);
        prop_assert_eq!(&steps, &experiment.schedule(seed).unwrap());
        let each = if pick == "all" { experiment.resolve("services").unwrap().len() } else { 1 };
        prop_assert_eq!(of_fault(&steps, 0), kills as usize * each);
        prop_assert_eq!(of_fault(&steps, 1), pauses as usize);
        for step in &steps {
            if let Action::Failpoint { passes, .. } = step.action {
                prop_assert!(passes <= 9);
            }
        }
    }
}
