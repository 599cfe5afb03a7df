//! What all copies of a [`Platform`](super::Platform) share, and how it goes when the last one is dropped.

use std::{
    collections::{BTreeMap, HashMap},
    process::Command,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{
    Part, Plan, PlatformError, Volume,
    layout::{Layout, is_foreign},
    process::{self, Process},
    watch::{self, Watcher},
};
use crate::proxy::Proxy;

/// A lock that is held for moments, also after somebody has panicked with it.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A part: its process, and what its next one is told.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) process: Mutex<Option<Process>>,
    pub(super) variables: Mutex<BTreeMap<String, String>>,
    /// Where the log of its last run begins.
    pub(super) from: AtomicU64,
    /// Its last process ended by itself, and that is written down.
    pub(super) told: AtomicBool,
    /// Who starts or ends it: one at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) plan: Plan,
    pub(super) layout: Layout,
    pub(super) slots: BTreeMap<Part, Slot>,
    pub(super) proxies: BTreeMap<String, Proxy>,
    pub(super) volume: Mutex<Option<Volume>>,
    pub(super) http: reqwest::Client,
    /// The superuser's URL, past the proxy.
    pub(super) admin: Mutex<String>,
    /// Each broker's door past what it advertises.
    pub(super) direct: Mutex<BTreeMap<Part, String>>,
    /// Whoever has ended by itself, with its last words.
    pub(super) deaths: Mutex<Vec<String>>,
    pub(super) tokens: Mutex<HashMap<(String, Option<uuid::Uuid>), String>>,
    pub(super) watcher: Mutex<Option<Watcher>>,
    pub(super) stopped: AtomicBool,
}

impl Inner {
    pub(super) fn slot(&self, part: &Part) -> Result<&Slot, PlatformError> {
        self.slots.get(part).ok_or_else(|| PlatformError::Unknown {
            name: part.name().to_owned(),
            known: self.slots.keys().map(Part::name).collect::<Vec<_>>().join(", "),
        })
    }

    pub(super) fn admin_url(&self) -> String {
        locked(&self.admin).clone()
    }

    /// The end of what its last run has said.
    pub(super) fn said(&self, part: &Part) -> String {
        let from = self.slots.get(part).map_or(0, |slot| slot.from.load(Ordering::Relaxed));
        process::last(&self.layout.log(part), from)
    }

    /// The program, without what the rig's own surroundings say about a platform.
    pub(super) fn program(&self) -> Command {
        let mut command = Command::new(&self.plan.viscount);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(is_foreign) {
                command.env_remove(&name);
            }
        }
        command.current_dir(&self.layout.folder);
        command
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Kills whatever runs, removes the servers' data. The logs stay.
    pub(super) fn end(&self) {
        self.stopped.store(true, Ordering::Release);
        for slot in self.slots.values() {
            if let Some(process) = locked(&slot.process).as_mut() {
                process.kill_all();
            }
        }
        watch::end_all(&self.layout.mark);
        self.proxies.values().for_each(Proxy::close);
        self.keep_logs_of_servers();
        locked(&self.volume).take();
        if !self.plan.keep {
            let servers =
                self.slots.keys().filter(|part| part.is_server()).map(|part| self.layout.data(part));
            for folder in servers.chain([self.layout.home()]) {
                // It may never have been made.
                let _ = std::fs::remove_dir_all(folder);
            }
        }
        locked(&self.watcher).take();
    }
}

impl Inner {
    /// What PostgreSQL and the brokers have said lies among their data.
    fn keep_logs_of_servers(&self) {
        for part in self.slots.keys().filter(|part| part.is_server()) {
            let name = if part.kind() == "postgres" { "postgres.log" } else { "broker.log" };
            // Without one there is nothing to keep.
            let _ = std::fs::copy(self.layout.data(part).join(name), self.layout.log_of_server(part));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.is_stopped() {
            self.end();
        }
    }
}
