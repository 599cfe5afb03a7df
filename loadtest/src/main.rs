//! Load over the wire, as customers make it: a fixed number of clients, each with one connection, each placing its next
//! order as soon as the last one was answered (a closed loop). Afterwards every accepted order is followed to its final
//! status. It knows the platform only by its public contract.
//!
//! What the figures mean, and what they do not:
//! - A closed loop slows down with the server. Its latency says what these clients saw, not what a fixed rate of
//!   arrivals would have seen.
//! - The harness shares the machine with what it measures, unless told otherwise; its own CPU time is reported.
//! - An order counts as accepted when its 201 has arrived. A request without a clear answer is made again under the
//!   same idempotency key, as a good client does; its latency is that of the try that was answered.
//! - Times from created to final are the platform's own (`created_at`, `updated_at`).

mod args;
mod basket;
mod customers;
mod figures;
mod follow;
mod load;
mod processes;
mod shop;
mod wire;

use std::{process::ExitCode, time::Instant};

use clap::Parser;

use self::{args::Args, customers::Customers, figures::Figures, shop::Shop, wire::Target};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What ends a run before there are figures.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection.
    #[error(transparent)]
    Wire(#[from] wire::WireError),
    /// An answer that a run cannot go on with.
    #[error("{what} answered {status}: {body}")]
    Answer {
        /// What was asked.
        what: String,
        /// The status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    // One thread: what the harness uses is what the platform cannot.
    let outcome = tokio::task::LocalSet::new().block_on(&runtime, run(&args));
    match outcome {
        Ok(figures) => {
            // A reader who has gone away has seen enough.
            let _ = figures.tell(&mut std::io::stdout());
            if let Some(path) = &args.json
                && let Err(error) = std::fs::write(path, figures.json())
            {
                return failed(&format!("{}: {error}", path.display()));
            }
            if figures.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => failed(&failure),
    }
}

fn failed(why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("viscount-loadtest: {why}");
    ExitCode::FAILURE
}

async fn run(args: &Args) -> Result<Figures, Failure> {
    let target = Target::parse(&args.url)?;
    let customers = Customers::register(&target, args.customers).await?;
    let shop = Shop::visit(&target, args.products).await?;
    if let Some(token) = &args.admin_token {
        shop.restock(&target, token, args.restock).await?;
    }
    customers.keep_logged_in(&target);
    let before = processes::usage(&args.pid);
    let started = Instant::now();
    let load = load::run(args, &target, &customers, &shop).await;
    let loaded = started.elapsed();
    let followed = follow::until_final(&target, &customers, &load, args.final_within()).await?;
    let used = processes::usage(&args.pid).since(&before);
    Ok(Figures::new(args, load, loaded, followed, used))
}
