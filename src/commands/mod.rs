//! What the program can do, one file or folder each.

mod actors;
mod audit;
mod demo;
mod dev;
mod dlq;
mod events;
mod faults;
mod health;
mod import;
mod migrate;
mod ops;
mod serve;
mod token;
mod top;
mod up;
mod why;

use std::process::ExitCode;

use viscount_chassis::{
    config::Env,
    telemetry::{self, LogFormat, LogOutput, TelemetryConfig},
};

pub use events::Begin;
pub use ops::{OpsArgs, OpsClient, OpsError};

use crate::{
    cli::{Cli, Command},
    failure::Failure,
};

/// Runs the command on an actix system of its own.
pub fn run(cli: Cli, env: Env) -> Result<ExitCode, Failure> {
    let command = cli.command.unwrap_or(Command::Up);
    let telemetry =
        telemetry::init(telemetry_for(&command, &env)?).map_err(|error| Failure::Usage(error.to_string()))?;
    let outcome = actix_rt::System::new().block_on(async {
        match command {
            Command::Up => up::run(&env).await,
            Command::Demo(args) => demo::run(args, &env).await,
            Command::Serve { parts } => serve::run(&parts, &env).await,
            Command::Migrate => migrate::run(&env).await,
            Command::Import(args) => import::run(args, &env).await.map(|()| ExitCode::SUCCESS),
            Command::Token(args) => token::run(&args, &env),
            Command::Events { command } => events::run(command, &env).await.map(|()| ExitCode::SUCCESS),
            Command::Why(args) => why::run(&args, &env).await.map(|()| ExitCode::SUCCESS),
            Command::Health(args) => health::run(&args, &env).await,
            Command::Top(args) => top::run(args, &env).await.map(|()| ExitCode::SUCCESS),
            Command::Dev { command } => dev::run(command).await,
            Command::Dlq { command } => dlq::run(command, &env).await.map(|()| ExitCode::SUCCESS),
            Command::Actors { command } => actors::run(command, &env).await.map(|()| ExitCode::SUCCESS),
            Command::Faults { command } => faults::run(command, &env).await.map(|()| ExitCode::SUCCESS),
            Command::Audit(args) => audit::run(args, &env).await.map(|verdict| verdict.exit_code()),
        }
    });
    drop(telemetry);
    outcome
}

/// Commands that talk to a person keep their logs out of the way: on standard error, warnings only.
fn telemetry_for(command: &Command, env: &Env) -> Result<TelemetryConfig, Failure> {
    let mut config = TelemetryConfig::from_env(env)?;
    if matches!(command, Command::Serve { .. } | Command::Migrate) {
        return Ok(config);
    }
    config.output = LogOutput::Stderr;
    if let Command::Top(args) = command {
        config.traces = None;
        if !args.is_once() {
            // The terminal is drawn on: a line in between would spoil the picture.
            config.filter = "off".to_owned();
        }
    }
    if matches!(command, Command::Health(_) | Command::Dev { .. }) {
        // One question every few seconds is not worth an exporter, and a server is not the platform.
        config.traces = None;
    }
    if env.get("LOG_FORMAT").is_none() {
        config.format = LogFormat::Pretty;
    }
    if config.filter.is_empty() {
        config.filter = "warn".to_owned();
    }
    Ok(config)
}
