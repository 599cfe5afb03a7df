//! What can be done to a part: killed, stopped in its tracks, asked to end. And the end of all.

use std::{io, process::ExitStatus, sync::atomic::Ordering, time::Duration};

use futures_util::future::join_all;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{
    Part, Platform, PlatformError,
    process::Process,
    start::LOOK,
    state::{Slot, locked},
    watch,
};

/// The kernel ends what was killed within moments; a server's launcher finds out.
const KILLED: Duration = Duration::from_secs(20);
/// A service drains for ten seconds at the most, PostgreSQL writes a checkpoint.
const TERMINATED: Duration = Duration::from_secs(40);

impl Platform {
    /// `kill -9`, of a server with all its processes; gone and waited for when this returns. Nothing happens to a part
    /// that was ended before.
    ///
    /// # Errors
    /// When it does not end, or has ended by itself before.
    pub async fn kill(&self, part: &Part) -> Result<(), PlatformError> {
        let slot = self.0.slot(part)?;
        let _turn = slot.turn.lock().await;
        self.lives(part, slot)?;
        self.with(part, slot, Process::kill)?;
        if locked(&slot.process).is_some() {
            self.until_ended(part, KILLED).await?;
        }
        Ok(())
    }

    /// Stops it in its tracks (SIGSTOP): it is there and does nothing.
    ///
    /// # Errors
    /// When it cannot be signalled, or has ended by itself before.
    pub fn pause(&self, part: &Part) -> Result<(), PlatformError> {
        let slot = self.0.slot(part)?;
        self.lives(part, slot)?;
        self.with(part, slot, Process::halt)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn resume(&self, part: &Part) -> Result<(), PlatformError> {
        self.with(part, self.0.slot(part)?, Process::go_on)
    }

    /// Asks for an orderly end (SIGTERM) and waits for it.
    ///
    /// # Errors
    /// When it does not run, or does not end in time; it is killed then. Or when it has ended by itself before.
    pub async fn terminate(&self, part: &Part) -> Result<ExitStatus, PlatformError> {
        let slot = self.0.slot(part)?;
        let _turn = slot.turn.lock().await;
        self.lives(part, slot)?;
        self.with(part, slot, Process::ask_to_end)?;
        let ended = self.until_ended(part, TERMINATED).await;
        if ended.is_err()
            && let Some(process) = locked(&slot.process).as_mut()
        {
            process.kill_all();
        }
        ended
    }

    /// Sends a signal that ends a service, or the server itself: SIGQUIT ends PostgreSQL without a checkpoint.
    ///
    /// # Errors
    /// When it cannot be signalled, or has ended by itself before.
    pub fn signal(&self, part: &Part, signal: Signal) -> Result<(), PlatformError> {
        let slot = self.0.slot(part)?;
        self.lives(part, slot)?;
        self.with(part, slot, |process| process.signal(signal))
    }

    /// Whether it would be a surprise if it ended. It would not from now on, of what is done to it, until it is ready again.
    ///
    /// # Errors
    /// When there is no such part.
    pub fn trust(&self, part: &Part, trusted: bool) -> Result<(), PlatformError> {
        self.with(part, self.0.slot(part)?, |process| {
            process.trust(trusted);
            Ok(())
        })
    }

    /// Whoever has ended so far without being killed or asked to, each with its status and its last words.
    pub fn deaths(&self) -> Vec<String> {
        for (part, slot) in &self.0.slots {
            let _ = self.lives(part, slot);
        }
        locked(&self.0.deaths).clone()
    }

    /// How a part has ended, with its last words.
    pub(crate) fn ended(&self, part: &Part, status: ExitStatus) -> PlatformError {
        PlatformError::Ended { part: part.clone(), status, said: self.0.said(part) }
    }

    /// Refuses a part that has ended by itself: what is to be done to it cannot happen. It is written down, once.
    pub(super) fn lives(&self, part: &Part, slot: &Slot) -> Result<(), PlatformError> {
        let Some(status) = locked(&slot.process).as_mut().and_then(Process::surprise) else { return Ok(()) };
        let ended = self.ended(part, status);
        if !slot.told.swap(true, Ordering::AcqRel) {
            locked(&self.0.deaths).push(format!("nobody had it end: {ended}"));
        }
        Err(ended)
    }

    /// Kills it and starts it again.
    ///
    /// # Errors
    /// When it does not end, or does not start.
    pub async fn restart(&self, part: &Part) -> Result<(), PlatformError> {
        self.kill(part).await?;
        self.start_part(part).await
    }

    /// Waits until its process has ended by itself, as one does that is armed with a failpoint.
    ///
    /// # Errors
    /// When it has not within this time, or was never started.
    pub async fn until_ended(&self, part: &Part, within: Duration) -> Result<ExitStatus, PlatformError> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.exit(part) {
                return Ok(status);
            }
            if since.elapsed() > within {
                return Err(PlatformError::DoesNotEnd(part.clone()));
            }
            sleep(LOOK).await;
        }
    }

    pub(super) fn with(
        &self,
        part: &Part,
        slot: &Slot,
        act: impl FnOnce(&mut Process) -> io::Result<()>,
    ) -> Result<(), PlatformError> {
        let mut process = locked(&slot.process);
        let done = process.as_mut().map_or(Ok(()), act);
        done.map_err(|source| PlatformError::Signal { part: part.clone(), source })
    }

    /// Stops everything in order: the services, the provider, the brokers (several are killed), PostgreSQL. Nothing is
    /// left of it but the logs, and the servers' data where the plan keeps it.
    ///
    /// # Errors
    /// What did not end when asked to, or was still there at the end. It is gone all the same.
    pub async fn stop(self) -> Result<(), PlatformError> {
        let parts = self.parts();
        let (servers, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(Part::is_server);
        let (brokers, databases): (Vec<_>, Vec<_>) =
            servers.into_iter().partition(|part| part.kind() == "broker");
        let (provider, services): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|part| part.kind() == "simulator");
        let mut outcome = Ok(());
        for stage in [services, provider, brokers, databases] {
            let stage: Vec<_> = stage.into_iter().filter(|part| self.is_running(part)).collect();
            // A broker hands over before it ends, for which it needs a majority: the last of several never would.
            let is_quorum = stage.len() > 1 && stage.iter().all(|part| part.kind() == "broker");
            let end = async |part| match is_quorum {
                true => self.kill(part).await,
                false => self.terminate(part).await.map(drop),
            };
            for ended in join_all(stage.iter().map(end)).await {
                outcome = outcome.and(ended);
            }
        }
        let mark = self.0.layout.mark.clone();
        let left = settled(&mark).await;
        let inner = self.0.clone();
        let _ = tokio::task::spawn_blocking(move || inner.end()).await;
        debug_assert!(self.0.stopped.load(Ordering::Acquire));
        outcome?;
        match left.is_empty() {
            true => Ok(()),
            false => Err(PlatformError::LeftBehind(left.join(", "))),
        }
    }
}

/// What is still there after a moment: watchers of servers need one to find out that nothing is left to watch for.
async fn settled(mark: &str) -> Vec<String> {
    let since = Instant::now();
    loop {
        let left = watch::left(mark);
        if left.is_empty() || since.elapsed() > Duration::from_secs(5) {
            return left.into_iter().map(|(pid, line)| format!("{} {line}", pid.as_raw_nonzero())).collect();
        }
        sleep(LOOK * 5).await;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;
    use crate::platform::testing::prepared;

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_ends_by_itself_is_told_and_cannot_be_killed() {
        let folder = tempfile::tempdir().unwrap();
        let platform = prepared(folder.path()).await;
        let part = Part::new("postgres");
        let within = Duration::from_secs(20);

        // What the rig ends is no surprise.
        platform.start_part(&part).await.unwrap();
        platform.kill(&part).await.unwrap();
        platform.kill(&part).await.unwrap();
        platform.start_part(&part).await.unwrap();
        platform.signal(&part, Signal::TERM).unwrap();
        platform.until_ended(&part, within).await.unwrap();
        // Neither is what ends of what is done to it.
        platform.start_part(&part).await.unwrap();
        platform.trust(&part, false).unwrap();
        assert_eq!(from_outside(&platform, &part).await.signal(), None);
        assert_eq!(platform.deaths(), Vec::<String>::new());

        platform.start_part(&part).await.unwrap();
        from_outside(&platform, &part).await;
        let refused = platform.kill(&part).await.unwrap_err().to_string();
        assert!(refused.contains("postgres has ended (exit status: 137)"), "{refused}");
        platform.start_part(&part).await.unwrap();
        let deaths = platform.deaths();
        assert_eq!(deaths.len(), 1, "{deaths:?}");
        assert!(deaths[0].contains("postgres has ended") && deaths[0].contains("so it begins"), "{deaths:?}");
        from_outside(&platform, &part).await;
        assert_eq!((platform.deaths().len(), platform.deaths().len()), (2, 2));
        assert!(platform.pause(&part).is_err() && platform.terminate(&part).await.is_err());
        platform.stop().await.unwrap();
    }

    /// The server dies, and not of the rig.
    async fn from_outside(platform: &Platform, part: &Part) -> ExitStatus {
        let pid = platform.pid(part).unwrap();
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
        platform.until_ended(part, Duration::from_secs(20)).await.unwrap()
    }
}
