//! Behaviour of guards and limiters, in paused time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::future::pending;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::time::{Instant, advance, timeout};

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A callee's answer: a value, or an HTTP-like status.
type Answer = Result<u32, u16>;

fn classify(answer: &Answer) -> Verdict {
    match answer {
        Ok(_) => Verdict::Success,
        Err(503) => Verdict::Retryable,
        Err(500) => Verdict::Failure,
        Err(_) => Verdict::Success,
    }
}

fn config() -> GuardConfig {
    GuardConfig {
        deadline: SECOND,
        breaker: BreakerConfig {
            consecutive_failures: 3,
            failure_rate: None,
            open_for: SECOND,
            open_at_most: 8 * SECOND,
        },
        ..GuardConfig::named("test")
    }
}

async fn answer(guard: &Guard, answer: Answer) -> Result<u32, CallError<u16>> {
    guard.call(false, || async { answer }, classify).await
}

async fn trip(guard: &Guard) {
    for _ in 0..3 {
        assert_eq!(answer(guard, Err(500)).await, Err(CallError::Inner(500)));
    }
    assert_eq!(guard.state(), BreakerState::Open);
}

fn nonzero(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_it_and_a_refusal_says_when_to_come_back() {
    let guard = Guard::new(config());
    trip(&guard).await;
    let refused = answer(&guard, Ok(1)).await.unwrap_err();
    assert!(refused.is_refusal());
    let CallError::Open { retry_after } = refused else { panic!("{refused}") };
    assert!(retry_after > Duration::ZERO && retry_after <= 2 * SECOND, "{retry_after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_healthy_refusal_never_opens_it() {
    let guard = Guard::new(config());
    for _ in 0..50 {
        assert_eq!(answer(&guard, Err(404)).await, Err(CallError::Inner(404)));
    }
    assert_eq!(guard.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn half_open_lets_exactly_one_of_fifty_through() {
    let guard = Arc::new(Guard::new(config()));
    trip(&guard).await;
    advance(3 * SECOND).await;
    assert_eq!(guard.state(), BreakerState::HalfOpen);

    let (sent, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let (guard, sent, go) = (guard.clone(), sent.clone(), go.clone());
            tokio::spawn(async move {
                let probe = || async {
                    sent.fetch_add(1, Ordering::SeqCst);
                    go.notified().await;
                    Ok(7)
                };
                guard.call(false, probe, classify).await
            })
        })
        .collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sent.load(Ordering::SeqCst), 1);
    go.notify_one();
    let results: Vec<_> = join_all(callers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(results.iter().filter(|result| matches!(result, Err(CallError::Open { .. }))).count(), 49);
    assert_eq!(guard.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_opens_it_for_longer_and_a_good_one_forgets_that() {
    let guard = Guard::new(config());
    trip(&guard).await;
    advance(2 * SECOND).await;
    assert_eq!(answer(&guard, Err(500)).await, Err(CallError::Inner(500)));
    // The second period is 2 s plus jitter.
    advance(1_900 * MS).await;
    assert_eq!(guard.state(), BreakerState::Open);
    advance(2_200 * MS).await;
    assert_eq!(answer(&guard, Ok(1)).await, Ok(1));
    assert_eq!(guard.state(), BreakerState::Closed);
    trip(&guard).await;
    advance(2 * SECOND).await;
    assert_eq!(guard.state(), BreakerState::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_hangs_opens_it() {
    let guard = Guard::new(config());
    for _ in 0..3 {
        let result = guard.call(false, pending::<Answer>, classify).await;
        assert_eq!(result, Err(CallError::Deadline));
    }
    assert_eq!(guard.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_late_counts_and_one_dropped_at_once_does_not() {
    let guard = Guard::new(config());
    for _ in 0..20 {
        assert!(timeout(10 * MS, guard.call(false, pending::<Answer>, classify)).await.is_err());
    }
    assert_eq!(guard.state(), BreakerState::Closed);
    assert_eq!(guard.in_use(), 0, "permits come back");
    for _ in 0..3 {
        assert!(timeout(600 * MS, guard.call(false, pending::<Answer>, classify)).await.is_err());
    }
    assert_eq!(guard.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_probe_makes_way_for_the_next() {
    let guard = Guard::new(config());
    trip(&guard).await;
    advance(2 * SECOND).await;
    assert!(timeout(MS, guard.call(false, pending::<Answer>, classify)).await.is_err());
    assert_eq!(guard.state(), BreakerState::HalfOpen);
    assert_eq!(answer(&guard, Ok(1)).await, Ok(1));
    assert_eq!(guard.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn panics_are_caught_and_counted() {
    let guard = Guard::new(config());
    for _ in 0..2 {
        let result = guard.call(true, || async { panic!("in the call") }, classify).await;
        assert_eq!(result, Err(CallError::Panicked));
    }
    let in_the_closure =
        guard.call(true, || -> std::future::Ready<Answer> { panic!("before the call") }, classify);
    assert_eq!(in_the_closure.await, Err(CallError::Panicked));
    assert_eq!(guard.state(), BreakerState::Open);
    assert_eq!(guard.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_from_before_the_opening_does_not_close_it() {
    let guard = Arc::new(Guard::new(config()));
    let go = Arc::new(Notify::new());
    let slow = tokio::spawn({
        let (guard, go) = (guard.clone(), go.clone());
        async move {
            let call = || async {
                go.notified().await;
                Ok(1)
            };
            guard.call_within(10 * SECOND, false, call, classify).await
        }
    });
    tokio::task::yield_now().await;
    trip(&guard).await;
    go.notify_one();
    assert_eq!(slow.await.unwrap(), Ok(1));
    assert_eq!(guard.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn the_bulkhead_bounds_calls_and_those_who_wait() {
    let bulkhead = BulkheadConfig { permits: 2, max_waiting: 3, standing: None };
    let guard = Arc::new(Guard::new(GuardConfig { bulkhead, ..config() }));
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let callers = (0..10).map(|_| {
        let (guard, now, most) = (guard.clone(), now.clone(), most.clone());
        async move {
            let call = || async {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(100 * MS).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(1)
            };
            guard.call(false, call, classify).await
        }
    });
    let results = join_all(callers).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 5);
    assert_eq!(results.iter().filter(|result| **result == Err(CallError::Saturated)).count(), 5);
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert_eq!(guard.in_use(), 0);
}

/// A guard with one place, which is taken until the future that comes with it ends.
fn hogged(standing: StandingQueue, for_long: Duration) -> (Arc<Guard>, impl Future<Output = ()>) {
    let bulkhead = BulkheadConfig { permits: 1, max_waiting: 100, standing: Some(standing) };
    let guard = Arc::new(Guard::new(GuardConfig { bulkhead, ..config() }));
    let hog = {
        let guard = guard.clone();
        async move {
            let call = || async {
                tokio::time::sleep(for_long).await;
                Ok(1)
            };
            let _ = guard.call_within(100 * SECOND, false, call, classify).await;
        }
    };
    (guard, hog)
}

const SHORT: StandingQueue =
    StandingQueue { after: Duration::from_millis(500), most: 2, patience: Duration::from_millis(20) };

#[tokio::test(start_paused = true)]
async fn a_queue_that_ends_soon_lets_everybody_wait() {
    let (guard, hog) = hogged(SHORT, 400 * MS);
    let hog = tokio::spawn(hog);
    tokio::task::yield_now().await;
    let started = Instant::now();
    let callers = (0..50).map(|_| guard.call(false, || async { Ok(1) }, classify));
    assert!(join_all(callers).await.iter().all(Result::is_ok));
    assert_eq!(started.elapsed(), 400 * MS);
    hog.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_stays_is_kept_short_and_refuses_soon() {
    let (guard, hog) = hogged(SHORT, 3 * SECOND);
    let hog = tokio::spawn(hog);
    tokio::task::yield_now().await;
    let ask = {
        let guard = guard.clone();
        move || {
            let guard = guard.clone();
            tokio::spawn(async move {
                let started = Instant::now();
                let answer = guard.call_within(50 * SECOND, false, || async { Ok(1) }, classify).await;
                (answer, started.elapsed())
            })
        }
    };
    // The second joins before the first gives up, so the queue is never empty.
    let mut early = vec![ask()];
    tokio::time::sleep(400 * MS).await;
    early.push(ask());
    tokio::time::sleep(200 * MS).await;
    assert!(!guard.is_shut(Lane::Usual), "two may still wait, and one does");
    let (joins, refused) = (ask(), ask());
    assert_eq!(refused.await.unwrap(), (Err(CallError::Saturated), Duration::ZERO));
    assert!(guard.is_shut(Lane::Usual));
    let (answer, waited) = joins.await.unwrap();
    assert_eq!(answer, Err(CallError::Saturated));
    assert!((20..=21).contains(&waited.as_millis()), "{waited:?}");
    for early in early {
        let (answer, waited) = early.await.unwrap();
        assert_eq!(answer, Err(CallError::Saturated));
        assert!(waited <= 501 * MS, "{waited:?}");
    }
    // Once the queue was empty, there is patience again.
    hog.await.unwrap();
    assert!(!guard.is_shut(Lane::Usual));
    assert_eq!(guard.call(false, || async { Ok(1) }, classify).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn patient_calls_do_not_take_the_places_of_the_others() {
    let one = BulkheadConfig { permits: 1, max_waiting: 0, standing: None };
    let guard = Guard::new(GuardConfig { bulkhead: one, patient: Some(one), ..config() });
    let hog = guard.call_in(Lane::Patient, 10 * SECOND, false, pending::<Answer>, classify);
    let others = async {
        assert_eq!(guard.call(false, || async { Ok(1) }, classify).await, Ok(1));
        assert!(guard.is_shut(Lane::Patient) && !guard.is_shut(Lane::Usual));
        let more = guard.call_in(Lane::Patient, SECOND, false, || async { Ok(1) }, classify).await;
        assert_eq!(more, Err(CallError::Saturated));
        assert_eq!(guard.in_use(), 1);
    };
    tokio::select! {
        biased;
        _ = hog => panic!("hangs"),
        () = others => {}
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_longer_than_the_deadline_was_never_sent() {
    let bulkhead = BulkheadConfig { permits: 1, max_waiting: 1, standing: None };
    let guard = Guard::new(GuardConfig { bulkhead, ..config() });
    let hog = guard.call_within(10 * SECOND, false, pending::<Answer>, classify);
    let sent = AtomicUsize::new(0);
    let call = || async {
        sent.fetch_add(1, Ordering::SeqCst);
        Ok(1)
    };
    let started = Instant::now();
    tokio::select! {
        biased;
        _ = hog => panic!("hangs"),
        result = guard.call(false, call, classify) => assert_eq!(result, Err(CallError::Saturated)),
    }
    assert_eq!(started.elapsed(), SECOND);
    assert_eq!(sent.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn only_idempotent_calls_are_tried_again() {
    let guard = Guard::new(GuardConfig { retry: Some(RetryConfig::default()), ..config() });
    let sent = AtomicUsize::new(0);
    let third_time = || async {
        match sent.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Err(503),
            _ => Ok(9),
        }
    };
    assert_eq!(guard.call(true, third_time, classify).await, Ok(9));
    assert_eq!(sent.swap(0, Ordering::SeqCst), 3);
    assert_eq!(guard.call(false, third_time, classify).await, Err(CallError::Inner(503)));
    assert_eq!(sent.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hung_attempt_leaves_time_for_another() {
    let retry = RetryConfig { attempt_deadline: Some(200 * MS), ..RetryConfig::default() };
    let guard = Guard::new(GuardConfig { retry: Some(retry), ..config() });
    let sent = AtomicUsize::new(0);
    let call = || async {
        if sent.fetch_add(1, Ordering::SeqCst) == 0 {
            pending::<()>().await;
        }
        Ok(1)
    };
    assert_eq!(guard.call(true, call, classify).await, Ok(1));
    assert_eq!(sent.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn the_budget_bounds_amplification() {
    let mut config = config();
    config.breaker.consecutive_failures = u32::MAX;
    config.retry =
        Some(RetryConfig { max_retries: 5, budget_ratio: 0.1, budget_burst: 10, ..RetryConfig::default() });
    let guard = Guard::new(config);
    let sent = AtomicUsize::new(0);
    let call = || async {
        sent.fetch_add(1, Ordering::SeqCst);
        Err(503)
    };
    for _ in 0..1_000 {
        assert_eq!(guard.call(true, call, classify).await, Err(CallError::Inner(503)));
    }
    let retries = sent.load(Ordering::SeqCst) - 1_000;
    assert!(retries <= 10 + 100, "{retries} retries for 1000 calls");
    assert!(retries >= 100, "the budget is meant to be used: {retries}");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_covers_all_attempts() {
    let retry = RetryConfig { max_retries: 100, first_pause: 100 * MS, ..RetryConfig::default() };
    let mut config = GuardConfig { retry: Some(retry), ..config() };
    config.breaker.consecutive_failures = u32::MAX;
    let guard = Guard::new(config);
    let started = Instant::now();
    assert!(guard.call(true, || async { Answer::Err(503) }, classify).await.is_err());
    assert!(started.elapsed() <= SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_limiter_refuses_with_a_time_and_refills() {
    let limiter = LimiterConfig { per_second: nonzero(10), burst: nonzero(5) };
    let guard = Guard::new(GuardConfig { limiter: Some(limiter), ..config() });
    for _ in 0..5 {
        assert_eq!(answer(&guard, Ok(1)).await, Ok(1));
    }
    let Err(CallError::Limited { retry_after }) = answer(&guard, Ok(1)).await else { panic!("not limited") };
    assert!(retry_after > Duration::ZERO && retry_after <= 100 * MS, "{retry_after:?}");
    advance(retry_after).await;
    assert_eq!(answer(&guard, Ok(1)).await, Ok(1));
    assert_eq!(guard.state(), BreakerState::Closed);
}

#[test]
fn its_states_and_outcomes_are_metrics() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    ::metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let guard = Guard::new(config());
            answer(&guard, Ok(1)).await.unwrap();
            trip(&guard).await;
            answer(&guard, Ok(1)).await.unwrap_err();
        });
    });
    let text = handle.render();
    for line in [
        r#"resilience_calls_total{name="test",instance="0",outcome="success"} 1"#,
        r#"resilience_calls_total{name="test",instance="0",outcome="failure"} 3"#,
        r#"resilience_calls_total{name="test",instance="0",outcome="open"} 1"#,
        r#"resilience_breaker_state{name="test",instance="0"} 2"#,
        r#"resilience_bulkhead_in_use{name="test",instance="0"} 0"#,
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
}

fn policy(quota: u32, window: Duration) -> RatePolicy {
    RatePolicy { quota: nonzero(quota), window }
}

#[tokio::test(start_paused = true)]
async fn keys_have_their_own_quota_and_hear_what_is_left() {
    let limiter = KeyedLimiter::new("test", policy(3, 60 * SECOND));
    let (ann, bob) = (limiter.principal("ann"), limiter.principal("bob"));
    for left in [2, 1, 0] {
        assert_eq!(limiter.check(ann).unwrap().remaining, left);
    }
    let refusal = limiter.check(ann).unwrap_err();
    assert_eq!(refusal.retry_after, 20 * SECOND);
    assert_eq!(refusal.reset, 60 * SECOND);
    assert_eq!(limiter.check(bob).unwrap(), Allowance { remaining: 2, reset: 20 * SECOND });
    advance(20 * SECOND).await;
    assert_eq!(limiter.check(ann).unwrap().remaining, 0);
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_network_is_one_client_and_a_mapped_ipv4_is_itself() {
    let key = |text: &str| KeyedLimiter::address(text.parse::<IpAddr>().unwrap());
    assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
    assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    assert_eq!(key("::ffff:192.0.2.7"), key("192.0.2.7"));
    assert_ne!(key("192.0.2.7"), key("192.0.2.8"));
}

#[tokio::test(start_paused = true)]
async fn the_janitor_forgets_those_who_are_as_good_as_new() {
    let limiter = Arc::new(KeyedLimiter::new("test", policy(2, 10 * SECOND)));
    let swept = limiter.clone();
    let limiters = move || vec![swept.clone()];
    let sweeping = tokio::spawn(keyed_limiter::janitor(limiters, SECOND));
    for n in 0..1_000 {
        limiter.check(limiter.principal(&n.to_string())).unwrap();
    }
    assert_eq!(limiter.keys(), 1_000);
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(limiter.keys(), 0);
    sweeping.abort();
}

#[tokio::test(start_paused = true)]
async fn a_new_policy_is_no_fresh_quota_for_those_who_have_used_theirs() {
    let before = Arc::new(KeyedLimiter::new("test", policy(10, 60 * SECOND)));
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| before.principal(name));
    for _ in 0..10 {
        before.check(ann).unwrap();
    }
    for _ in 0..5 {
        before.check(bob).unwrap();
    }
    before.check(ann).unwrap_err();
    let after = Arc::new(before.successor(policy(100, 60 * SECOND)));
    assert_eq!(after.check(ann).unwrap().remaining, 0, "all of it used, and this request");
    after.check(ann).unwrap_err();
    assert_eq!(after.check(bob).unwrap().remaining, 49, "half of it, and this request");
    assert_eq!(after.check(bob).unwrap().remaining, 48, "charged once");
    assert_eq!(after.check(eve).unwrap().remaining, 99);
    // Down again: shares, not numbers.
    let down = after.successor(policy(4, 60 * SECOND));
    assert_eq!(down.check(bob).unwrap().remaining, 1);
    assert_eq!(down.check(eve).unwrap().remaining, 3);
    down.check(ann).unwrap();
    down.check(ann).unwrap_err();
    // When the old quota would be whole again, nothing is inherited any more.
    let late = Arc::new(down).successor(policy(10, 60 * SECOND));
    advance(60 * SECOND).await;
    late.sweep();
    assert_eq!(late.check(ann).unwrap().remaining, 9);
}
