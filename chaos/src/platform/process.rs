//! One process of the platform: started, signalled, waited for. A server runs below a launcher that ends with it.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use serde::Deserialize;

/// How much of a log is told.
const LAST_WORDS: u64 = 4_096;
const LAST_LINES: usize = 12;

/// What a launcher says when its server is ready.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Ready {
    /// The server's own process.
    pub(super) pid: i32,
    /// PostgreSQL: the superuser's connection.
    #[serde(default)]
    pub(super) url: Option<String>,
    /// A broker: the door past what it advertises.
    #[serde(default)]
    pub(super) direct: Option<String>,
}

/// A process that somebody else waits for. Its id may become another's, what is held of it never is.
#[derive(Debug)]
struct Held {
    pid: Pid,
    handle: OwnedFd,
}

impl Held {
    fn of(pid: Pid) -> io::Result<Self> {
        Ok(Self { pid, handle: pidfd_open(pid, PidfdFlags::empty())? })
    }

    fn send(&self, signal: Signal) -> io::Result<()> {
        sent(pidfd_send_signal(&self.handle, signal))
    }

    /// The processes that it has made. proc(5).
    fn children(&self) -> Vec<Self> {
        let id = self.pid.as_raw_nonzero();
        let ids = || {
            let text = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
            text.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect::<Vec<_>>()
        };
        let mut found: Vec<Self> = ids().into_iter().filter_map(|pid| Self::of(pid).ok()).collect();
        // Who is among them still was the one that is held.
        let still = ids();
        found.retain(|child| still.contains(&child.pid));
        // They were its own if it has still been there.
        if self.is_there() { found } else { Vec::new() }
    }

    /// False when it was waited for. proc(5), `fdinfo`.
    fn is_there(&self) -> bool {
        let about = format!("/proc/self/fdinfo/{}", self.handle.as_raw_fd());
        let about = std::fs::read_to_string(about).unwrap_or_default();
        about.lines().any(|line| {
            let id = line.strip_prefix("Pid:").and_then(|id| id.trim().parse::<i32>().ok());
            id.is_some_and(|id| id > 0)
        })
    }
}

/// A process of ours that was not waited for yet: its id cannot have become another's.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// A launcher ends when this is closed.
    _stdin: Option<ChildStdin>,
    server: Option<Held>,
    stopped: bool,
    /// It has been ready, and nothing is done to it of which it may end.
    trusted: bool,
    /// Somebody had it end.
    asked: bool,
}

impl Process {
    /// Starts it in a process group of its own; what it says is appended to its log. A server's launcher gives the other
    /// end of its standard output as well.
    pub(super) fn spawn(mut command: Command, log: &Path, launcher: bool) -> io::Result<(Self, Said)> {
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        let from = file.metadata()?.len();
        command.process_group(0).stderr(file.try_clone()?);
        match launcher {
            true => command.stdin(Stdio::piped()).stdout(Stdio::piped()),
            false => command.stdin(Stdio::null()).stdout(file),
        };
        let mut child = command.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let said = Said { from, stdout };
        Ok((Self { child, _stdin: stdin, server: None, stopped: false, trusted: false, asked: false }, said))
    }

    /// Remembers which process the server itself is.
    pub(super) fn is_ready(&mut self, ready: &Ready) -> io::Result<()> {
        self.server = Pid::from_raw(ready.pid).map(Held::of).transpose()?;
        self.trusted = true;
        Ok(())
    }

    /// Whether its end would be a surprise. Before it is ready it is not: a start may fail, and whoever starts it is told.
    pub(super) fn trust(&mut self, trusted: bool) {
        self.trusted = trusted;
    }

    /// How it has ended, if nobody had it end.
    pub(super) fn surprise(&mut self) -> Option<ExitStatus> {
        self.ended().filter(|_| self.trusted && !self.asked)
    }

    /// The process that matters: the server, or the service.
    pub(super) fn pid(&self) -> Pid {
        self.server.as_ref().map_or_else(|| Pid::from_child(&self.child), |server| server.pid)
    }

    /// How it has ended; none while it runs.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal that ends it to the process that matters. Nothing happens when it has ended.
    pub(super) fn signal(&mut self, signal: Signal) -> io::Result<()> {
        match self.ended() {
            Some(_) => Ok(()),
            None => {
                self.asked = true;
                self.send(signal)
            }
        }
    }

    fn send(&self, signal: Signal) -> io::Result<()> {
        match &self.server {
            Some(server) => server.send(signal),
            None => sent(kill_process(Pid::from_child(&self.child), signal)),
        }
    }

    /// Asks for an orderly end: of a server through its launcher, which knows how.
    pub(super) fn ask_to_end(&mut self) -> io::Result<()> {
        self.go_on()?;
        match self.ended() {
            Some(_) => Ok(()),
            None => {
                self.asked = true;
                sent(kill_process(Pid::from_child(&self.child), Signal::TERM))
            }
        }
    }

    /// `kill -9`, with all processes that a server has made.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        if self.ended().is_some() {
            return Ok(());
        }
        self.asked = true;
        let below = self.below();
        // The parent first: it would make new ones.
        let killed = self.send(Signal::KILL);
        below.iter().try_for_each(|child| child.send(Signal::KILL))?;
        killed
    }

    /// Kills the launcher, too. The last resort.
    pub(super) fn kill_all(&mut self) {
        let _ = self.kill();
        if self.ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Stops it in its tracks, with all processes that a server has made.
    pub(super) fn halt(&mut self) -> io::Result<()> {
        if self.ended().is_some() {
            return Ok(());
        }
        self.stopped = true;
        self.send(Signal::STOP)?;
        self.below().iter().try_for_each(|child| child.send(Signal::STOP))
    }

    /// Lets it go on.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.stopped) || self.ended().is_some() {
            return Ok(());
        }
        self.below().iter().try_for_each(|child| child.send(Signal::CONT))?;
        self.send(Signal::CONT)
    }

    /// The processes that a server has made: PostgreSQL's, one for each connection.
    fn below(&self) -> Vec<Held> {
        self.server.as_ref().map(Held::children).unwrap_or_default()
    }
}

/// One that is gone by now needs no signal.
fn sent(outcome: rustix::io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error != rustix::io::Errno::SRCH => Err(error.into()),
        _ => Ok(()),
    }
}

/// What a process says.
#[derive(Debug)]
pub(super) struct Said {
    from: u64,
    stdout: Option<std::process::ChildStdout>,
}

impl Said {
    /// Waits for the line that a launcher says; none when it ends without it. Blocks.
    pub(super) fn ready(&mut self) -> Option<Ready> {
        let mut line = String::new();
        BufReader::new(self.stdout.take()?).read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    /// Where the log of this run begins.
    pub(super) fn from(&self) -> u64 {
        self.from
    }
}

/// The last lines of a log behind a position, as one.
pub(super) fn last(log: &Path, from: u64) -> String {
    let read = || {
        let mut file = File::open(log)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(end.saturating_sub(LAST_WORDS))))?;
        let mut said = Vec::new();
        file.read_to_end(&mut said)?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&said).into_owned())
    };
    let said = read().unwrap_or_default();
    let lines: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.len() {
        0 => "nothing".to_owned(),
        count => lines[count.saturating_sub(LAST_LINES)..].join(" | "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that has a child, in a process group of its own.
    fn parent() -> Child {
        let mut shell = Command::new("sh");
        let child = shell.args(["-c", "sleep 600 & wait"]).process_group(0).spawn().unwrap();
        let held = Held::of(Pid::from_child(&child)).unwrap();
        assert!(within(20_000, || !held.children().is_empty()));
        child
    }

    fn end(mut parent: Child) {
        rustix::process::kill_process_group(Pid::from_child(&parent), Signal::KILL).unwrap();
        parent.wait().unwrap();
    }

    fn within(millis: u128, mut so: impl FnMut() -> bool) -> bool {
        let since = std::time::Instant::now();
        loop {
            if so() || since.elapsed().as_millis() > millis {
                return so();
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn whoever_has_the_id_of_a_server_that_is_gone_is_left_alone() {
        let server = parent();
        let pid = Pid::from_child(&server);
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        let mut process =
            Process { child, _stdin: None, server: None, stopped: false, trusted: false, asked: false };
        process.is_ready(&Ready { pid: pid.as_raw_nonzero().get(), url: None, direct: None }).unwrap();
        assert_eq!(process.below().len(), 1);
        process.halt().unwrap();
        process.go_on().unwrap();

        // Its launcher has waited for it, and did not end yet itself.
        end(server);
        let mut another = parent();
        if let Some(server) = &mut process.server {
            // As if it had got the same id.
            server.pid = Pid::from_child(&another);
        }
        assert!(process.below().is_empty(), "another's children");
        process.kill().unwrap();
        let killed = within(300, || another.try_wait().unwrap().is_some());
        end(another);
        assert!(!killed, "another process was killed");
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    #[test]
    fn only_the_end_of_this_run_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        std::fs::write(&log, "before\n").unwrap();
        assert_eq!(super::last(&log, 7), "nothing");
        let lines: String = (0..30).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&log, format!("before\n{lines}")).unwrap();
        let said = super::last(&log, 7);
        assert!(said.starts_with("line 18 | ") && said.ends_with("line 29"), "{said}");
    }
}
