//! What the load has seen, written down as it happens: histograms, counts by outcome, and a line for every second.
//!
//! One recorder belongs to one phase. It lives on the generator's only thread, so it needs no locks, and it is cheap:
//! what it costs is what the platform cannot use.
//!
//! Two times are kept for every request. The *latency* counts from the moment the request was meant to start: when the
//! generator or the server is behind, the waiting is part of it, so that a stall cannot hide the requests that it held
//! back (coordinated omission, Gil Tene). The *service time* counts from the moment it was sent.
//!
//! Requests that were meant to start during the warm-up are in the line of their second, and nowhere else; rates count what
//! ended well between the end of the warm-up and the end of the load, since time and CPU are those of this stretch.

use std::{
    cell::{Ref, RefCell},
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use jiff::Timestamp;
use viscount_contracts::OrderId;

use super::histogram::{Quantiles, histogram, millis, record};

/// More kinds of problems or breakages than this are counted together.
const KINDS: usize = 64;
/// The kind of what is counted together.
const OTHER: &str = "other";

/// Names under which requests are written down.
pub const OPERATIONS: [&str; 13] = [
    "browse", "search", "product", "order", "hot", "retry", "cancel", "look", "refund", "follow", "login",
    "me", "history",
];
/// Journeys that were never begun: no request, but a failure all the same.
const ARRIVAL: &str = "arrival";

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// As it was meant to, with this status.
    Good(u16),
    /// With a problem document.
    Problem {
        /// Its status.
        status: u16,
        /// Its type, such as `/problems/too-late`.
        kind: &'a str,
        /// When to come again, if it says so.
        retry_after: Option<Duration>,
    },
    /// Without an answer, for this reason.
    Broken(&'a str),
}

/// Everything about one kind of request, the warm-up left out.
pub struct Operation {
    /// Requests that have ended.
    pub count: u64,
    /// Those that ended as they were meant to.
    pub good: u64,
    /// Requests that ended well between the end of the warm-up and the end of the load, whenever they began.
    pub good_measured: u64,
    /// Those that were told to come later: 429 and 503.
    pub refused: u64,
    /// Refusals that did not say when to come again.
    pub refused_without_time: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Problems by type, refusals among them.
    pub problems: BTreeMap<String, u64>,
    /// Requests without an answer, by reason.
    pub broken: BTreeMap<String, u64>,
    /// From the intended start to the answer, refusals and failures apart: their speed is no merit.
    pub latency: Histogram<u64>,
    /// From sending to the answer, refusals and failures apart.
    pub service: Histogram<u64>,
    /// From the intended start to the refusal.
    pub refusal: Histogram<u64>,
    /// From the intended start to the failure: no answer, a wrong one, or one that the server calls its own fault.
    pub failure: Histogram<u64>,
}

/// One second of the load, counted from its begin, warm-up included.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Second {
    /// Requests sent in it.
    pub started: u64,
    /// Requests that ended well in it.
    pub good: u64,
    /// Requests that were refused in it.
    pub refused: u64,
    /// Requests that ended otherwise in it.
    pub failed: u64,
    /// Median latency of the requests that ended in it, in milliseconds.
    pub p50_ms: f64,
    /// Their 99th percentile.
    pub p99_ms: f64,
    /// Streams that were open at its end.
    pub open_streams: u64,
    /// Users there were at its end.
    pub users: u64,
}

/// An order that was accepted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accepted {
    /// Which.
    pub order: OrderId,
    /// Whose.
    pub customer: u32,
    /// Whether it was meant to be placed after the warm-up.
    pub measured: bool,
}

/// Streams, as their clients saw them.
pub struct Streams {
    /// From what the message says happened to its arrival.
    pub delivery: Histogram<u64>,
    /// Streams that are open.
    pub open: usize,
    /// The most that were open at once.
    pub most: usize,
}

/// How far the load is, for people who watch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Since the begin.
    pub elapsed: Duration,
    /// Whether the warm-up is over.
    pub measuring: bool,
    /// Requests that have been made altogether.
    pub requests: u64,
    /// Orders that have been accepted altogether.
    pub accepted: u64,
    /// Requests that ended neither well nor in a refusal, altogether.
    pub failed: u64,
    /// Refusals altogether.
    pub refused: u64,
    /// Open streams.
    pub open_streams: usize,
    /// Users.
    pub users: usize,
}

/// What has been seen.
pub struct Recorder {
    warm_up: Duration,
    seen: RefCell<Seen>,
}

struct Seen {
    began: Option<(Instant, Timestamp)>,
    ended: Option<Instant>,
    operations: Vec<(&'static str, Operation)>,
    seconds: Vec<Second>,
    /// Latencies of the requests that ended in the second that goes on.
    now: (usize, Histogram<u64>),
    accepted: Vec<Accepted>,
    /// Orders accepted between the end of the warm-up and the end of the load.
    accepted_measured: u64,
    /// When orders were completed that were changed again later.
    completed: HashMap<OrderId, Timestamp>,
    streams: Streams,
    behind: Histogram<u64>,
    users: (usize, usize),
    totals: Progress,
}

impl Recorder {
    /// Nothing seen yet; what is meant to start within the warm-up is not measured.
    pub fn new(warm_up: Duration) -> Rc<Self> {
        let seen = Seen {
            began: None,
            ended: None,
            operations: Vec::new(),
            seconds: Vec::new(),
            now: (0, histogram()),
            accepted: Vec::new(),
            accepted_measured: 0,
            completed: HashMap::new(),
            streams: Streams { delivery: histogram(), open: 0, most: 0 },
            behind: histogram(),
            users: (0, 0),
            totals: Progress::default(),
        };
        Rc::new(Self { warm_up, seen: RefCell::new(seen) })
    }

    /// The load starts now. What is told before is not recorded.
    pub fn begin(&self) {
        self.seen.borrow_mut().began = Some((Instant::now(), Timestamp::now()));
    }

    /// The load is over: nothing starts any more. What is under way still counts.
    pub fn end(&self) {
        self.seen.borrow_mut().ended.get_or_insert_with(Instant::now);
    }

    /// A request has ended. `operation` is a fixed name such as `order` or `browse`. `intended` is when it was meant to
    /// start: by the schedule in an open loop, when it was sent in a closed one.
    pub fn request(&self, operation: &'static str, intended: Instant, sent: Instant, outcome: Outcome<'_>) {
        self.request_at(operation, intended, sent, Instant::now(), outcome);
    }

    fn request_at(
        &self,
        operation: &'static str,
        intended: Instant,
        sent: Instant,
        ended: Instant,
        outcome: Outcome<'_>,
    ) {
        let mut seen = self.seen.borrow_mut();
        let Some((began, _)) = seen.began else { return };
        let latency = ended.saturating_duration_since(intended);
        seen.second(began, sent).started += 1;
        seen.totals.requests += 1;
        let refused = outcome.is_refusal();
        if !refused && !outcome.is_failure() {
            seen.latency(began, ended, latency);
        }
        let second = seen.second(began, ended);
        match outcome {
            Outcome::Good(_) => second.good += 1,
            _ if refused => second.refused += 1,
            _ => second.failed += 1,
        }
        match outcome {
            Outcome::Good(_) => {}
            _ if refused => seen.totals.refused += 1,
            _ => seen.totals.failed += 1,
        }
        if matches!(outcome, Outcome::Good(_)) && seen.is_measured(ended, self.warm_up) {
            seen.operation(operation).good_measured += 1;
        }
        if intended.saturating_duration_since(began) < self.warm_up {
            return;
        }
        let service = ended.saturating_duration_since(sent);
        seen.operation(operation).add(latency, service, outcome);
    }

    /// A journey that was meant to begin at this moment never did: a failure that took no time.
    pub fn not_begun(&self, intended: Instant, why: &str) {
        let mut seen = self.seen.borrow_mut();
        let Some((began, _)) = seen.began else { return };
        seen.totals.failed += 1;
        seen.second(began, Instant::now()).failed += 1;
        if intended.saturating_duration_since(began) >= self.warm_up {
            let arrival = seen.operation(ARRIVAL);
            arrival.count += 1;
            count(&mut arrival.broken, why);
        }
    }

    /// A 201 was seen; the order is looked for in the history afterwards.
    pub fn accepted(&self, order: OrderId, customer: u32, intended: Instant) {
        let mut seen = self.seen.borrow_mut();
        let Some((began, _)) = seen.began else { return };
        let measured = intended.saturating_duration_since(began) >= self.warm_up;
        seen.accepted.push(Accepted { order, customer, measured });
        seen.accepted_measured += u64::from(seen.is_measured(Instant::now(), self.warm_up));
        seen.totals.accepted += 1;
    }

    /// An order was seen completed, since this moment by the platform's clock. Its history forgets that when it is changed again.
    pub fn completed(&self, order: OrderId, since: Timestamp) {
        self.seen.borrow_mut().completed.entry(order).or_insert(since);
    }

    /// When an order was completed, if that was seen.
    pub fn completed_at(&self, order: OrderId) -> Option<Timestamp> {
        self.seen.borrow().completed.get(&order).copied()
    }

    /// Orders accepted between the end of the warm-up and the end of the load.
    pub fn accepted_measured(&self) -> u64 {
        self.seen.borrow().accepted_measured
    }

    /// A message of a stream has arrived so long after what it tells happened.
    pub fn delivered(&self, commit_to_client: Duration) {
        let mut seen = self.seen.borrow_mut();
        let measuring = seen.began.is_some_and(|(began, _)| began.elapsed() >= self.warm_up);
        if measuring {
            record(&mut seen.streams.delivery, commit_to_client);
        }
    }

    /// So many streams are open now.
    pub fn open_streams(&self, now: usize) {
        let mut seen = self.seen.borrow_mut();
        seen.streams.open = now;
        seen.streams.most = seen.streams.most.max(now);
        seen.gauges();
    }

    /// The generator started an arrival so late.
    pub fn behind(&self, late: Duration) {
        let mut seen = self.seen.borrow_mut();
        let measuring = seen.began.is_some_and(|(began, _)| began.elapsed() >= self.warm_up);
        if measuring {
            record(&mut seen.behind, late);
        }
    }

    /// There are so many users now.
    pub fn users(&self, now: usize) {
        let mut seen = self.seen.borrow_mut();
        seen.users = (now, seen.users.1.max(now));
        seen.gauges();
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let seen = self.seen.borrow();
        let elapsed = seen.began.map_or(Duration::ZERO, |(began, _)| began.elapsed());
        Progress {
            elapsed,
            measuring: elapsed >= self.warm_up,
            open_streams: seen.streams.open,
            users: seen.users.0,
            ..seen.totals
        }
    }

    /// The last second that is over, for people who watch.
    pub fn last_second(&self) -> Option<Second> {
        let mut seen = self.seen.borrow_mut();
        let (began, _) = seen.began?;
        let now = seen.began.map_or(0, |_| began.elapsed().as_secs() as usize);
        seen.turn(now);
        now.checked_sub(1).and_then(|last| seen.seconds.get(last).cloned())
    }

    /// The warm-up.
    pub fn warm_up(&self) -> Duration {
        self.warm_up
    }

    /// When it began, by this machine's clocks.
    pub fn began(&self) -> Option<(Instant, Timestamp)> {
        self.seen.borrow().began
    }

    /// How long the load was, warm-up included; up to now while it goes on.
    pub fn lasted(&self) -> Duration {
        let seen = self.seen.borrow();
        let Some((began, _)) = seen.began else { return Duration::ZERO };
        seen.ended.map_or_else(|| began.elapsed(), |ended| ended.saturating_duration_since(began))
    }

    /// How long was measured: without the warm-up.
    pub fn measured(&self) -> Duration {
        self.lasted().saturating_sub(self.warm_up)
    }

    /// Every kind of request by its name.
    pub fn operations(&self) -> Ref<'_, [(&'static str, Operation)]> {
        Ref::map(self.seen.borrow(), |seen| seen.operations.as_slice())
    }

    /// Every second.
    pub fn seconds(&self) -> Vec<Second> {
        let seen = self.seen.borrow();
        let mut seconds = seen.seconds.clone();
        let (last, latencies) = &seen.now;
        if let Some(second) = seconds.get_mut(*last) {
            second.take(latencies);
        }
        seconds
    }

    /// The accepted orders; those of the warm-up as well, since they may not be lost either.
    pub fn orders(&self) -> Ref<'_, [Accepted]> {
        Ref::map(self.seen.borrow(), |seen| seen.accepted.as_slice())
    }

    /// The streams.
    pub fn streams(&self) -> Ref<'_, Streams> {
        Ref::map(self.seen.borrow(), |seen| &seen.streams)
    }

    /// How late the generator was.
    pub fn lateness(&self) -> Quantiles {
        Quantiles::of(&self.seen.borrow().behind)
    }

    /// The most users there were.
    pub fn most_users(&self) -> usize {
        self.seen.borrow().users.1
    }
}

impl Seen {
    /// Whether a moment is after the warm-up, and not after the load.
    fn is_measured(&self, at: Instant, warm_up: Duration) -> bool {
        let warm = self.began.is_some_and(|(began, _)| at.saturating_duration_since(began) >= warm_up);
        warm && self.ended.is_none_or(|ended| at <= ended)
    }

    fn operation(&mut self, name: &'static str) -> &mut Operation {
        debug_assert!(name == ARRIVAL || OPERATIONS.contains(&name), "{name}");
        let known =
            self.operations.iter().position(|(known, _)| std::ptr::eq(*known, name) || *known == name);
        let at = known.unwrap_or_else(|| {
            self.operations.push((name, Operation::new()));
            self.operations.len() - 1
        });
        &mut self.operations[at].1
    }

    fn second(&mut self, began: Instant, at: Instant) -> &mut Second {
        let number = at.saturating_duration_since(began).as_secs() as usize;
        if number >= self.seconds.len() {
            let gauges = Second {
                open_streams: self.streams.open as u64,
                users: self.users.0 as u64,
                ..Second::default()
            };
            self.seconds.resize(number + 1, gauges);
        }
        &mut self.seconds[number]
    }

    fn latency(&mut self, began: Instant, ended: Instant, latency: Duration) {
        self.turn(ended.saturating_duration_since(began).as_secs() as usize);
        record(&mut self.now.1, latency);
    }

    /// Another second goes on: the last one's percentiles are known. Requests end in the order of time.
    fn turn(&mut self, number: usize) {
        let (last, latencies) = &mut self.now;
        if number <= *last {
            return;
        }
        if let Some(second) = self.seconds.get_mut(*last) {
            second.take(latencies);
        }
        latencies.reset();
        *last = number;
    }

    /// The second that goes on shows how many streams and users there are.
    fn gauges(&mut self) {
        let Some((began, _)) = self.began else { return };
        let (streams, users) = (self.streams.open as u64, self.users.0 as u64);
        let second = self.second(began, Instant::now());
        second.open_streams = streams;
        second.users = users;
    }
}

impl Second {
    fn take(&mut self, latencies: &Histogram<u64>) {
        if !latencies.is_empty() {
            self.p50_ms = millis(latencies.value_at_quantile(0.5));
            self.p99_ms = millis(latencies.value_at_quantile(0.99));
        }
    }
}

impl Outcome<'_> {
    /// Whether it says: later.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Problem { status: 429 | 503, .. })
    }

    /// Whether there is no answer to speak of: a connection that is refused at once is not a quick shop.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Good(_) => false,
            Self::Problem { status, .. } => *status >= 500 && !self.is_refusal(),
            Self::Broken(_) => true,
        }
    }
}

impl Operation {
    fn new() -> Self {
        Self {
            count: 0,
            good: 0,
            good_measured: 0,
            refused: 0,
            refused_without_time: 0,
            statuses: BTreeMap::new(),
            problems: BTreeMap::new(),
            broken: BTreeMap::new(),
            latency: histogram(),
            service: histogram(),
            refusal: histogram(),
            failure: histogram(),
        }
    }

    fn add(&mut self, latency: Duration, service: Duration, outcome: Outcome<'_>) {
        self.count += 1;
        if outcome.is_refusal() {
            self.refused += 1;
            record(&mut self.refusal, latency);
        } else if outcome.is_failure() {
            record(&mut self.failure, latency);
        } else {
            record(&mut self.latency, latency);
            record(&mut self.service, service);
        }
        match outcome {
            Outcome::Good(status) => {
                self.good += 1;
                *self.statuses.entry(status).or_default() += 1;
            }
            Outcome::Problem { status, kind, retry_after } => {
                self.refused_without_time += u64::from(outcome.is_refusal() && retry_after.is_none());
                *self.statuses.entry(status).or_default() += 1;
                count(&mut self.problems, kind);
            }
            Outcome::Broken(why) => count(&mut self.broken, why),
        }
    }
}

/// One more of this kind. The name is copied only once, and what a server makes up cannot fill the memory.
fn count(counts: &mut BTreeMap<String, u64>, kind: &str) {
    let kind = if counts.len() >= KINDS && !counts.contains_key(kind) { OTHER } else { kind };
    match counts.get_mut(kind) {
        Some(count) => *count += 1,
        None => {
            counts.insert(kind.to_owned(), 1);
        }
    }
}

#[cfg(test)]
mod tests;
