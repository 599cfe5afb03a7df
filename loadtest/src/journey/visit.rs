//! One customer on one journey: asks, and writes down how it went.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rand::{RngExt, rngs::StdRng};
use serde::Deserialize;
use viscount_contracts::OrderId;

use super::Shelf;
use crate::{
    client::{
        customers::Customers,
        pool::Pool,
        shop::Shop,
        wire::{Answer, Ask, Connection, LONGEST_PAUSE, Target, WireError},
    },
    measure::recorder::{Outcome, Recorder},
    stop::Stop,
    streams::Board,
};

/// What all journeys of a run share.
pub struct World {
    /// The platform.
    pub target: Target,
    /// Who buys.
    pub customers: Customers,
    /// What there is.
    pub shop: Shop,
    /// What is wanted.
    pub shelf: Shelf,
    /// In the idempotency keys: a second run with the same seed makes its own orders.
    pub run: String,
    /// Whether to end early.
    pub stop: Stop,
    /// What happened that a reader should know, and how often.
    pub notes: RefCell<BTreeMap<&'static str, u64>>,
}

impl World {
    /// Something that a reader should know.
    pub fn note(&self, what: &'static str) {
        *self.notes.borrow_mut().entry(what).or_default() += 1;
    }
}

/// Whose connection it is.
pub enum Line {
    /// The customer's own, kept from journey to journey.
    Own(Connection),
    /// Any that is free.
    Shared(Rc<Pool>),
}

/// What a journey begins with.
pub struct Start {
    /// In the idempotency keys.
    pub name: String,
    /// Whose journey it is.
    pub customer: usize,
    /// Its random choices.
    pub random: StdRng,
    /// When it was meant to begin, by a schedule.
    pub intended: Option<Instant>,
    /// No step begins after this.
    pub until: Option<Instant>,
    /// How often an order is tried.
    pub tries: u32,
    /// How long one order may take.
    pub final_within: Duration,
}

/// One customer on one journey.
pub struct Visit {
    /// What all share.
    pub world: Rc<World>,
    /// Where it is written down.
    pub recorder: Rc<Recorder>,
    /// Where streams are written down.
    pub board: Rc<Board>,
    /// Whose journey it is.
    pub customer: usize,
    /// Its random choices.
    pub random: StdRng,
    /// How often an order is tried.
    pub tries: u32,
    /// How long one order may take.
    pub final_within: Duration,
    /// The last order.
    pub last: Option<Placed>,
    line: Line,
    intended: Option<Instant>,
    until: Option<Instant>,
    name: String,
    keys: u32,
    /// When to come again, if the last answer said "later" or there was none.
    again: Option<Duration>,
}

/// An order that was accepted.
pub struct Placed {
    /// Which.
    pub order: OrderId,
    /// The request.
    pub body: Bytes,
    /// Its idempotency key.
    pub key: String,
    /// The answer.
    pub answer: Bytes,
}

/// A good answer.
pub struct Good {
    /// What it says.
    pub answer: Answer,
    /// When the request was meant to be made.
    pub intended: Instant,
}

/// No good answer.
pub struct Bad {
    /// Whether the same request may still get one, and when to come again.
    pub again: Option<Duration>,
}

/// The pause after a connection broke, or when an answer does not say when to come again.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct Problem<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
}

impl Visit {
    /// A journey begins.
    pub fn new(
        world: &Rc<World>,
        board: &Rc<Board>,
        recorder: &Rc<Recorder>,
        line: Line,
        start: Start,
    ) -> Self {
        Self {
            world: world.clone(),
            board: board.clone(),
            recorder: recorder.clone(),
            customer: start.customer,
            random: start.random,
            tries: start.tries,
            final_within: start.final_within,
            last: None,
            line,
            intended: start.intended,
            until: start.until,
            name: start.name,
            keys: 0,
            again: None,
        }
    }

    /// Waits when the journey ended because the platform asked to come later, as a good client does.
    pub async fn come_again(&mut self) {
        if let Some(pause) = self.again.take() {
            self.pause(pause.min(LONGEST_PAUSE)).await;
        }
    }

    /// The connection, for the next journey.
    pub fn into_line(self) -> Line {
        self.line
    }

    /// True when nothing more should begin.
    pub fn is_over(&self) -> bool {
        self.world.stop.is_asked() || self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// The next idempotency key: different for each run, order and phase.
    pub fn key(&mut self) -> String {
        self.keys += 1;
        format!("{}-{}-{}", self.world.run, self.name, self.keys)
    }

    /// The same with the customer's token.
    pub async fn ask_as_customer(&mut self, operation: &'static str, ask: Ask<'_>) -> Result<Good, Bad> {
        self.ask_and_judge(operation, ask, true, |_| Ok(())).await
    }

    /// One request, written down under this name.
    pub async fn ask(&mut self, operation: &'static str, ask: Ask<'_>) -> Result<Good, Bad> {
        self.ask_and_judge(operation, ask, false, |_| Ok(())).await
    }

    /// One request whose good answer may still be wrong.
    pub async fn ask_and_judge(
        &mut self,
        operation: &'static str,
        mut ask: Ask<'_>,
        as_customer: bool,
        judge: impl Fn(&Answer) -> Result<(), &'static str>,
    ) -> Result<Good, Bad> {
        // The first request of a scheduled journey counts from when it was meant to be made.
        let intended = self.intended.take().unwrap_or_else(Instant::now);
        if as_customer {
            ask.bearer = self.world.customers.bearer(self.customer);
        }
        let (sent, mut answer) = self.send(ask.clone()).await;
        if as_customer
            && let (Ok(refused), Some(bearer)) = (&answer, &ask.bearer)
            && refused.status == 401
        {
            self.world.note("requests whose token had expired: logged in again, and asked once more");
            if self.world.customers.renew(self.customer, bearer).await.is_ok() {
                ask.bearer = self.world.customers.bearer(self.customer);
                answer = self.send(ask).await.1;
            }
        }
        let record = |outcome: Outcome<'_>| self.recorder.request(operation, intended, sent, outcome);
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                record(Outcome::Broken(&error.reason()));
                self.again = Some(PAUSE);
                return Err(Bad { again: Some(PAUSE) });
            }
        };
        let status = answer.status.as_u16();
        if answer.status.is_success() {
            return match judge(&answer) {
                Ok(()) => {
                    record(Outcome::Good(status));
                    Ok(Good { answer, intended })
                }
                Err(why) => {
                    record(Outcome::Broken(why));
                    Err(Bad { again: None })
                }
            };
        }
        let problem: Option<Problem<'_>> = serde_json::from_slice(&answer.body).ok();
        let kind = problem
            .map_or_else(|| format!("{status} without a problem document").into(), |problem| problem.kind);
        let retry_after = answer.retry_after();
        record(Outcome::Problem { status, kind: &kind, retry_after });
        // What is behind these may have happened or may yet: the same key finds out.
        let open =
            kind == "/problems/idempotency-key-in-use" || matches!(status, 429 | 500 | 502 | 503 | 504);
        self.again = open.then(|| retry_after.unwrap_or(PAUSE));
        Err(Bad { again: self.again })
    }

    async fn send(&mut self, ask: Ask<'_>) -> (Instant, Result<Answer, WireError>) {
        match &mut self.line {
            Line::Own(connection) => (Instant::now(), connection.ask(ask).await),
            Line::Shared(pool) => pool.ask_timed(ask).await,
        }
    }

    /// Waits, unless nothing more should begin.
    pub async fn think(&mut self, least: f64, most: f64) -> Option<()> {
        let seconds = least + (most - least) * self.random.random::<f64>();
        self.pause(Duration::from_secs_f64(seconds)).await
    }

    /// Waits so long; nothing when the time is over before.
    pub async fn pause(&mut self, pause: Duration) -> Option<()> {
        // What comes after a pause is not late because of it.
        self.intended = None;
        self.again = None;
        let wanted = Instant::now() + pause;
        let until = self.until.map_or(wanted, |until| until.min(wanted));
        self.world.stop.or(tokio::time::sleep_until(until.into())).await?;
        (until == wanted).then_some(())
    }
}
