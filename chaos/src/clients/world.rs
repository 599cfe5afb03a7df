//! What all clients of a load share: doors, buyers, products, and what is known of the orders.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use uuid::Uuid;

use super::{
    Load, Stop,
    book::{Book, Question, Status, is_answer, order_of},
    figures::{Counts, Round},
    http::{Ask, Http},
};
use crate::history::{Call, Outcome, Recorder, Wanted};

/// The first pause before a request is sent again; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The longest one between two looks at an order.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// A token is asked for with a role (`admin` or `customer`) and the subject that it is for.
pub type Tokens = Arc<
    dyn Fn(&'static str, Uuid) -> Pin<Box<dyn Future<Output = Result<String, String>> + Send>> + Send + Sync,
>;

/// What a load is put on.
#[derive(Clone)]
pub struct Target {
    /// The gateway, such as `http://127.0.0.1:8080`.
    pub door: String,
    /// The replicas of the order service, for journeys that ask them directly; the gateway is asked when there are none.
    pub replicas: Vec<String>,
    /// Gives tokens.
    pub tokens: Tokens,
    /// Decides what every client does: the same seed, the same deeds.
    pub seed: u64,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { door, replicas, seed, .. } = self;
        f.debug_struct("Target").field("door", door).field("replicas", replicas).field("seed", seed).finish()
    }
}

/// Somebody who buys.
pub struct Buyer {
    /// The subject of the token.
    pub id: Uuid,
    /// The token.
    pub bearer: String,
}

/// Shared by all clients.
pub struct World {
    /// What is to be done.
    pub load: Load,
    /// Where.
    pub target: Target,
    /// Part of every key and sku, so that two loads on one platform are strangers.
    pub run: String,
    /// Who.
    pub buyers: Vec<Buyer>,
    /// The administrator's token.
    pub admin: String,
    /// Asks.
    pub http: Http,
    /// Writes down.
    pub recorder: Recorder,
    /// Ends everything.
    pub stop: Stop,
    book: Mutex<Book>,
    counts: Mutex<Counts>,
    clients: AtomicU32,
}

/// The pause before an order is looked at again that has been waited for so long: a quarter of that when it is long, so
/// that many who wait for one thing are no load of their own.
pub(super) fn next_look(pause: Duration, waited: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE / 4).max(waited / 4).min(LONGEST_LOOK)
}

impl World {
    /// A world in which nothing has happened yet.
    pub fn new(
        load: Load,
        target: Target,
        buyers: Vec<Buyer>,
        admin: String,
        http: Http,
        recorder: Recorder,
    ) -> Self {
        let run = Uuid::new_v4().simple().to_string().split_off(20);
        let (book, counts, clients) = Default::default();
        Self {
            load,
            target,
            run,
            buyers,
            admin,
            http,
            recorder,
            stop: Stop::default(),
            book,
            counts,
            clients,
        }
    }

    /// What is known of the orders.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted.
    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a new client.
    pub fn new_client(&self) -> u32 {
        self.clients.fetch_add(1, Ordering::Relaxed)
    }

    /// The numbers of chance for the so-manieth of something; the same ones for the same seed.
    pub fn random(&self, number: u64) -> StdRng {
        StdRng::seed_from_u64(self.target.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// Whose number this is. Numbers come from where the buyers were counted.
    pub fn buyer(&self, buyer: usize) -> &Buyer {
        &self.buyers[buyer % self.buyers.len()]
    }

    /// One of the doors that the journey uses.
    pub fn door(&self, door: usize) -> &str {
        match self.load.journey {
            super::Journey::SameKey | super::Journey::LastPieces if !self.target.replicas.is_empty() => {
                &self.target.replicas[door % self.target.replicas.len()]
            }
            _ => &self.target.door,
        }
    }

    /// An order as it is asked for.
    pub fn order(&self, buyer: usize, key: String, lines: Vec<Wanted>, payment_token: &str) -> Question {
        let wanted: Vec<_> =
            lines.iter().map(|line| json!({"product_id": line.product, "quantity": line.quantity})).collect();
        let body = json!({"lines": wanted, "payment": {"method": "card", "token": payment_token}});
        let call = Call::PlaceOrder {
            buyer: self.buyer(buyer).id,
            key,
            lines,
            payment_token: payment_token.to_owned(),
        };
        Question { buyer, call, body: Bytes::from(body.to_string()), door: 0 }
    }

    /// Asks once, and takes note of what the answer says.
    pub async fn ask_once(&self, client: u32, question: &Question, door: usize) -> super::http::Answer {
        let body = (!question.body.is_empty()).then_some(&question.body);
        let bearer = &self.buyer(question.buyer).bearer;
        let ask = Ask { client, door: self.door(door), bearer, call: &question.call, body };
        let answer = self.http.ask(ask).await;
        self.note(question, &answer.outcome);
        answer
    }

    /// Asks with the same key and body until there is an answer; at the next door when there was none. Gives up when the
    /// load ends or the client's patience does: what it has heard last. [`World::book`] keeps what is unanswered.
    pub async fn ask(&self, client: u32, question: Question, random: &mut StdRng) -> Outcome {
        let begun = Instant::now();
        let number = self.book().asked(question.clone());
        let (mut pause, mut door) = (FIRST_PAUSE, question.door);
        loop {
            let answer = self.ask_once(client, &question, door).await;
            if is_answer(&answer.outcome) {
                self.book().answered(number);
                if let (Call::PlaceOrder { .. }, Outcome::Ok { body, .. }) = (&question.call, &answer.outcome)
                {
                    self.accepted(order_of(body), question.buyer, begun);
                }
                return answer.outcome;
            }
            if begun.elapsed() >= self.load.patience {
                return answer.outcome;
            }
            let wait = answer.retry_after.unwrap_or(pause).min(LONGEST_PAUSE);
            // Clients that were turned away together come again one by one.
            let wait = wait.mul_f64(random.random_range(0.5..1.0));
            if self.stop.or(tokio::time::sleep(wait)).await.is_none() {
                return answer.outcome;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            door += 1;
        }
    }

    /// Reads an order until it is final, or `within` has passed, or the load ends; gives its last status.
    pub async fn until_final(
        &self,
        client: u32,
        order: Uuid,
        buyer: usize,
        within: Duration,
    ) -> Option<Status> {
        let begun = Instant::now();
        let (mut pause, mut door) = (FIRST_PAUSE, 0);
        loop {
            let question = self.read(order, buyer);
            let outcome = self.ask_once(client, &question, door).await.outcome;
            let status = if let Outcome::Ok { body, .. } = &outcome { Status::of(body) } else { None };
            if status.is_some_and(Status::is_final) || begun.elapsed() >= within {
                return status;
            }
            if self.stop.or(tokio::time::sleep(pause)).await.is_none() {
                return status;
            }
            pause = next_look(pause, begun.elapsed());
            door += 1;
        }
    }

    /// Reading an order.
    pub fn read(&self, order: Uuid, buyer: usize) -> Question {
        let call = Call::ReadOrder { order, buyer: self.buyer(buyer).id };
        Question { buyer, call, body: Bytes::new(), door: 0 }
    }

    /// An order was accepted that was first asked for at this moment.
    pub fn accepted(&self, order: Option<Uuid>, buyer: usize, asked: Instant) {
        match order {
            Some(order) if self.book().accepted(order, buyer) => self.recorder.order_accepted(asked),
            Some(_) => {}
            None => self.counts().trouble("an accepted order without an id"),
        }
    }

    /// An order was seen in this status.
    pub fn seen(&self, order: Uuid, status: Status) {
        if self.book().seen(order, status) {
            self.recorder.order_completed();
        }
    }

    /// A round has ended so.
    pub fn round(&self, round: Round) {
        self.counts().rounds.push(round);
    }

    fn note(&self, question: &Question, outcome: &Outcome) {
        match (&question.call, outcome) {
            (Call::ReadOrder { order, .. }, Outcome::Ok { body, .. }) => {
                if let Some(status) = Status::of(body) {
                    self.seen(*order, status);
                }
            }
            // Refused or not: another try of it may have had its effect.
            (Call::Cancel { order, .. } | Call::Refund { order, .. }, _) => {
                self.book().money_may_return(*order);
            }
            _ => {}
        }
    }
}
