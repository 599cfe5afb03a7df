//! Starts the server again when it dies under its living owner (the out-of-memory killer, a chaos test,
//! somebody's `kill -9`), and keeps its log small. A thread and not a task, so that it lives as long as the
//! owner whatever becomes of the runtime that called.

use std::sync::Arc;
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

/// Holds the server and the thread that looks after it.
#[derive(Debug)]
pub(super) struct Keeper {
    server: Arc<Mutex<Server>>,
    /// Dropping it ends the thread.
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Keeper {
    pub(super) fn watch(server: Server) -> Result<Self, DevPgError> {
        let server = Arc::new(Mutex::new(server));
        let (end, ended) = channel();
        let watched = Arc::downgrade(&server);
        let thread = std::thread::Builder::new()
            .name("devpg-keeper".into())
            .spawn(move || {
                let (mut round, mut rest) = (0_u32, 0_u32);
                while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout)
                    && let Some(server) = watched.upgrade()
                {
                    round = round.wrapping_add(1);
                    rest = match rest {
                        0 => look_after(&mut server.lock()),
                        _ => rest - 1,
                    };
                    if round.is_multiple_of(LOG_EVERY) {
                        server.lock().cut_log();
                    }
                }
            })
            .map_err(|error| DevPgError::Start(format!("cannot start a thread to watch over it: {error}")))?;
        Ok(Self { server, end, thread })
    }

    /// Process id of the server; none while it is dead or being started.
    pub(super) fn pid(&self) -> Option<u32> {
        let mut server = self.server.try_lock()?;
        server.lives().then(|| server.pid())
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
fn look_after(server: &mut Server) -> u32 {
    if !server.is_kept() || server.lives() {
        return 0;
    }
    tracing::warn!("the private postgres is gone, starting it again");
    match server.restart() {
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
