//! Load over the wire, and what it says about the platform. The harness knows the platform only by its public contract.
//!
//! A profile (TOML) has phases; a phase has a load (an open loop with a schedule of arrivals, or a closed loop of
//! clients) and journeys made of steps. What the figures mean, and what they do not:
//! - In an open loop the schedule is kept whatever the answers do, and latency counts from the moment an arrival was
//!   meant to begin: a server that stalls cannot hide the requests that it kept from being made.
//! - In a closed loop clients slow down with the server. Its latency says what these clients saw.
//! - The harness shares the machine with what it measures, unless told otherwise; its own CPU time is reported. It is one
//!   thread: what it uses is what the platform cannot.
//! - An order counts as accepted when its 201 has arrived, and is followed to its final status.

mod arrivals;
mod baseline;
mod cli;
mod client;
mod engine;
mod failure;
mod journey;
mod measure;
mod profile;
mod replay;
mod report;
mod stop;
mod streams;

use std::{future::Future, process::ExitCode};

use clap::Parser;
use tokio::runtime::{Builder, LocalOptions};

use self::{
    cli::{Cli, Command},
    failure::Failure,
    stop::Stop,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An objective was missed.
const MISSED: u8 = 1;
/// The run could not be made.
const UNUSABLE: u8 = 2;
/// As shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => on_one_thread(|stop| async move { engine::run(&args, &stop).await }),
        Command::Compare { a, b } => report::compare::files(&a, &b),
        Command::Baseline(args) => on_one_thread(|stop| async move { baseline::alone(&args, &stop).await }),
        Command::Profiles => Ok(profile::shipped::list()),
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("viscount-loadtest: {failure}");
        ExitCode::from(UNUSABLE)
    })
}

/// One thread: what the harness uses is what the platform cannot. A `LocalSet` would wake its thread by a system call for
/// every event, though it is that very thread that has seen it; tokio's local runtime does not, nor does it for tasks.
fn on_one_thread<F, W>(work: W) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>> + 'static,
    W: FnOnce(Stop) -> F + 'static,
{
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let runtime = runtime.map_err(|error| Failure::Other(format!("no runtime: {error}")))?;
    let ended = runtime.block_on(async {
        let task = tokio::task::spawn_local(async { work(Stop::on_ctrl_c()).await });
        task.await
    });
    ended.unwrap_or_else(|error| Err(Failure::Other(format!("the run broke: {error}"))))
}
