//! `viscount-chaos`: see `--help`, and the documentation of the library for how it works.

use std::{process::ExitCode, time::Duration};

use chaos::{
    cli::{Cli, Command},
    run::{self, Failure, Verdict},
};
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

/// For tasks that hold on to a platform, until it is cleaned up.
const CLEAN_UP: Duration = Duration::from_secs(30);
const COULD_NOT_RUN: u8 = 2;
/// As a shell tells a Ctrl-C.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("viscount-chaos: {error}");
            return ExitCode::from(COULD_NOT_RUN);
        }
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = carry_out(cli.command) => Some(outcome),
            () = interrupted() => None,
        }
    });
    if outcome.is_none() {
        eprintln!("viscount-chaos: interrupted; cleaning up");
    }
    // With the last task goes the last hold on a platform, which ends its processes.
    runtime.shutdown_timeout(CLEAN_UP);
    match outcome {
        Some(Ok(Verdict::Holds)) => ExitCode::SUCCESS,
        Some(Ok(Verdict::Violated)) => ExitCode::FAILURE,
        Some(Err(failure)) => {
            eprintln!("viscount-chaos: {failure}");
            ExitCode::from(COULD_NOT_RUN)
        }
        None => ExitCode::from(INTERRUPTED),
    }
}

async fn carry_out(command: Command) -> Result<Verdict, Failure> {
    match command {
        Command::Run(args) => run::run(args).await,
        Command::List => run::list(),
        Command::Schedule(args) => run::schedule(&args),
        Command::Audit(args) => run::audit(&args),
        Command::Selftest => run::selftest(),
    }
}

/// Waits for SIGINT or SIGTERM.
async fn interrupted() {
    let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate)] = signals else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
