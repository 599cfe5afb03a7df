#![allow(clippy::unwrap_used, clippy::expect_used)]

use jiff::Timestamp;
use uuid::Uuid;

use super::{Course, Machine, Report, Row, Run, Totals, Verdict, page, table, timeline, write};
use crate::{
    audit::{EventRef, Promise, Violation},
    experiment::{Bound, Expectation, Unit},
    faults::{Happened, Outcome},
    history::Second,
};

fn second(second: u32, accepted: u32) -> Second {
    let p50_ms = if accepted > 0 { 12.0 } else { 0.0 };
    Second { second, accepted, refused: 1, p50_ms, p99_ms: p50_ms * 9.0, ..Second::default() }
}

fn fault(at: f64, until: f64, done: &str, target: &str, result: Outcome) -> Happened {
    Happened {
        at,
        until,
        begun: Timestamp::UNIX_EPOCH,
        ended: Timestamp::UNIX_EPOCH,
        fault: 0,
        done: done.to_owned(),
        target: target.to_owned(),
        what: format!("{done} of {target}"),
        result,
        note: "so it said <here>".to_owned(),
    }
}

fn expectation(name: &str, expected: f64, measured: Option<f64>, holds: bool) -> Expectation {
    let about = "orders & more".to_owned();
    let (bound, unit) = (Bound::AtMost, Unit::Seconds);
    Expectation { name: name.to_owned(), about, bound, unit, expected, measured, holds }
}

fn course(name: &str, verdict: Verdict) -> Course {
    let seconds: Vec<Second> =
        (0..60).map(|at| second(at, if (20..30).contains(&at) { 0 } else { 40 })).collect();
    let faults = vec![
        fault(20.0, 30.0, "weather", "postgres", Outcome::Done),
        fault(31.5, 33.2, "kill", "orders-1", Outcome::Done),
        fault(40.0, 41.0, "failpoint", "orders-2", Outcome::NotHit),
    ];
    Course {
        name: name.to_owned(),
        about: "what <is> it \"about\"?".to_owned(),
        verdict,
        not_run: None,
        expectations: vec![
            expectation("all_final_within", 60.0, Some(12.34), true),
            expectation("recovered_within", 5.0, None, false),
        ],
        violations: Vec::new(),
        troubles: Vec::new(),
        load_time: Some((Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH)),
        totals: Totals {
            planned: 4,
            accepted: 2_000,
            unknown: 3,
            events: 9_000,
            lines: 4_000,
            ..Totals::default()
        },
        figures: [("all_final_within".to_owned(), 12.34)].into(),
        timeline: timeline(&seconds, &[(33.4, 2), (70.0, 5)], &faults),
        faults,
    }
}

fn report() -> Report {
    let mut broken = course("broken", Verdict::Fails);
    broken.violations.push(Violation {
        promise: Promise::I1,
        order: Some(Uuid::nil()),
        what: "sold 11 of 10 <pieces>".to_owned(),
        events: vec![EventRef {
            service: "inventory".to_owned(),
            position: 77,
            version: 3,
            kind: "InventoryReserved".to_owned(),
        }],
        history: vec![5, 8],
    });
    broken.troubles.push("the load: stuck & gone".to_owned());
    let mut absent = course("absent", Verdict::NotRun);
    absent.not_run = Some("there is no libfaketime".to_owned());
    let machine = Machine { cores: 2, memory_mib: 4_096, kernel: "6.1".to_owned() };
    let run = Run {
        seed: 7,
        began: Timestamp::UNIX_EPOCH,
        version: "0.1.0".to_owned(),
        armed: Some("defect.guard=return".to_owned()),
        machine,
    };
    Report { run, experiments: vec![course("good", Verdict::Holds), broken, absent] }
}

/// Every tag that is opened is closed, in order; every attribute is in quotes.
fn is_well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let body = page.strip_prefix("<!doctype html>").expect("a doctype");
    for tag in body.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').unwrap_or_else(|| panic!("a < that opens nothing: {tag}"));
        assert!(!text.contains('>') || open.last() == Some(&"style"), "a > in text: {text}");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.split_whitespace().next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed), "closed before its time: {tag}"),
            None if tag.ends_with('/') || name == "meta" => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?} are never closed");
}

#[test]
fn the_page_is_well_formed_and_tells_everything() {
    let page = page(&report());
    is_well_formed(&page);
    for told in [
        "1 of 3 experiments hold. Seed 7; begun 1970-01-01 00:00:00 UTC",
        "<code>defect.guard=return</code>",
        "id=\"broken\"",
        "what &lt;is&gt; it &quot;about&quot;?",
        "<td class=\"n\">≤ 60.0 s</td><td class=\"n\">12.3 s</td>",
        "<td class=\"n\">≤ 5.0 s</td><td class=\"n\">not measured</td>",
        "sold 11 of 10 &lt;pieces&gt;",
        "<code>InventoryReserved</code> at position 77 of inventory, version 3",
        "history: <code>5, 8</code>",
        "the load: stuck &amp; gone",
        "Not run: there is no libfaketime",
        "The load went from 00:00:00 to 00:00:00 UTC.",
        "3/4 faults, 1 of them not as planned",
        "No promise was broken.",
        "<title>33 s: 2 actors restarted</title>",
        "<title>33 s: 1 processes started again</title>",
        "kill of orders-1 so it said &lt;here&gt;",
    ] {
        assert!(page.contains(told), "{told}");
    }
    for foreign in ["http://", "https://", "<script", "src="] {
        assert!(!page.contains(foreign), "{foreign}: the page needs nothing from elsewhere");
    }
}

#[test]
fn seconds_without_an_order_have_no_latency() {
    let page = page(&Report { experiments: vec![course("good", Verdict::Holds)], ..report() });
    let p99 = page.lines().find(|line| line.contains("stroke=\"var(--p99)\"")).unwrap();
    assert_eq!(p99.matches('M').count(), 2, "the curve is broken where nothing was accepted: {p99}");
}

#[test]
fn a_long_run_is_drawn_with_a_bounded_number_of_points() {
    let mut long = course("long", Verdict::Holds);
    let seconds: Vec<Second> = (0..7_200).map(|at| second(at, 10)).collect();
    long.faults = (0..900)
        .map(|n| fault(f64::from(n), f64::from(n) + 1.0, "kill", &format!("p-{}", n % 30), Outcome::Done))
        .collect();
    long.timeline = timeline(&seconds, &[], &long.faults);
    let page = page(&Report { experiments: vec![long], ..report() });
    is_well_formed(&page);
    let accepted = page.lines().find(|line| line.contains("stroke=\"var(--accepted)\"")).unwrap();
    assert!(accepted.matches('L').count() < 480);
    assert!(page.contains(">kill</text>") && !page.contains(">p-1</text>"), "too many parts become one lane");
}

#[test]
fn what_restarted_is_in_its_second() {
    let course = course("good", Verdict::Holds);
    let with = |of: fn(&Row) -> u64| {
        course.timeline.iter().filter(|row| of(row) > 0).map(|row| row.clients.second).collect::<Vec<_>>()
    };
    assert_eq!(with(|row| row.actor_restarts), [33]);
    assert_eq!(with(|row| row.process_starts), [33], "what did not die was not started");
}

#[test]
fn it_is_written_whole_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    write(&report(), folder.path()).unwrap();
    let json = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report());
    assert!(json.contains("\"accepted\": 40"), "seconds are told");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn the_table_says_what_was_missed() {
    let text = table(&report());
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert!(lines[0].ends_with("seed 7"), "{text}");
    assert!(
        lines[1]
            .starts_with("good                     holds        2000        0        3     3/4          0"),
        "{text}"
    );
    assert!(lines.contains(&"  recovered_within: not measured, expected ≤ 5.0 s"), "{text}");
    assert!(lines.contains(&"  I1: sold 11 of 10 <pieces>"), "{text}");
    assert!(lines.contains(&"absent                   not run  there is no libfaketime"), "{text}");
}
