//! `viscount dev`: the servers that the platform needs, each by itself in the foreground, for who runs the services as
//! processes of their own; and what this program was built with.
//!
//! A server says where it is in one line of JSON on standard output once it is ready. It ends on SIGTERM and Ctrl-C, and
//! where standard input is a pipe, when that is closed: whoever started it cannot leave it behind. Its data stays.

mod features;
#[cfg(feature = "kafka")]
mod kafka;
mod postgres;

use std::{io::Read as _, os::fd::AsFd as _, os::unix::fs::FileTypeExt as _, process::ExitCode};

use serde_json::Value;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use crate::{cli::DevCommand, failure::Failure};

/// Runs one of them.
pub async fn run(command: DevCommand) -> Result<ExitCode, Failure> {
    match command {
        DevCommand::Postgres(args) => postgres::run(args).await,
        #[cfg(feature = "kafka")]
        DevCommand::Kafka(args) => kafka::run(args).await,
        DevCommand::Features => {
            say(&features::features());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn say(value: &Value) {
    println!("{value}");
}

/// Waits until it is to end: a signal, or the end of the pipe that standard input is.
async fn asked_to_end() -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::doing("signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = left_alone() => {}
    }
    Ok(())
}

/// Waits until nobody holds the other end of standard input. Never, where it is no pipe.
async fn left_alone() {
    let (closed, until_closed) = oneshot::channel();
    let is_pipe = || {
        let stdin = std::fs::File::from(std::io::stdin().as_fd().try_clone_to_owned().ok()?);
        let kind = stdin.metadata().ok()?.file_type();
        Some(kind.is_fifo() || kind.is_socket())
    };
    if is_pipe() != Some(true) {
        return std::future::pending().await;
    }
    // A thread that nobody waits for at the end: it may be reading for ever.
    let reading = std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut ignored = [0; 256];
        while matches!(std::io::stdin().lock().read(&mut ignored), Ok(1..)) {}
        let _ = closed.send(());
    });
    match reading {
        Ok(_) => drop(until_closed.await),
        Err(_) => std::future::pending().await,
    }
}
