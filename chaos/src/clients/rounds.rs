//! The journeys in which many ask at once: `same_key` (one request, one key) and `last_pieces` (more buyers than pieces).
//! They ask the replicas of the order service directly, in turn, so that both are sure to be asked at once.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use uuid::Uuid;

use super::{
    book::{Question, Status, order_of},
    figures::Round,
    setup::{self, SetUpError},
    world::World,
};
use crate::history::{Outcome, Wanted};

/// How long the orders of a round may take to be final.
const FINAL: Duration = Duration::from_secs(120);
/// So many orders of a round are read at once.
const READERS: usize = 64;
/// Sells for sure.
const PAYS: &str = "tok_visa";

/// Rounds of one request that comes many times at once.
pub async fn same_key(world: &Arc<World>, products: &[Uuid]) {
    for round in 1..=world.load.rounds {
        if world.stop.is_asked() {
            return;
        }
        let product = products[round as usize % products.len()];
        let key = format!("{}-round-{round}", world.run);
        let lines = vec![Wanted { product, quantity: 1 }];
        let question = world.order(round as usize, key, lines, PAYS);
        let questions = vec![question; world.load.at_once() as usize];
        ask_all(world, round, questions).await;
    }
}

/// Rounds of a new product each, with fewer pieces than there are buyers.
pub async fn last_pieces(world: &Arc<World>) -> Result<(), SetUpError> {
    for round in 1..=world.load.rounds {
        if world.stop.is_asked() {
            return Ok(());
        }
        let name = format!("round-{round}");
        let made = setup::product(world, &name, world.load.pieces);
        let Some(product) = world.stop.or(made).await.transpose()? else { return Ok(()) };
        let buys = |buyer: usize| {
            let lines = vec![Wanted { product, quantity: 1 }];
            world.order(buyer, format!("{}-round-{round}-{buyer}", world.run), lines, PAYS)
        };
        let questions = (0..world.load.at_once() as usize).map(buys).collect();
        ask_all(world, round, questions).await;
    }
    Ok(())
}

/// Asks all at once, waits until every order is final, and notes what came of it.
async fn ask_all(world: &Arc<World>, number: u32, questions: Vec<Question>) {
    let mut round = Round { round: number, asked: questions.len() as u32, ..Round::default() };
    let clients = questions.into_iter().enumerate().map(|(at, mut question)| {
        question.door = at;
        let mut random = world.random((u64::from(number) << 32) | at as u64);
        async move {
            let buyer = question.buyer;
            (world.ask(world.new_client(), question, &mut random).await, buyer)
        }
    });
    let (mut orders, mut bodies) = (HashSet::new(), HashSet::new());
    for (outcome, buyer) in futures_util::future::join_all(clients).await {
        if let Outcome::Ok { body, .. } = outcome {
            round.answered += 1;
            orders.extend(order_of(&body).map(|order| (order, buyer)));
            bodies.insert(body.to_string());
        }
    }
    (round.orders, round.bodies) = (orders.len() as u32, bodies.len() as u32);
    let until = Instant::now() + FINAL;
    let ends = orders.into_iter().map(|(order, buyer)| async move {
        let left = until.saturating_duration_since(Instant::now());
        world.until_final(world.new_client(), order, buyer, left).await
    });
    let ends: Vec<_> = stream::iter(ends).buffer_unordered(READERS).collect().await;
    for end in ends {
        match end {
            Some(status) if status.was_completed() => round.completed += 1,
            None | Some(Status::Open) => round.open += 1,
            Some(_) => round.ended += 1,
        }
    }
    world.round(round);
}
