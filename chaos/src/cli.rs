//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::platform::Engine;

/// Faults on a running First Viscount, and the proof that its promises held all the same.
#[derive(Debug, Parser)]
#[command(name = "viscount-chaos", version, about, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run experiments. Exits 0 when all that must hold held, 1 when not, 2 when one could not be run, 130 when interrupted.
    Run(RunArgs),
    /// List the experiments.
    List,
    /// Print what a run would do and when, without doing it: the same for the same seed.
    Schedule(ScheduleArgs),
    /// Audit what an earlier run has left behind.
    Audit(AuditArgs),
    /// Plant every kind of violation in a good data set, and see that the auditor finds it.
    Selftest,
}

/// `run`
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// `quick`, `all`, names of experiments, or files of one's own.
    #[arg(required = true, value_name = "quick|all|NAME|FILE.toml")]
    pub experiments: Vec<String>,
    /// What decides everything that is left to chance; told in the report when absent.
    #[arg(long)]
    pub seed: Option<u64>,
    /// What carries the events, whatever the experiment says.
    #[arg(long)]
    pub engine: Option<EngineName>,
    /// The folder of the run; a new one below .viscount/chaos when absent.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The program to test; VISCOUNT_BIN, one built for it, or the one beside this program when absent.
    #[arg(long, value_name = "PATH")]
    pub viscount: Option<PathBuf>,
    /// How long each experiment lasts, whatever it says itself.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,
    /// Put a defect into the platform on purpose: the experiments that are made for it have to fail.
    #[arg(long)]
    pub defect: Option<Defect>,
    /// Keep the data of PostgreSQL and the brokers; an experiment that fills a disk cannot be run with it.
    #[arg(long)]
    pub keep: bool,
}

/// `schedule`
#[derive(Debug, Clone, Args)]
pub struct ScheduleArgs {
    /// The name of an experiment, or a file of one's own.
    pub experiment: String,
    /// What decides everything that is left to chance.
    #[arg(long)]
    pub seed: u64,
    /// As `run quick` has it.
    #[arg(long)]
    pub quick: bool,
}

/// `audit`
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// What the clients did and saw: a run's history.jsonl.
    #[arg(long, value_name = "FILE")]
    pub history: PathBuf,
    /// What databases and topics held: a run's dataset.jsonl.gz; beside the history when absent.
    #[arg(long, value_name = "FILE")]
    pub dataset: Option<PathBuf>,
    /// Seconds within which an accepted order has to be final; as the data set says when absent.
    #[arg(long)]
    pub settle: Option<u64>,
}

/// Defects that a platform with failpoints can be told to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Defect {
    /// An event that comes again is taken for a new one.
    Dedupe,
    /// The database lets more pieces be reserved than there are.
    Guard,
    /// An event counts as handled as soon as it has been read.
    Offset,
}

impl Defect {
    /// As the failpoint is called, after `defect.`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dedupe => "dedupe",
            Self::Guard => "guard",
            Self::Offset => "offset",
        }
    }
}

/// The engines as they are written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// Brokers; every service in a process of its own.
    Kafka,
    /// One process with its own log.
    Embedded,
}

impl From<EngineName> for Engine {
    fn from(name: EngineName) -> Self {
        match name {
            EngineName::Kafka => Self::Kafka,
            EngineName::Embedded => Self::Embedded,
        }
    }
}
