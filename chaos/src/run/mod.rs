//! Runs what the command line asks for.

mod course;
mod figures;
mod library;
mod paper;
mod sampler;
mod tell;

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rand::RngExt as _;

use crate::{
    audit,
    cli::{AuditArgs, RunArgs, ScheduleArgs},
    experiment::{Experiment, ExperimentError, span},
    history,
    platform::{PlatformError, program::Program},
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
    /// What was asked for is not there, or is wrong, or could not be done.
    #[error("{0}")]
    Usage(String),
    /// An experiment that cannot be meant.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// The platform under test.
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

/// `run`
pub async fn run(args: RunArgs) -> Result<Verdict, Failure> {
    // What is wrong in the last of them is told before the first begins.
    let mut experiments = library::meant(&args.experiments)?;
    for experiment in &mut experiments {
        if let Some(seconds) = args.seconds {
            *experiment = experiment.with_length(std::time::Duration::from_secs(seconds))?;
        }
        if let Some(engine) = args.engine {
            *experiment = experiment.on(engine.into())?;
        }
    }
    library::tell_apart(&mut experiments);
    let folder = args.data.clone().unwrap_or_else(|| folder(&args.experiments.join("-")));
    is_free(&folder, &experiments)?;
    let named = args.viscount.clone();
    let found = tokio::task::spawn_blocking(move || Program::find(named.as_deref())).await;
    let program = Program::ask(&found.map_err(|error| Failure::Usage(error.to_string()))??).await?;
    let seed = args.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    let setting = course::Setting {
        armed: args.defect.map(|defect| format!("defect.{}=return", defect.name())),
        program,
        seed,
        keep: args.keep,
    };
    eprintln!("viscount-chaos: seed {seed}, {} experiments, in {}", experiments.len(), folder.display());
    let mut told = tell::Told::new(&setting);
    for experiment in &experiments {
        eprintln!("viscount-chaos: {}: {}", experiment.name, experiment.about);
        let outcome = course::run(experiment, &setting, &folder.join(&experiment.name)).await;
        told.add(experiment, outcome);
        // After each, so that what was found is kept whatever becomes of the next.
        told.write(&folder)?;
    }
    print(&format!("{}report: {}\n", told.table(), folder.join("report.html").display()));
    told.verdict()
}

/// Refuses a folder in which evidence would be lost.
fn is_free(folder: &Path, experiments: &[Experiment]) -> Result<(), Failure> {
    let histories = experiments.iter().map(|experiment| folder.join(&experiment.name).join("history.jsonl"));
    match histories.chain([folder.join("report.json")]).find(|path| path.exists()) {
        Some(earlier) => {
            Err(Failure::Usage(format!("{} is an earlier run's: choose another folder", earlier.display())))
        }
        None => Ok(()),
    }
}

/// A new folder for a run.
fn folder(name: &str) -> PathBuf {
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%S").to_string();
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    Path::new(".viscount/chaos").join(format!("{time}-{name}"))
}

/// Prints what was asked for. Who reads only the beginning of it has seen enough.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// `list`
pub fn list() -> Result<Verdict, Failure> {
    let mut text = String::new();
    for experiment in library::all()? {
        let quick = if experiment.quick.is_some() { "quick" } else { "" };
        let length = span::text(experiment.length);
        let _ = writeln!(text, "{:<22} {length:>5}  {quick:<5}  {}", experiment.name, experiment.about);
    }
    print(&text);
    Ok(Verdict::Holds)
}

/// `schedule`
pub fn schedule(args: &ScheduleArgs) -> Result<Verdict, Failure> {
    let mut experiment: Experiment = library::one(&args.experiment)?;
    if args.quick {
        let Some(scaled) = experiment.scaled_down().transpose()? else {
            return Err(Failure::Usage(format!("{} is no part of the quick set", experiment.name)));
        };
        experiment = scaled;
    }
    let mut text = String::new();
    for step in experiment.schedule(args.seed)? {
        let _ = writeln!(text, "{:>9.3}  {}", step.at.as_secs_f64(), step.action.words());
    }
    print(&text);
    Ok(Verdict::Holds)
}

/// `audit`
pub fn audit(args: &AuditArgs) -> Result<Verdict, Failure> {
    let usual = || args.history.with_file_name("dataset.jsonl.gz");
    let path = args.dataset.clone().unwrap_or_else(usual);
    let told =
        |path: &Path, error: &dyn std::fmt::Display| Failure::Usage(format!("{}: {error}", path.display()));
    let mut data = audit::Dataset::read(&path).map_err(|error| told(&path, &error))?;
    data.history = history::read(&args.history).map_err(|error| told(&args.history, &error))?;
    let mut terms = data.terms.unwrap_or_default();
    if let Some(settle) = args.settle {
        terms.settle = std::time::Duration::from_secs(settle);
    }
    let violations = audit::check(&data, &terms);
    let mut text = String::new();
    for violation in &violations {
        let _ = writeln!(text, "{violation}\n");
    }
    let _ = writeln!(
        text,
        "{} violations in {} events and {} lines of history",
        violations.len(),
        data.events.len(),
        data.history.len()
    );
    print(&text);
    Ok(if violations.is_empty() { Verdict::Holds } else { Verdict::Violated })
}

/// `selftest`
pub fn selftest() -> Result<Verdict, Failure> {
    let outcome = crate::selftest::selftest().map_err(|error| Failure::Usage(error.to_string()))?;
    print(&format!("{outcome}\n"));
    Ok(if outcome.passed() { Verdict::Holds } else { Verdict::Violated })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_evidence_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let experiments = library::meant(&["panics".to_owned()]).unwrap();
        let refused = || is_free(folder.path(), &experiments).map_err(|error| error.to_string());
        std::fs::create_dir(folder.path().join("panics")).unwrap();
        std::fs::create_dir(folder.path().join("poison")).unwrap();
        std::fs::write(folder.path().join("poison/history.jsonl"), "").unwrap();
        assert_eq!(refused(), Ok(()));
        for evidence in ["report.json", "panics/history.jsonl"] {
            let path = folder.path().join(evidence);
            std::fs::write(&path, "").unwrap();
            assert!(refused().unwrap_err().contains(evidence), "{:?}", refused());
            std::fs::remove_file(path).unwrap();
        }
    }
}
