//! `viscount-simulation`: runs of the simulation, and records of failing ones made again.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::{Parser, Subcommand, ValueEnum};
use viscount_simulation::{
    defect::Defect,
    record::{Record, RecordError},
    run::{Run, replay, run, shrink},
};

#[derive(Parser)]
#[command(
    name = "viscount-simulation",
    about = "The order saga in one thread, with everything going wrong",
    version
)]
struct Cli {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Runs episodes from one seed or from each of several, or makes a recorded one again.
    Run {
        /// The seed.
        #[arg(long, default_value_t = 1, conflicts_with_all = ["seeds", "replay"])]
        seed: u64,
        /// Seeds from A up to, but not including, B.
        #[arg(long, value_name = "A..B", value_parser = range, conflicts_with = "replay")]
        seeds: Option<std::ops::Range<u64>>,
        /// How many steps for each seed, at least.
        #[arg(long, default_value_t = 1_000_000)]
        steps: u64,
        /// Makes this record again and tells what happens.
        #[arg(long, value_name = "FILE")]
        replay: Option<PathBuf>,
        /// Breaks the model on purpose.
        #[arg(long)]
        defect: Option<Defect>,
        /// Where a failing run is written, made small.
        #[arg(long, value_name = "FILE", default_value = "simulation-failure.json")]
        record: PathBuf,
    },
}

fn range(text: &str) -> Result<std::ops::Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("two numbers with .. between them")?;
    let number = |text: &str| text.parse::<u64>().map_err(|problem| problem.to_string());
    let range = number(from)?..number(to)?;
    if range.is_empty() { Err("there is no seed between them".to_owned()) } else { Ok(range) }
}

fn main() -> ExitCode {
    let What::Run { seed, seeds, steps, replay: file, defect, record } = Cli::parse().command;
    let mut out = std::io::stdout().lock();
    let done = match file {
        Some(file) => again(&file, defect, &mut out),
        None => seeds
            .unwrap_or(seed..seed.saturating_add(1))
            .map(|seed| one(seed, steps, defect, &record, &mut out))
            .try_fold(true, |sound, one| Ok(sound & one?)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "viscount-simulation: {problem}");
            ExitCode::from(2)
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("cannot print: {0}")]
    Print(#[from] std::io::Error),
    #[error("the record was made with a defect that this program does not know: {0}")]
    Defect(String),
}

/// One seed. True when nothing was found.
fn one(
    seed: u64,
    steps: u64,
    defect: Option<Defect>,
    file: &Path,
    out: &mut impl Write,
) -> Result<bool, Problem> {
    let began = Instant::now();
    let Run { episodes, steps, standing, failure } = run(seed, steps, defect);
    let seconds = began.elapsed().as_secs_f64();
    let orders: usize = standing.values().sum();
    writeln!(
        out,
        "seed {seed}: {steps} steps in {seconds:.1} s, {episodes} episodes, {orders} orders {standing:?}"
    )?;
    let Some((found, violation)) = failure else { return Ok(true) };
    writeln!(out, "seed {seed}, episode {}: {violation}", episodes - 1)?;
    let small = shrink(&found, defect);
    let again = replay(&small, defect, true);
    writeln!(out, "{} steps made {}:", found.len(), small.len())?;
    for line in &again.trace {
        writeln!(out, "{line}")?;
    }
    let violation = again.violation.unwrap_or(violation);
    let name = defect.and_then(|defect| Some(defect.to_possible_value()?.get_name().to_owned()));
    Record { violation, seed, defect: name, steps: small }.write(file)?;
    writeln!(out, "written to {}", file.display())?;
    Ok(false)
}

/// A record, made again. True when nothing is found any more.
fn again(file: &Path, defect: Option<Defect>, out: &mut impl Write) -> Result<bool, Problem> {
    let record = Record::read(file)?;
    let defect = match (defect, &record.defect) {
        (None, Some(name)) => Some(Defect::from_str(name, false).map_err(|_| Problem::Defect(name.clone()))?),
        (defect, _) => defect,
    };
    let episode = replay(&record.steps, defect, true);
    for line in &episode.trace {
        writeln!(out, "{line}")?;
    }
    match &episode.violation {
        Some(violation) => writeln!(out, "{violation}")?,
        None => writeln!(out, "nothing is violated; the record says: {}", record.violation)?,
    }
    Ok(episode.violation.is_none())
}
