//! Starts the server again when it dies under its living owner (the out-of-memory killer, a chaos test,
//! somebody's `kill -9`), and keeps its log small. A thread and not a task, so that it lives as long as the
//! owner whatever becomes of the runtime that called.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::DevPgError;
use super::server::Server;

const INTERVAL: Duration = Duration::from_millis(250);
/// After a start that failed, so many intervals pass before the next.
const REST: u32 = 20;
/// The log's size is looked at every so many intervals.
const LOG_EVERY: u32 = 120;
/// The keeper looks at the server for so long at most, unless it starts it again.
const MOMENT: Duration = Duration::from_millis(1);

/// Holds the server and the thread that looks after it.
#[derive(Debug)]
pub(super) struct Keeper {
    server: Arc<Mutex<Server>>,
    /// Set while the server is held for as long as a start takes.
    starting: Arc<AtomicBool>,
    /// Dropping it ends the thread.
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Keeper {
    pub(super) fn watch(server: Server) -> Result<Self, DevPgError> {
        let server = Arc::new(Mutex::new(server));
        let (end, ended) = channel();
        let watched = Arc::downgrade(&server);
        let starting = Arc::new(AtomicBool::new(false));
        let starts = starting.clone();
        let thread = std::thread::Builder::new()
            .name("devpg-keeper".into())
            .spawn(move || {
                let (mut round, mut rest) = (0_u32, 0_u32);
                while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout)
                    && let Some(server) = watched.upgrade()
                {
                    round = round.wrapping_add(1);
                    rest = match rest {
                        0 => look_after(&mut server.lock(), &starts),
                        _ => rest - 1,
                    };
                    if round.is_multiple_of(LOG_EVERY) {
                        server.lock().cut_log();
                    }
                }
            })
            .map_err(|error| DevPgError::Start(format!("cannot start a thread to watch over it: {error}")))?;
        Ok(Self { server, starting, end, thread })
    }

    /// Process id of the server; none while it is dead or being started.
    pub(super) fn pid(&self) -> Option<u32> {
        loop {
            // Somebody who looks at it is no sign that it is gone.
            if let Some(mut server) = self.server.try_lock_for(MOMENT) {
                return server.lives().then(|| server.pid());
            }
            if self.starting.load(Ordering::Acquire) {
                return None;
            }
        }
    }

    pub(super) fn stop(self) -> Result<(), DevPgError> {
        drop(self.end);
        if self.thread.join().is_err() {
            tracing::error!("the postgres keeper panicked");
        }
        self.server.lock().stop()
    }
}

/// Answers how long to rest before the next look.
fn look_after(server: &mut Server, starting: &AtomicBool) -> u32 {
    if !server.is_kept() || server.lives() {
        return 0;
    }
    tracing::warn!("the private postgres is gone, starting it again");
    starting.store(true, Ordering::Release);
    let started = server.restart();
    starting.store(false, Ordering::Release);
    match started {
        Ok(()) => {
            tracing::info!(pid = server.pid(), port = server.port(), "the private postgres is back");
            0
        }
        Err(error) => {
            tracing::error!(%error, "the private postgres does not start; trying again");
            REST
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::devpg::{DevPostgresConfig, owner::Lifetime};

    #[test]
    fn a_server_that_is_being_looked_at_has_not_ended() {
        let dir = tempfile::tempdir().expect("a folder");
        let config = DevPostgresConfig::new(dir.path().join("data"));
        let server = Server::start(config, Lifetime::Bound).expect("starts");
        let (pid, keeper) = (server.pid(), Keeper::watch(server).expect("is watched"));

        let looked_at = keeper.server.clone();
        let (done, until) = channel::<()>();
        let looker = std::thread::spawn(move || {
            while until.try_recv().is_err() {
                let _held = looked_at.lock();
                std::thread::yield_now();
            }
        });
        let since = Instant::now();
        for _ in 0..10_000 {
            assert_eq!(keeper.pid(), Some(pid), "after {:?}", since.elapsed());
        }
        done.send(()).expect("it looks still");
        looker.join().expect("looks");
        keeper.stop().expect("stops");
    }
}
