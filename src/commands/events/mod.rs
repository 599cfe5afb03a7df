//! `viscount events`: looking at topics, and making of them anew what is made of them.

mod begin;
#[cfg(feature = "kafka")]
mod broker;
mod replay;
mod tail;

use viscount_chassis::config::Env;

pub use begin::Begin;

use crate::{cli::EventsCommand, failure::Failure};

/// Does what was asked.
pub async fn run(command: EventsCommand, env: &Env) -> Result<(), Failure> {
    match command {
        EventsCommand::Tail(args) => tail::run(args, env).await,
        EventsCommand::Replay(args) => replay::run(args, env).await,
    }
}
