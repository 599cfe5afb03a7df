//! Runs what the command line asks for.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::{
    cli::{AuditArgs, RunArgs, ScheduleArgs},
    platform::{Plan, Platform, PlatformError, program::Program},
};

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All that must hold held.
    Holds,
    /// A violation, or an expectation that was missed.
    Violated,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for is not there, or is wrong.
    #[error("{0}")]
    Usage(String),
    /// The platform under test.
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

/// `run`: starts a platform, waits until it is ready, stops it.
pub async fn run(args: RunArgs) -> Result<Verdict, Failure> {
    let named = args.viscount.clone();
    let found = tokio::task::spawn_blocking(move || Program::find(named.as_deref())).await;
    let program = Program::ask(&found.map_err(|error| Failure::Usage(error.to_string()))??).await?;
    let name = args.experiments.join("-");
    let folder = args.data.clone().unwrap_or_else(|| folder(&name));
    let mut plan = Plan { keep: args.keep, ..Plan::new(program.path) };
    if let Some(engine) = args.engine {
        plan.engine = engine.into();
    }
    let platform = Platform::start(plan, &folder).await?;
    eprintln!("viscount-chaos: the platform is up at {}", platform.door());
    platform.stop().await?;
    Ok(Verdict::Holds)
}

/// A new folder for a run.
fn folder(name: &str) -> PathBuf {
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%S").to_string();
    Path::new(".viscount/chaos").join(format!("{time}-{name}"))
}

/// `list`
pub fn list() -> Result<Verdict, Failure> {
    Err(Failure::Usage("there are no experiments".to_owned()))
}

/// `schedule`
pub fn schedule(args: &ScheduleArgs) -> Result<Verdict, Failure> {
    Err(Failure::Usage(format!("there is no experiment {}", args.experiment)))
}

/// `audit`
pub fn audit(args: &AuditArgs) -> Result<Verdict, Failure> {
    Err(Failure::Usage(format!("{} cannot be audited", args.history.display())))
}

/// `selftest`
pub fn selftest() -> Result<Verdict, Failure> {
    Err(Failure::Usage("there is no data set".to_owned()))
}
