//! The process of a broker or a registry.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::DevKafkaError;

/// How much of its log is told when a broker does not start.
const LAST_WORDS: usize = 2_000;

/// A running broker, our child.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
    /// Where this run's log begins.
    from: u64,
}

impl Process {
    /// Starts it; its log is appended to, and its id is left for the watcher.
    pub(super) fn spawn(mut command: Command, folder: &Path) -> Result<Self, DevKafkaError> {
        use std::os::unix::process::CommandExt;
        let log = folder.join("broker.log");
        let file =
            OpenOptions::new().create(true).append(true).open(&log).map_err(DevKafkaError::io(&log))?;
        let from = file.metadata().map_or(0, |metadata| metadata.len());
        let errors = file.try_clone().map_err(DevKafkaError::io(&log))?;
        command.process_group(0).stdin(Stdio::null()).stdout(file).stderr(errors).current_dir(folder);
        let child = command.spawn().map_err(|error| DevKafkaError::Start(error.to_string()))?;
        let pid = folder.join("pid");
        fs::write(&pid, child.id().to_string()).map_err(DevKafkaError::io(&pid))?;
        Ok(Self { child, log, from })
    }

    /// Waits until it serves, which may be seen in what it has said.
    pub(super) fn until_started(
        &mut self,
        serves: impl Fn(&str) -> bool,
        patience: Duration,
    ) -> Result<(), DevKafkaError> {
        let since = Instant::now();
        loop {
            let said = self.said();
            if serves(&said) {
                return Ok(());
            }
            let ended = matches!(self.child.try_wait(), Ok(Some(_)));
            if ended || since.elapsed() > patience {
                let end = said.len().saturating_sub(LAST_WORDS);
                let last = said.char_indices().map(|(at, _)| at).find(|at| *at >= end).unwrap_or(0);
                return Err(DevKafkaError::Start(said[last..].trim().to_owned()));
            }
            super::pause();
        }
    }

    fn said(&self) -> String {
        let read = || {
            let mut file = File::open(&self.log)?;
            file.seek(SeekFrom::Start(self.from))?;
            let mut said = Vec::new();
            file.read_to_end(&mut said)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&said).into_owned())
        };
        read().unwrap_or_default()
    }

    /// Its id; none when it has ended.
    pub(super) fn pid(&mut self) -> Option<u32> {
        matches!(self.child.try_wait(), Ok(None)).then(|| self.child.id())
    }

    /// SIGKILL, and waits for the end.
    pub(super) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for the end; SIGKILL when it takes too long.
    pub(super) fn stop(mut self, patience: Duration) -> Result<(), DevKafkaError> {
        let asked = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let since = Instant::now();
        while asked.is_ok() && since.elapsed() < patience {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return Ok(());
            }
            super::pause();
        }
        self.kill();
        Err(DevKafkaError::Start("it did not stop".to_owned()))
    }
}
