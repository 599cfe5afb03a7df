//! The journey `orders`: visitors come at a rate, whatever the platform does, and each does as its plan says.

use std::{sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use uuid::Uuid;

use super::{
    Load,
    book::{Question, Status, order_of},
    follow::follow,
    plan::{Deed, Plan, Refund},
    world::World,
};
use crate::history::{Call, Outcome, Wanted};

/// How long an order is waited for or followed by a visitor. Whoever is not final then is looked at when the load has ended.
const FOLLOWED: Duration = Duration::from_secs(120);
/// How long visits may go on when the load has ended, beyond what a request may take.
const GRACE: Duration = Duration::from_secs(5);
/// The currency's code when an order's total cannot be read; it is then refused.
const NO_CURRENCY: &str = "";

/// Visitors come until the load ends.
pub async fn run(world: &Arc<World>, products: &Arc<Vec<Uuid>>) {
    let places = Arc::new(Semaphore::new(world.load.visits as usize));
    let mut chance = world.random(0);
    let mut visits = JoinSet::new();
    let mut next = Instant::now();
    for number in 1.. {
        // Gaps of a Poisson process: exponentially distributed.
        let gap = -(1.0 - chance.random::<f64>()).ln() / world.load.rate;
        next += Duration::from_secs_f64(gap);
        if world.stop.or(sleep_until(next)).await.is_none() {
            break;
        }
        let place = match places.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                world.counts().late += 1;
                match world.stop.or(places.clone().acquire_owned()).await {
                    Some(Ok(place)) => place,
                    // It is never closed.
                    Some(Err(_)) | None => break,
                }
            }
        };
        world.counts().visits += 1;
        while visits.try_join_next().is_some() {}
        let (world, products) = (world.clone(), products.clone());
        visits.spawn(async move {
            visit(&world, &products, number).await;
            drop(place);
        });
    }
    let all = async { while visits.join_next().await.is_some() {} };
    if timeout(grace(&world.load), all).await.is_err() {
        visits.shutdown().await;
    }
}

/// Longer than a request: what is under way when the load ends has its answer, or none in time.
pub(super) fn grace(load: &Load) -> Duration {
    load.timeout + GRACE
}

async fn visit(world: &World, products: &[Uuid], number: u64) {
    let mut random = world.random(number);
    let plan = Plan::new(&world.load, &mut random);
    let wanted = |(product, quantity): &(usize, u32)| {
        products.get(*product).map(|product| Wanted { product: *product, quantity: *quantity })
    };
    let lines: Vec<Wanted> = plan.lines.iter().filter_map(wanted).collect();
    let key = format!("{}-{number}", world.run);
    let question = world.order(plan.buyer, key.clone(), lines.clone(), &plan.payment);
    let client = world.new_client();
    let mut twin = StdRng::from_rng(&mut random);
    let (outcome, _) = tokio::join!(world.ask(client, question.clone(), &mut random), async {
        if plan.at_once {
            world.ask(world.new_client(), question.clone(), &mut twin).await;
        }
    });
    let Outcome::Ok { body, .. } = outcome else { return };
    let Some(order) = order_of(&body) else { return };
    let visit = Visit { world, plan: &plan, client, key: &key, order, total: &body["total"] };
    tokio::join!(visit.follows(), async {
        if plan.other_body {
            let mut lines = lines;
            lines[0].quantity += 1;
            visit.reuses_the_key(world.order(plan.buyer, key.clone(), lines, &plan.payment)).await;
        }
        visit.does(&mut random).await;
        visit.repeats(question, &mut random).await;
    });
}

/// A visit whose order was accepted.
struct Visit<'a> {
    world: &'a World,
    plan: &'a Plan,
    client: u32,
    key: &'a str,
    order: Uuid,
    total: &'a serde_json::Value,
}

impl Visit<'_> {
    async fn follows(&self) {
        if let Some(how) = &self.plan.follow {
            follow(self.world, self.order, self.plan.buyer, how, FOLLOWED).await;
        }
    }

    /// Another body with the key of an order that was accepted: whatever is answered, it must not be 2xx.
    async fn reuses_the_key(&self, other: Question) {
        let outcome = self.world.ask_once(self.client, &other, 0).await.outcome;
        if matches!(outcome, Outcome::Ok { .. }) {
            self.world.counts().trouble("a key was taken with another body");
        }
    }

    async fn repeats(&self, question: Question, random: &mut StdRng) {
        let Some(millis) = self.plan.again_after else { return };
        if self.world.stop.or(sleep(Duration::from_millis(millis))).await.is_some() {
            self.world.ask(self.client, question, random).await;
        }
    }

    async fn does(&self, random: &mut StdRng) {
        let Self { world, plan, client, order, .. } = *self;
        match plan.deed {
            Deed::Nothing => {}
            Deed::Read => {
                world.until_final(client, order, plan.buyer, FOLLOWED).await;
            }
            Deed::Cancel(millis) => {
                if world.stop.or(sleep(Duration::from_millis(millis))).await.is_some() {
                    let call = Call::Cancel { order, buyer: world.buyer(plan.buyer).id, key: None };
                    self.ask(client, call, &json!({"reason": "changed my mind"}), random).await;
                }
            }
            Deed::Refund(refund) => {
                if world.until_final(client, order, plan.buyer, FOLLOWED).await == Some(Status::Completed) {
                    self.refunds(refund, random).await;
                }
            }
        }
    }

    async fn refunds(&self, refund: Refund, random: &mut StdRng) {
        match refund {
            Refund::Part { amount, rest } => {
                self.refund(self.client, "part", Some(amount), random).await;
                if rest {
                    self.refund(self.client, "rest", None, random).await;
                }
            }
            Refund::All => self.refund(self.client, "all", None, random).await,
            Refund::Twice => {
                let mut twin = StdRng::from_rng(random);
                tokio::join!(
                    self.refund(self.client, "all", None, random),
                    self.refund(self.world.new_client(), "all", None, &mut twin)
                );
            }
        }
    }

    async fn refund(&self, client: u32, which: &str, amount: Option<i64>, random: &mut StdRng) {
        let (order, buyer) = (self.order, self.world.buyer(self.plan.buyer).id);
        let call = Call::Refund { order, buyer, key: format!("{}-{which}", self.key), amount };
        let currency = self.total["currency"].as_str().unwrap_or(NO_CURRENCY);
        let body = match amount {
            Some(amount) => {
                json!({"amount": {"amount": amount, "currency": currency}, "reason": "does not fit"})
            }
            None => json!({"reason": "does not fit"}),
        };
        self.ask(client, call, &body, random).await;
    }

    async fn ask(&self, client: u32, call: Call, body: &serde_json::Value, random: &mut StdRng) {
        let body = body.to_string().into();
        let question = Question { buyer: self.plan.buyer, call, body, door: 0 };
        self.world.ask(client, question, random).await;
    }
}
