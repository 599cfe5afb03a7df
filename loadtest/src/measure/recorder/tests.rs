//! What is seen is written down as it should be.

#![allow(clippy::unwrap_used)]

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn begun(warm_up: Duration) -> (Rc<Recorder>, Instant) {
    let recorder = Recorder::new(warm_up);
    recorder.begin();
    let (began, _) = recorder.began().unwrap();
    (recorder, began)
}

fn problem(status: u16, kind: &str) -> Outcome<'_> {
    Outcome::Problem { status, kind, retry_after: None }
}

#[test]
fn nothing_counts_before_the_load_begins() {
    let recorder = Recorder::new(Duration::ZERO);
    let now = Instant::now();
    recorder.request("order", now, now, Outcome::Good(201));
    assert!(recorder.operations().is_empty() && recorder.seconds().is_empty());
}

#[test]
fn the_warm_up_is_left_out_by_the_intended_start() {
    let (recorder, began) = begun(2 * SECOND);
    let good = Outcome::Good(200);
    // Meant for the warm-up, and so slow that it ends long after it.
    recorder.request_at("browse", began + SECOND, began + SECOND, began + 5 * SECOND, good);
    recorder.request_at("browse", began + 2 * SECOND, began + 2 * SECOND, began + 2 * SECOND + MS, good);
    let operations = recorder.operations();
    let (name, browse) = &operations[0];
    assert_eq!((*name, browse.count, browse.good), ("browse", 1, 1));
    assert_eq!(browse.latency.max(), 1_000);
    drop(operations);
    let seconds = recorder.seconds();
    assert_eq!(seconds.iter().map(|second| second.started).sum::<u64>(), 2);
}

#[test]
fn latency_counts_from_the_intended_start_and_service_time_from_sending() {
    let (recorder, began) = begun(Duration::ZERO);
    recorder.request_at("order", began, began + 300 * MS, began + 310 * MS, Outcome::Good(201));
    let operations = recorder.operations();
    let (latency, service) =
        (Quantiles::of(&operations[0].1.latency), Quantiles::of(&operations[0].1.service));
    assert!((latency.max - 310.0).abs() < 1.0 && (service.max - 10.0).abs() < 0.1);
}

#[test]
fn outcomes_are_told_apart() {
    let (recorder, began) = begun(Duration::ZERO);
    let outcomes = [
        Outcome::Good(201),
        problem(409, "/problems/too-late"),
        problem(429, "/problems/rate-limited"),
        Outcome::Problem { status: 503, kind: "/problems/overloaded", retry_after: Some(SECOND) },
        Outcome::Broken("no answer"),
    ];
    for outcome in outcomes {
        recorder.request_at("order", began, began, began + 5 * MS, outcome);
    }
    let operations = recorder.operations();
    let order = &operations[0].1;
    assert_eq!((order.count, order.good, order.refused, order.refused_without_time), (5, 1, 2, 1));
    assert_eq!(order.problems.len(), 3);
    assert_eq!(order.broken["no answer"], 1);
    assert_eq!(
        (order.latency.len(), order.service.len(), order.refusal.len(), order.failure.len()),
        (2, 2, 2, 1),
        "refusals and failures have histograms of their own"
    );
    drop(operations);
    let second = recorder.seconds()[0].clone();
    assert_eq!((second.started, second.good, second.refused, second.failed), (5, 1, 2, 2));
}

#[test]
fn a_quick_failure_is_not_a_quick_answer() {
    let (recorder, began) = begun(Duration::ZERO);
    recorder.request_at("order", began, began, began + 80 * MS, Outcome::Good(201));
    for outcome in [Outcome::Broken("no connection"), problem(500, "/problems/internal"), problem(502, "x")] {
        recorder.request_at("order", began, began, began + MS, outcome);
    }
    recorder.not_begun(began, "too many under way");
    let operations = recorder.operations();
    let order = &operations[0].1;
    assert_eq!((order.latency.len(), order.failure.len()), (1, 3));
    let (name, arrival) = &operations[1];
    assert_eq!((*name, arrival.count, arrival.broken["too many under way"]), ("arrival", 1, 1));
    assert_eq!((arrival.latency.len(), arrival.failure.len()), (0, 0), "it took no time at all");
    drop(operations);
    let second = recorder.seconds()[0].clone();
    assert_eq!((second.started, second.failed), (4, 4));
    assert!(second.p50_ms >= 79.0, "{} ms", second.p50_ms);
}

#[test]
fn rates_count_what_ended_well_within_the_measured_time() {
    let (recorder, began) = begun(SECOND);
    let good = Outcome::Good(200);
    let browse = |from, to| recorder.request_at("browse", began + from, began + from, began + to, good);
    browse(Duration::ZERO, 500 * MS);
    browse(900 * MS, 1_100 * MS);
    browse(1_200 * MS, 1_300 * MS);
    recorder.seen.borrow_mut().ended = Some(began + 2 * SECOND);
    browse(1_900 * MS, 2_100 * MS);
    let operations = recorder.operations();
    let browse = &operations[0].1;
    assert_eq!((browse.good, browse.good_measured), (2, 2), "the second and third, not the third and fourth");
}

#[test]
fn every_second_has_its_own_percentiles() {
    let (recorder, began) = begun(Duration::ZERO);
    for (second, latency) in [(0, 10), (1, 200), (3, 30)] {
        let ended = began + second * SECOND + 500 * MS;
        recorder.request_at("search", ended - latency * MS, ended - latency * MS, ended, Outcome::Good(200));
    }
    let p50: Vec<u64> = recorder.seconds().iter().map(|second| second.p50_ms.round() as u64).collect();
    assert_eq!(p50, [10, 200, 0, 30]);
}

#[test]
fn a_server_cannot_fill_the_memory_with_names() {
    let mut counts = BTreeMap::new();
    for number in 0..1_000 {
        count(&mut counts, &format!("/problems/{number}"));
    }
    assert_eq!(counts.len(), KINDS + 1);
    assert_eq!(counts.values().sum::<u64>(), 1_000);
}
