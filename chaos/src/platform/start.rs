//! A start: addresses, proxies, PostgreSQL, the brokers, and then all services at once.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::try_join_all;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::{
    Part, Plan, Platform, PlatformError, Volume,
    layout::Layout,
    process::Process,
    state::{Inner, Slot, locked},
    watch::Watcher,
};
use crate::proxy::Proxy;

/// For a server: a broker of a busy machine takes its time, and the first start fetches it.
const SERVER: Duration = Duration::from_secs(360);
/// For a service; migrations are among it.
const SERVICE: Duration = Duration::from_secs(90);
/// For one question whether somebody is ready.
const ANSWER: Duration = Duration::from_secs(3);
/// Between two looks at something that is about to happen in another process.
pub(super) const LOOK: Duration = Duration::from_millis(10);

impl Platform {
    /// Starts all of it in a folder that is made, and waits until every part is ready.
    ///
    /// # Errors
    /// Which part cannot be started and why. Everything that was started is ended by then.
    pub async fn start(plan: Plan, folder: &Path) -> Result<Self, PlatformError> {
        let platform = Self::prepare(plan, folder).await?;
        match platform.start_all().await {
            Ok(()) => Ok(platform),
            Err(error) => {
                let inner = platform.0.clone();
                // It waits for processes.
                let ended = tokio::task::spawn_blocking(move || inner.end()).await;
                debug_assert!(ended.is_ok());
                Err(error)
            }
        }
    }

    /// Everything but processes.
    pub(super) async fn prepare(plan: Plan, folder: &Path) -> Result<Self, PlatformError> {
        plan.check()?;
        let failed = PlatformError::folder;
        // Another run's data would be taken for this one's, and its evidence be lost.
        if let Some(earlier) =
            ["postgres", "home", "history.jsonl"].iter().find(|name| folder.join(name).exists())
        {
            let earlier = folder.join(earlier);
            return Err(PlatformError::Plan(format!(
                "{} is an earlier run's: choose another folder",
                earlier.display()
            )));
        }
        std::fs::create_dir_all(folder.join("logs")).map_err(failed(folder))?;
        std::fs::create_dir_all(folder.join("home")).map_err(failed(folder))?;
        let folder = &folder.canonicalize().map_err(failed(folder))?;
        let mark = Uuid::new_v4().simple().to_string();
        let watcher = Watcher::start(&mark, folder, plan.keep).map_err(failed(folder))?;
        let mut layout = Layout::new(&plan, folder, mark).map_err(failed(folder))?;
        let mut proxies = BTreeMap::new();
        for link in layout.links() {
            let Some(target) = layout.own(&link) else { continue };
            let proxy = Proxy::start(&link, target).await;
            let proxy = proxy.map_err(|source| PlatformError::Proxy { link: link.clone(), source })?;
            layout.proxies.insert(link.clone(), proxy.address().port());
            proxies.insert(link, proxy);
        }
        let slots = plan.parts().into_iter().map(|part| {
            let own = plan.own.get(part.name()).into_iter().flatten().cloned();
            let variables = Mutex::new(own.collect());
            (part, Slot { variables, ..Slot::default() })
        });
        let http = reqwest::Client::builder().timeout(ANSWER).no_proxy().build();
        let http = http.map_err(|error| PlatformError::Plan(error.to_string()))?;
        Ok(Self(Arc::new(Inner {
            slots: slots.collect(),
            plan,
            layout,
            proxies,
            volume: Mutex::default(),
            http,
            admin: Mutex::default(),
            direct: Mutex::default(),
            deaths: Mutex::default(),
            tokens: Mutex::new(HashMap::new()),
            watcher: Mutex::new(Some(watcher)),
            stopped: AtomicBool::new(false),
        })))
    }

    async fn start_all(&self) -> Result<(), PlatformError> {
        let postgres = Part::new("postgres");
        if let Some(mebibytes) = self.0.plan.volume {
            let volume = Volume::mount(&postgres, &self.0.layout.data(&postgres), mebibytes)?;
            *locked(&self.0.volume) = Some(volume);
        }
        let (servers, services): (Vec<_>, Vec<_>) = self.parts().into_iter().partition(Part::is_server);
        try_join_all(servers.iter().map(|part| self.start_part(part))).await?;
        for part in &services {
            self.start_part(part).await?;
        }
        try_join_all(services.iter().map(|part| self.until_ready(part, SERVICE))).await?;
        Ok(())
    }

    /// Starts a part again, where it was; nothing happens when it runs. A server is ready then; for a service there is
    /// [`Platform::until_ready`].
    ///
    /// # Errors
    /// When it cannot be started, with the end of its log.
    pub async fn start_part(&self, part: &Part) -> Result<(), PlatformError> {
        let slot = self.0.slot(part)?;
        let _turn = slot.turn.lock().await;
        if self.0.is_stopped() {
            return Err(PlatformError::Stopped);
        }
        if self.is_running(part) {
            return Ok(());
        }
        // What it has died of is told, whoever starts it again.
        let _ = self.lives(part, slot);
        let mut command = self.0.program();
        command.args(self.0.layout.arguments(part, self.0.plan.durable));
        command.envs(self.0.layout.inside(part, &self.0.admin_url()));
        if !part.is_server() {
            command.envs(self.0.plan.variables.iter().cloned());
        }
        command.envs(locked(&slot.variables).clone());
        let started = Process::spawn(command, &self.0.layout.log(part), part.is_server());
        let (process, mut said) =
            started.map_err(|source| PlatformError::Spawn { part: part.clone(), source })?;
        slot.from.store(said.from(), Ordering::Relaxed);
        *locked(&slot.process) = Some(process);
        slot.told.store(false, Ordering::Relaxed);
        if !part.is_server() {
            return Ok(());
        }
        let ready = tokio::task::spawn_blocking(move || said.ready());
        match timeout(SERVER, ready).await {
            Ok(Ok(Some(ready))) => {
                self.with(part, slot, |process| process.is_ready(&ready))?;
                if let Some(url) = ready.url {
                    *locked(&self.0.admin) = url;
                }
                if let Some(direct) = ready.direct {
                    locked(&self.0.direct).insert(part.clone(), direct);
                }
                Ok(())
            }
            Ok(_) => {
                let status = self.until_ended(part, Duration::from_secs(30)).await?;
                Err(self.ended(part, status))
            }
            Err(_) => {
                if let Some(process) = locked(&slot.process).as_mut() {
                    process.kill_all();
                }
                Err(PlatformError::NotReady { part: part.clone(), within: SERVER, said: self.0.said(part) })
            }
        }
    }

    /// Waits until a part says that it is ready; PostgreSQL is when it has written something down.
    ///
    /// # Errors
    /// When it ends meanwhile, or the time is over; with the end of its log.
    pub async fn until_ready(&self, part: &Part, within: Duration) -> Result<(), PlatformError> {
        let since = Instant::now();
        let doors = match part.kind() {
            "postgres" => vec![self.0.admin_url()],
            _ if part.is_server() => Vec::new(),
            _ => self.0.layout.doors_of(part),
        };
        let mut doors = doors.into_iter().peekable();
        while let Some(door) = doors.peek() {
            if let Some(status) = self.exit(part) {
                return Err(self.ended(part, status));
            }
            if since.elapsed() > within || self.0.is_stopped() {
                return Err(PlatformError::NotReady { part: part.clone(), within, said: self.0.said(part) });
            }
            let is_ready = match part.is_server() {
                true => timeout(ANSWER, writes(door)).await.is_ok_and(|written| written.is_ok()),
                false => {
                    let answer = self.0.http.get(format!("{door}/readyz")).send().await;
                    answer.is_ok_and(|answer| answer.status().is_success())
                }
            };
            match is_ready {
                true => drop(doors.next()),
                false => sleep(LOOK * 5).await,
            }
        }
        if !self.is_running(part) {
            return self.has_ended(part, within);
        }
        self.trust(part, true)
    }

    fn has_ended(&self, part: &Part, within: Duration) -> Result<(), PlatformError> {
        Err(match self.exit(part) {
            Some(status) => self.ended(part, status),
            None => PlatformError::NotReady { part: part.clone(), within, said: self.0.said(part) },
        })
    }
}

/// Has the server write a line to its log, and to its disk. One that is about to give up because it could not does not.
async fn writes(url: &str) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query("set synchronous_commit = on").execute(&mut connection).await?;
    sqlx::query("select pg_logical_emit_message(true, 'chaos', '')").execute(&mut connection).await?;
    connection.close().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::testing::prepared;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_server_is_not_ready_because_its_launcher_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let platform = prepared(folder.path()).await;
        let part = Part::new("postgres");
        platform.start_part(&part).await.unwrap();
        *locked(&platform.0.admin) = "postgres://127.0.0.1:1/postgres".to_owned();
        let ready = platform.until_ready(&part, Duration::from_millis(200)).await;
        assert!(matches!(ready, Err(PlatformError::NotReady { .. })), "{ready:?}");
        platform.kill(&part).await.unwrap();
        platform.stop().await.unwrap();
    }
}
