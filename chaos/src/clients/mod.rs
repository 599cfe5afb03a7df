//! Clients that order, cancel, refund and watch, and write down what they saw.
//!
//! A load is a [`Load`], the `[load]` table of an experiment. It has three parts, because faults belong between them:
//!
//! ```no_run
//! # use chaos::{clients::{Clients, Load, Stop, Target}, history::Recorder};
//! # async fn example(load: Load, target: Target, stop: Stop) -> Result<(), Box<dyn std::error::Error>> {
//! let recorder = Recorder::create("history.jsonl".as_ref())?;
//! let clients = Clients::prepare(&load, &target, &recorder).await?;   // buyers, products, stock
//! clients.run(&stop).await?;                                          // until the journey or `stop` ends it
//! clients.settle(std::time::Duration::from_secs(60)).await;           // everything final, everything read back
//! let figures = clients.figures();
//! recorder.close().await?;
//! # drop(figures); Ok(())
//! # }
//! ```
//!
//! Clients are careful: a request without an answer is asked again with the same key and the same body, and is known as
//! unknown until one comes. What chance decides is decided by the seed, for each visit by its number: how long answers take
//! does not change what is done. Ids of buyers and keys are new for each run.

mod book;
mod figures;
mod files;
mod follow;
mod http;
mod load;
mod plan;
mod rounds;
mod settle;
mod setup;
mod stop;
mod stream;
mod visit;
mod watchers;
mod world;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

pub use figures::{LoadFigures, Round};
pub use files::{TooFewFiles, allow_files};
pub use load::{BadLoad, Journey, Load};
pub use setup::SetUpError;
pub use stop::Stop;
pub use world::{Target, Tokens};

use crate::history::Recorder;
use world::World;

/// The clients of a load.
pub struct Clients {
    world: Arc<World>,
    products: Arc<Vec<Uuid>>,
}

impl Clients {
    /// Gets buyers their tokens, makes products and receives their stock; all that is in the history as well. Retries for a
    /// minute, since services may only just have come up.
    pub async fn prepare(load: &Load, target: &Target, recorder: &Recorder) -> Result<Self, SetUpError> {
        let world = Arc::new(setup::world(load, target, recorder).await?);
        let products = match load.journey {
            // Each round has its own.
            Journey::LastPieces => Vec::new(),
            Journey::Orders | Journey::SameKey | Journey::Streams => setup::products(&world).await?,
        };
        Ok(Self { world, products: Arc::new(products) })
    }

    /// The journey, until it has ended or `stop` ends it: what is under way then may go on for as long as a request may
    /// take. Second 0 of the timeline is now.
    pub async fn run(&self, stop: &Stop) -> Result<(), SetUpError> {
        let Self { world, products } = self;
        world.recorder.begin_timeline();
        let ends = async {
            stop.asked().await;
            world.stop.ask();
            std::future::pending().await
        };
        let journey = async {
            match world.load.journey {
                Journey::Orders => visit::run(world, products).await,
                Journey::SameKey => rounds::same_key(world, products).await,
                Journey::LastPieces => return rounds::last_pieces(world).await,
                Journey::Streams => watchers::run(world, products).await,
            }
            Ok(())
        };
        let ended = tokio::select! {
            ended = journey => ended,
            never = ends => never,
        };
        world.stop.ask();
        world.counts().seconds = world.recorder.seconds();
        ended
    }

    /// When load and faults are over: asks what is unanswered with the same keys, and reads every order back, until it is
    /// final and its money is where it belongs; at most so long.
    pub async fn settle(&self, within: Duration) {
        settle::settle(&self.world, within).await;
    }

    /// What came of it. Seconds and what is counted in them are those of [`Clients::run`].
    pub fn figures(&self) -> LoadFigures {
        self.world.figures()
    }
}
