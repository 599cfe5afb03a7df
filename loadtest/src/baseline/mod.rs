//! What plain one-row transactions reach on the platform's own PostgreSQL server, in the same run: figures of another
//! machine or another day could not be compared.
//!
//! pgbench runs two scripts (`loadtest/baseline/*.sql`) with 16 clients and prepared statements in a database of its own,
//! which is dropped afterwards. The server's settings stay as they are, fsync among them, and stand in the report. Half of it
//! runs before the load and half after it: machines get quicker and slower within minutes.

mod output;
mod programs;
mod server;

use std::{collections::BTreeMap, path::Path, process::ExitCode, time::Duration};

use self::{
    programs::Programs,
    server::{Database, Server},
};
use crate::{
    Failure,
    cli::BaselineArgs,
    client::wire::Target,
    measure::components::Endpoints,
    report::{
        model::{Baseline, Bench, Half},
        terminal,
    },
    stop::Stop,
};

/// Concurrent clients: more than the cores, as many as a service has connections.
const CLIENTS: u32 = 16;
/// How long an interrupted measurement may take to remove its database.
const CLEARING: Duration = Duration::from_secs(10);
/// What is read of the server.
const SETTINGS: [&str; 8] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "wal_compression",
    "shared_buffers",
    "max_wal_size",
    "commit_delay",
];
/// Tables and their first rows.
const SCHEMA: &str = include_str!("../../baseline/schema.sql");
/// One order as four transactions.
const ORDER_FLOW: &str = include_str!("../../baseline/order_flow.sql");
/// One update of the same row.
const HOT_ROW: &str = include_str!("../../baseline/hot_row.sql");

/// A server that may be measured, and what was measured on it so far.
pub struct Measuring {
    /// Or why there is none to measure.
    on: Result<(Server, Programs), String>,
    baseline: Baseline,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Which server is wanted.
pub struct Wanted<'a> {
    /// A server by its URL.
    pub url: Option<&'a str>,
    /// Or else the one of this data directory.
    pub data_dir: &'a Path,
    /// The platform that it has to be the server of, when it is measured beside one.
    pub target: Option<&'a Target>,
    /// Whether it may be on another machine.
    pub is_ours: bool,
}

impl Measuring {
    /// Looks for the server. One that is somebody else's, or not the platform's, is an error: a database is made and dropped
    /// there, and 16 clients write into it as fast as they can. That there is none, or no pgbench, is part of the report.
    pub async fn prepare(wanted: &Wanted<'_>) -> Result<Self, Failure> {
        let mut notes = Vec::new();
        let on = match find(wanted, &mut notes).await {
            Ok(server) => Programs::find().map(|programs| (server, programs)),
            Err(Unfit::Forbidden(why)) => return Err(Failure::Other(why)),
            Err(Unfit::Missing(why)) => Err(why),
        };
        Ok(Self { on, baseline: Baseline { clients: CLIENTS, ..Baseline::default() }, notes })
    }

    /// Measures each script for so many seconds.
    pub async fn measure(&mut self, when: &str, seconds: u64, stop: &Stop) {
        let (server, programs) = match &self.on {
            Ok(on) => on,
            Err(why) => {
                self.baseline.unavailable = Some(why.clone());
                return;
            }
        };
        let measuring = try_measure(server, programs, seconds, stop, &mut self.baseline);
        // What was begun is taken away again, unless the server does not answer.
        let measured = stop.or_soon(CLEARING, measuring).await;
        match measured.unwrap_or_else(|| Err("interrupted".to_owned())) {
            Ok((order_flow, hot_row)) => {
                self.baseline.seconds += seconds;
                self.baseline.halves.push(Half { when: when.to_owned(), order_flow, hot_row });
            }
            // A half of it is better than nothing.
            Err(why) if !self.baseline.halves.is_empty() => {
                self.notes.push(format!("the baseline was not measured {when}: {why}"));
            }
            Err(why) => self.baseline.unavailable = Some(why),
        }
    }

    /// What came out: the mean of what was measured.
    pub fn told(self) -> Baseline {
        let mut baseline = self.baseline;
        let mean = |of: fn(&Half) -> Bench| mean(&baseline.halves.iter().map(of).collect::<Vec<_>>());
        (baseline.order_flow, baseline.hot_row) = (mean(|half| half.order_flow), mean(|half| half.hot_row));
        baseline
    }
}

/// Of measurements that were equally long.
fn mean(benches: &[Bench]) -> Option<Bench> {
    let count = Some(benches.len() as f64).filter(|count| *count > 0.0)?;
    let done: u64 = benches.iter().map(|bench| bench.done).sum();
    let spent: f64 = benches.iter().map(|bench| bench.latency_ms * bench.done as f64).sum();
    Some(Bench {
        per_second: benches.iter().map(|bench| bench.per_second).sum::<f64>() / count,
        latency_ms: spent / done.max(1) as f64,
        done,
        failed: benches.iter().map(|bench| bench.failed).sum(),
    })
}

/// Measures, and prints what came out.
pub async fn alone(args: &BaselineArgs, stop: &Stop) -> Result<ExitCode, Failure> {
    let wanted = Wanted {
        url: args.database_url.as_deref(),
        data_dir: &args.data_dir,
        target: None,
        is_ours: args.i_own_this_target,
    };
    let mut measuring = Measuring::prepare(&wanted).await?;
    measuring.measure("alone", args.seconds, stop).await;
    let mut baseline = measuring.told();
    // It is no half of anything.
    baseline.halves.clear();
    print!("{}", terminal::baseline(&baseline));
    Ok(match baseline.unavailable {
        None => ExitCode::SUCCESS,
        Some(_) if stop.is_asked() => ExitCode::from(crate::INTERRUPTED),
        Some(_) => ExitCode::from(crate::UNUSABLE),
    })
}

/// Why a server is not measured.
#[derive(Debug)]
enum Unfit {
    /// It must not be.
    Forbidden(String),
    /// There is none.
    Missing(String),
}

/// The server that is wanted, when it may be measured.
async fn find(wanted: &Wanted<'_>, notes: &mut Vec<String>) -> Result<Server, Unfit> {
    let platforms = wanted.target.and_then(|target| Endpoints::of(target, wanted.data_dir));
    let database =
        platforms.as_ref().map(|platforms| platforms.database.as_str()).filter(|known| !known.is_empty());
    let server = match (wanted.url, wanted.target) {
        (Some(url), _) => Server::parse(url).map_err(Unfit::Forbidden)?,
        (None, Some(target)) if !target.is_loopback() => {
            let why = "the platform is not on this machine: give its PostgreSQL server with --database-url";
            return Err(Unfit::Missing(why.to_owned()));
        }
        (None, Some(_)) if platforms.is_none() && Endpoints::read(wanted.data_dir).is_some() => {
            return Err(Unfit::Forbidden(format!(
                "{} is the data directory of another platform than the target: give its own with --data-dir",
                wanted.data_dir.display()
            )));
        }
        (None, _) => Server::of(wanted.data_dir).map_err(Unfit::Missing)?,
    };
    let addresses = server.addresses().await.map_err(Unfit::Forbidden)?;
    if !wanted.is_ours && !addresses.iter().all(|address| address.ip().is_loopback()) {
        return Err(Unfit::Forbidden(format!(
            "the PostgreSQL server {} is not on this machine: measuring somebody else's would be an attack. If it is yours, \
             say so with --i-own-this-target",
            server.address()
        )));
    }
    match database {
        Some(database) => {
            let theirs = server::resolve(database).await.map_err(Unfit::Missing)?;
            if !theirs.iter().any(|address| addresses.contains(address)) {
                return Err(Unfit::Forbidden(format!(
                    "the platform's PostgreSQL server is {}, and the one to be measured {}: a ratio to another server says \
                     nothing (is DATABASE_URL set for something else?)",
                    database,
                    server.address()
                )));
            }
        }
        None if wanted.target.is_some() => notes.push(format!(
            "the baseline was measured on the PostgreSQL server {}: whether it is the platform's could not be seen",
            server.address()
        )),
        None => {}
    }
    Ok(server)
}

async fn try_measure(
    server: &Server,
    programs: &Programs,
    seconds: u64,
    stop: &Stop,
    baseline: &mut Baseline,
) -> Result<(Bench, Bench), String> {
    baseline.pgbench = programs.pgbench_version().await?;
    let about = server.ask(programs, &about()).await?;
    let mut about = about.lines().map(str::to_owned);
    baseline.server = format!("PostgreSQL {}", about.next().unwrap_or_default());
    baseline.settings = SETTINGS.iter().map(|name| (*name).to_owned()).zip(about).collect::<BTreeMap<_, _>>();
    let database = Database::make(server, programs, SCHEMA).await?;
    let measured = benches(&database, seconds, stop).await;
    // It goes in any case; that it could not is told when nothing else is.
    let gone = database.remove().await;
    measured.and_then(|measured| gone.map(|()| measured))
}

async fn benches(database: &Database<'_>, seconds: u64, stop: &Stop) -> Result<(Bench, Bench), String> {
    let order_flow = bench(database, ORDER_FLOW, seconds, stop).await?;
    let hot_row = bench(database, HOT_ROW, seconds, stop).await?;
    Ok((order_flow, hot_row))
}

async fn bench(database: &Database<'_>, script: &str, seconds: u64, stop: &Stop) -> Result<Bench, String> {
    database.settle().await;
    let run = database.pgbench(script, CLIENTS, Duration::from_secs(seconds));
    let output = stop.or(run).await.ok_or("interrupted")??;
    output::parse(&output).ok_or_else(|| format!("pgbench said something else than expected: {output}"))
}

/// The server's version and settings, a line each.
fn about() -> String {
    let settings = SETTINGS.map(|name| format!("select coalesce(current_setting('{name}', true), '')"));
    format!("select current_setting('server_version') union all {}", settings.join(" union all "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    /// A network for documentation (RFC 5737): nobody is there.
    const ELSEWHERE: &str = "postgres://ada@192.0.2.1:5432/shop";
    const HERE: &str = "postgres://ada@127.0.0.1:15999/shop";

    /// The data directory of a platform whose gateway has this port, with its own server.
    fn data_dir(gateway: u16) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let endpoints = format!(
            r#"{{"gateway":"http://127.0.0.1:{gateway}","services":{{}},"database":"127.0.0.1:15432"}}"#
        );
        fs::write(dir.path().join("endpoints.json"), endpoints).unwrap();
        fs::create_dir(dir.path().join("postgres")).unwrap();
        fs::write(dir.path().join("postgres/port"), "15432").unwrap();
        fs::write(dir.path().join("postgres/password"), "secret").unwrap();
        dir
    }

    async fn found(
        url: Option<&str>,
        data_dir: &Path,
        target: Option<&str>,
        is_ours: bool,
    ) -> Result<(String, Vec<String>), Unfit> {
        let target = match target {
            Some(target) => Some(Target::find(target).await.unwrap()),
            None => None,
        };
        let mut notes = Vec::new();
        let server = find(&Wanted { url, data_dir, target: target.as_ref(), is_ours }, &mut notes).await?;
        Ok((server.address(), notes))
    }

    fn forbidden<T: std::fmt::Debug>(found: Result<T, Unfit>, why: &str) {
        let Unfit::Forbidden(message) = found.unwrap_err() else { panic!("not forbidden") };
        assert!(message.contains(why), "{message}");
    }

    #[tokio::test]
    async fn somebody_elses_server_is_not_touched() {
        let dir = data_dir(8080);
        for target in [None, Some("http://127.0.0.1:9")] {
            forbidden(found(Some(ELSEWHERE), dir.path(), target, false).await, "--i-own-this-target");
            assert!(found(Some(ELSEWHERE), dir.path(), target, true).await.is_ok());
        }
        assert!(found(Some(HERE), dir.path(), None, false).await.is_ok());
    }

    #[tokio::test]
    async fn a_ratio_is_to_the_platforms_own_server() {
        let (dir, target) = (data_dir(8080), Some("http://127.0.0.1:8080"));
        forbidden(found(Some(HERE), dir.path(), target, true).await, "127.0.0.1:15432");
        let own = Some("postgres://postgres@localhost:15432");
        assert!(found(own, dir.path(), target, false).await.unwrap().1.is_empty());
        assert_eq!(found(None, dir.path(), target, false).await.unwrap().0, "127.0.0.1:15432");
        forbidden(found(None, dir.path(), Some("http://127.0.0.1:9"), false).await, "another platform");
        // The same port of another machine is another platform.
        let remote = found(None, dir.path(), Some("http://192.0.2.1:8080"), true).await;
        assert!(matches!(remote, Err(Unfit::Missing(_))), "{remote:?}");
        let unknown = tempfile::tempdir().unwrap();
        let (_, notes) = found(Some(HERE), unknown.path(), target, false).await.unwrap();
        assert!(notes[0].contains("could not be seen"), "{notes:?}");
    }

    #[test]
    fn the_baseline_is_the_mean_of_its_halves() {
        let bench = |per_second, latency_ms, done| Bench { per_second, latency_ms, done, failed: 1 };
        let half = |order_flow| Half { order_flow, ..Half::default() };
        let baseline = Baseline {
            halves: vec![half(bench(1_000.0, 16.0, 6_000)), half(bench(2_000.0, 8.0, 12_000))],
            ..Baseline::default()
        };
        let measuring = Measuring { on: Err(String::new()), baseline, notes: Vec::new() };
        let expected = Bench { per_second: 1_500.0, latency_ms: 32.0 / 3.0, done: 18_000, failed: 2 };
        let told = measuring.told().order_flow.unwrap();
        assert!((told.latency_ms - expected.latency_ms).abs() < 1e-9, "{told:?}");
        assert_eq!((told.per_second, told.done, told.failed), (1_500.0, 18_000, 2));
        let nothing = Measuring { on: Err(String::new()), baseline: Baseline::default(), notes: Vec::new() };
        assert_eq!(nothing.told().order_flow, None);
    }
}
