//! The server process: starting one, recognising one that runs, stopping it.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::DevPgError;
use super::account::Account;
use super::cluster::Folder;

/// Recovery after a power cut replays up to `max_wal_size`.
const START_DEADLINE: Duration = Duration::from_secs(180);
/// A checkpoint of all buffers on a slow disk.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// A server writes its pid file within moments.
const UNREADABLE_DEADLINE: Duration = Duration::from_secs(1);
/// After each harder signal.
const KILL_DEADLINE: Duration = Duration::from_secs(5);

/// A running server process of one cluster.
#[derive(Debug)]
pub(super) struct Postmaster {
    pid: Pid,
    /// Present when this process started it: then it is waited for, else it would stay a zombie.
    child: Option<Child>,
    pgdata: PathBuf,
}

/// What `postmaster.pid` says.
#[derive(Debug, PartialEq, Eq)]
struct PidFile {
    pid: i32,
    port: Option<u16>,
    ready: bool,
}

impl PidFile {
    fn read(pgdata: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(pgdata.join("postmaster.pid")).ok()?)
    }

    /// Lines: process id, data folder, start time, port, socket folder, address, shared memory, status.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok().filter(|pid| *pid > 1)?;
        let port = lines.nth(2).and_then(|port| port.trim().parse().ok());
        let ready = lines.nth(3).is_some_and(|status| status.trim() == "ready");
        Some(Self { pid, port, ready })
    }
}

/// Why a start failed.
#[derive(Debug)]
pub(super) enum StartFailure {
    /// Something else listens on the port.
    PortTaken(String),
    /// Leftovers of a killed server are still going away.
    Leftovers(String),
    /// Anything else.
    Other(DevPgError),
}

impl From<StartFailure> for DevPgError {
    fn from(failure: StartFailure) -> Self {
        match failure {
            StartFailure::PortTaken(reason) | StartFailure::Leftovers(reason) => Self::Start(reason),
            StartFailure::Other(error) => error,
        }
    }
}

impl Postmaster {
    /// Runs `postgres` and waits until it accepts connections.
    pub(super) fn start(
        folder: &Folder,
        account: Account,
        program: &Path,
        arguments: &[String],
    ) -> Result<Self, StartFailure> {
        let pgdata = folder.pgdata();
        let log = folder.open_log().map_err(StartFailure::Other)?;
        let before = log.metadata().map_or(0, |metadata| metadata.len());
        let mut command = account.command(program);
        command.args(arguments).stdout(Stdio::null()).stderr(log);
        let mut child =
            command.spawn().map_err(|error| StartFailure::Other(DevPgError::io(program)(error)))?;
        let pid = Pid::from_child(&child);
        let since = Instant::now();
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                let said = folder.log_since(before);
                return Err(explain(if said.is_empty() { how_it_ended(status) } else { said }));
            }
            if PidFile::read(&pgdata).is_some_and(|file| file.pid == pid.as_raw_nonzero().get() && file.ready)
            {
                return Ok(Self { pid, child: Some(child), pgdata });
            }
            if since.elapsed() > START_DEADLINE {
                let mut late = Self { pid, child: Some(child), pgdata };
                late.stop().map_err(StartFailure::Other)?;
                let said = folder.log_since(before);
                return Err(StartFailure::Other(DevPgError::Start(format!(
                    "not ready after {START_DEADLINE:?}: {said}"
                ))));
            }
            super::pause();
        }
    }

    /// The server that runs on this cluster now, whoever started it, with its port and whether it is ready.
    pub(super) fn running(folder: &Folder) -> Option<(Self, Option<u16>, bool)> {
        let pgdata = folder.pgdata();
        let file = PidFile::read(&pgdata)?;
        let mut found = Self { pid: Pid::from_raw(file.pid)?, child: None, pgdata };
        (found.lives() && found.is_ours()).then_some((found, file.port, file.ready))
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether it still runs. A zombie does not: it has let go of everything, and in containers nobody may
    /// ever collect it.
    pub(super) fn lives(&mut self) -> bool {
        if let Some(child) = &mut self.child {
            return matches!(child.try_wait(), Ok(None));
        }
        if rustix::process::test_kill_process(self.pid) == Err(rustix::io::Errno::SRCH) {
            return false;
        }
        // The state stands behind the command's name, which may hold anything but ends at the last bracket.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
    }

    /// A process id in a file may have come to belong to somebody else: a server sits in its data folder.
    fn is_ours(&self) -> bool {
        match fs::read_link(format!("/proc/{}/cwd", self.pid())) {
            Ok(folder) => folder == self.pgdata,
            // Without /proc (macOS): the arguments name the folder.
            Err(_) if !Path::new("/proc/self").exists() => {
                let mut ps = std::process::Command::new("ps");
                let output = ps.args(["-o", "args=", "-p"]).arg(self.pid().to_string()).output();
                output.is_ok_and(|output| {
                    String::from_utf8_lossy(&output.stdout).contains(&*self.pgdata.to_string_lossy())
                })
            }
            Err(_) => false,
        }
    }

    /// Sends a signal, to this server or to nobody.
    fn signal(&mut self, signal: Signal) {
        if self.lives()
            && (self.child.is_some() || self.is_ours())
            && let Err(error) = rustix::process::kill_process(self.pid, signal)
        {
            tracing::warn!(%error, pid = self.pid(), "could not signal postgres");
        }
    }

    /// Asks it to stop, without waiting: clients are disconnected, a checkpoint is written.
    pub(super) fn ask_to_stop(&mut self) {
        self.signal(Signal::INT);
    }

    /// Makes it stop at once, without a checkpoint; the next start recovers.
    pub(super) fn abandon(&mut self) {
        self.signal(Signal::QUIT);
    }

    /// Stops it and waits until it is gone; harder when it does not listen.
    pub(super) fn stop(&mut self) -> Result<(), DevPgError> {
        for (signal, patience) in
            [(Signal::INT, STOP_DEADLINE), (Signal::QUIT, KILL_DEADLINE), (Signal::KILL, KILL_DEADLINE)]
        {
            self.signal(signal);
            let since = Instant::now();
            while self.lives() && since.elapsed() < patience {
                super::pause();
            }
            if !self.lives() {
                return Ok(());
            }
        }
        Err(DevPgError::Stop(format!("process {} does not end", self.pid())))
    }
}

/// Removes a pid file whose process is gone or another's. Only the owner of the folder may do this.
pub(super) fn clear_stale(folder: &Folder) -> Result<(), DevPgError> {
    let path = folder.pgdata().join("postmaster.pid");
    let since = Instant::now();
    // One that cannot be read yet may be just being written.
    while path.exists() && PidFile::read(&folder.pgdata()).is_none() && since.elapsed() < UNREADABLE_DEADLINE
    {
        super::pause();
    }
    if let Some((mut late, ..)) = Postmaster::running(folder) {
        late.stop()?;
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(DevPgError::io(&path)(error)),
        _ => Ok(()),
    }
}

fn explain(said: String) -> StartFailure {
    // The messages are English: LC_ALL and lc_messages are C.
    if said.contains("could not bind") || said.contains("could not create any TCP/IP sockets") {
        StartFailure::PortTaken(said)
    } else if said.contains("still in use")
        || said.contains("already exists")
        || said.contains("Is another postmaster")
    {
        StartFailure::Leftovers(said)
    } else {
        StartFailure::Other(DevPgError::Start(said))
    }
}

fn how_it_ended(status: std::process::ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("it was ended by signal {signal} and said nothing"),
        None => format!("it said nothing ({status})"),
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_pid_file_at_every_stage_of_a_start() {
        let ready = "4711\n/data/pgdata\n1700000000\n40123\n\n127.0.0.1\n  1 2\nready   \n";
        assert_eq!(PidFile::parse(ready), Some(PidFile { pid: 4711, port: Some(40123), ready: true }));
        let stopping = ready.replace("ready   ", "stopping");
        assert_eq!(PidFile::parse(&stopping), Some(PidFile { pid: 4711, port: Some(40123), ready: false }));
        assert_eq!(PidFile::parse("4711\n/data"), Some(PidFile { pid: 4711, port: None, ready: false }));
        assert_eq!(PidFile::parse(""), None);
        // A single-user backend writes its id with a minus; 1 and 0 are never a server of ours.
        assert_eq!(PidFile::parse("-4711\n"), None);
        assert_eq!(PidFile::parse("0\n"), None);
    }

    #[test]
    fn a_pid_of_somebody_else_is_not_taken_for_the_server() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::open(dir.path()).expect("opens");
        fs::create_dir(folder.pgdata()).expect("made");
        let somebody =
            format!("{}\n{}\n1\n5432\n\n127.0.0.1\n\nready\n", std::process::id(), folder.pgdata().display());
        fs::write(folder.pgdata().join("postmaster.pid"), somebody).expect("written");
        assert!(Postmaster::running(&folder).is_none());
    }
}
