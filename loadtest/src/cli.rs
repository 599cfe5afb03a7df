//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, value_parser};

/// Load over the wire, and what it says about the platform.
#[derive(Debug, Parser)]
#[command(name = "viscount-loadtest", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Puts a profile's load on a running platform, follows every order to its end, and writes a report.
    ///
    /// Exit status: 0 when the profile's objectives are kept, 1 when one is missed, 2 when the run could not be made, 130
    /// when it was interrupted (what was measured so far is reported all the same).
    Run(Box<RunArgs>),
    /// Compares two reports.
    Compare {
        /// The report to compare with.
        a: PathBuf,
        /// The report that may be better or worse.
        b: PathBuf,
    },
    /// Measures what plain one-row transactions reach on the platform's PostgreSQL server (pgbench).
    Baseline(BaselineArgs),
    /// Lists the profiles that come with the program.
    Profiles,
}

/// What a run may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// A profile that comes with the program (see `profiles`), or the path of one.
    pub profile: String,
    /// The gateway.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// What everything random begins from: the same seed, profile and catalogue make the same requests.
    #[arg(long)]
    pub seed: Option<u64>,
    /// The platform's data directory on this machine: tells which processes are its services.
    #[arg(long, env = "VISCOUNT_DATA_DIR", default_value = ".viscount")]
    pub data_dir: PathBuf,
    /// An administrator's token: goods are received before the load, so that nothing runs out.
    #[arg(long, env = "VISCOUNT_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,
    /// Clients of each closed loop, instead of the profile's number.
    #[arg(long, value_parser = value_parser!(u32).range(1..=50_000))]
    pub clients: Option<u32>,
    /// Arrivals per second of each open loop, instead of the profile's rate; a schedule keeps its shape.
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// Seconds of each phase, warm-up included, instead of the profile's.
    #[arg(long, value_parser = positive)]
    pub duration: Option<f64>,
    /// Seconds at the beginning of each phase that are not measured, instead of the profile's.
    #[arg(long, value_parser = not_negative)]
    pub warm_up: Option<f64>,
    /// Multiplies the profile's clients, streams and rates.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub scale: f64,
    /// First searches the highest rate that keeps the objectives; rates given relative to the peak follow it.
    #[arg(long)]
    pub find_peak: bool,
    /// Also measures the PostgreSQL server with pgbench, and gives the figures as ratios to it.
    #[arg(long)]
    pub with_baseline: bool,
    /// The PostgreSQL server for --with-baseline; without it the data directory's. It has to be the platform's own.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// The file to replay (profile `replay`).
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// Replay only the first so many invoices of the file.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    pub invoices: usize,
    /// Replay so many times faster than it happened; without it as fast as it goes.
    #[arg(long, value_parser = positive)]
    pub speed: Option<f64>,
    /// Replay with so many invoices under way at once.
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u32).range(1..=1_024))]
    pub in_flight: u32,
    /// Replay with an account for each customer of the file, instead of some that share them.
    #[arg(long)]
    pub all_customers: bool,
    /// Where the report goes; without it `loadtest-report/<profile>-<time>`.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// A process of the platform by name, such as `--pid gateway=4711`; others are found through the target's port and
    /// the data directory.
    #[arg(long, value_name = "NAME=PID", value_parser = name_and_pid)]
    pub pid: Vec<(String, u32)>,
    /// No live view.
    #[arg(long)]
    pub no_live: bool,
    /// Needed for targets, and PostgreSQL servers, that are not on this machine.
    #[arg(long)]
    pub i_own_this_target: bool,
}

/// What a baseline may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct BaselineArgs {
    /// The server, as `postgres://user:password@host:port/database`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// The platform's data directory, where its own server is found.
    #[arg(long, env = "VISCOUNT_DATA_DIR", default_value = ".viscount")]
    pub data_dir: PathBuf,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Needed for servers that are not on this machine.
    #[arg(long)]
    pub i_own_this_target: bool,
}

fn number(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text} is not a number"))?;
    if number.is_finite() && number <= 1e7 { Ok(number) } else { Err(format!("{text} is out of bounds")) }
}

fn positive(text: &str) -> Result<f64, String> {
    number(text).and_then(|number| if number > 0.0 { Ok(number) } else { Err("must be above 0".to_owned()) })
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text)
        .and_then(|number| if number >= 0.0 { Ok(number) } else { Err("must not be negative".to_owned()) })
}

fn name_and_pid(text: &str) -> Result<(String, u32), String> {
    let wrong = || format!("{text} is not of the form NAME=PID");
    let (name, pid) = text.split_once('=').ok_or_else(wrong)?;
    if name.is_empty() {
        return Err(wrong());
    }
    Ok((name.to_owned(), pid.parse().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn run(more: &[&str]) -> Result<RunArgs, String> {
        let all = ["viscount-loadtest", "run", "smoke"].iter().chain(more);
        match Cli::try_parse_from(all).map_err(|error| error.to_string())?.command {
            Command::Run(args) => Ok(*args),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_values_are_refused_with_their_option() {
        for wrong in
            [["--rate", "0"], ["--rate", "nan"], ["--scale", "0"], ["--clients", "0"], ["--pid", "12"]]
        {
            let message = run(&wrong).unwrap_err();
            assert!(message.contains(wrong[0]), "{message}");
        }
        assert_eq!(run(&["--pid", "gateway=12"]).unwrap().pid, [("gateway".to_owned(), 12)]);
    }
}
