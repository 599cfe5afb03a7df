//! What customers do: journeys of steps. A journey's random choices come from its own seed, so that what it asks for does
//! not depend on how fast anybody answers.

mod basket;
mod browse;
mod follow;
mod login;
mod order;
mod shopper;
mod visit;
mod zipf;

pub use self::{
    basket::Shelf,
    shopper::{Chooser, mix},
    visit::{Line, Start, Visit, World},
};
use crate::profile::Step;

/// Takes a journey's steps one after the other, until one fails or the time is over.
pub async fn walk(visit: &mut Visit, steps: &[Step]) {
    for step in steps {
        if visit.is_over() || take(visit, step).await.is_none() {
            return;
        }
    }
}

/// One step. Nothing means that the journey cannot go on: what went wrong has been recorded.
async fn take(visit: &mut Visit, step: &Step) -> Option<()> {
    match step {
        Step::Browse { pages } => browse::browse(visit, *pages).await,
        Step::Search => browse::search(visit).await,
        Step::Product { times } => browse::product(visit, *times).await,
        Step::Order { payment, wait } => order::order(visit, payment.as_deref(), *wait).await,
        Step::Hot { products, pieces } => order::hot(visit, *products, *pieces).await,
        Step::Retry => order::retry(visit).await,
        Step::Cancel => order::cancel(visit).await,
        Step::Refund { amount } => order::refund(visit, *amount).await,
        Step::Follow { by } => follow::follow(visit, *by).await,
        Step::Login => login::login(visit).await,
        Step::Me => login::me(visit).await,
        Step::History => login::history(visit).await,
        Step::Think { least, most } => visit.think(*least, *most).await,
    }
}
