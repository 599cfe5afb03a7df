//! Is the service alive, and should it get traffic?
//!
//! Alive (`/livez`) asks nobody: a database that is away must not get processes killed. Ready (`/readyz`) is a switch
//! that the service sets when it has started and clears when it drains, and a list of checks of what it needs. What it can
//! do without for a while is told, and keeps no traffic away.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::RwLock;
use serde::Serialize;
use tokio::time::{Instant, timeout};

/// How long one check may take.
const CHECK_DEADLINE: Duration = Duration::from_secs(1);
/// How long its result is good: probes and the gateway ask often, the database should not feel it.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// A service's readiness. Cheap to clone, shared by all threads.
#[derive(Clone, Default)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    ready: AtomicBool,
    checks: RwLock<Vec<Arc<Check>>>,
    told: RwLock<BTreeMap<&'static str, String>>,
    /// Held while the checks run, so that a crowd of probes runs them once.
    last: tokio::sync::Mutex<Option<(Instant, Checked)>>,
}

struct Check {
    name: String,
    /// False: a failure is told, and that is all.
    needed: bool,
    run: Run,
}

type Run = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What `/readyz` tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Report {
    /// `ready` or `unready`.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// Each check.
    pub checks: Vec<CheckReport>,
    /// What else is worth knowing, such as the version of the live settings in force.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = std::collections::HashMap<String, String>)]
    pub details: BTreeMap<&'static str, String>,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CheckReport {
    /// What was checked.
    pub name: String,
    /// `ok` or `failed`.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Report {
    /// True when the service should get traffic.
    pub fn is_ready(&self) -> bool {
        self.status == "ready"
    }
}

/// What the checks found, and whether all that is needed is there.
#[derive(Clone)]
struct Checked {
    ready: bool,
    reports: Vec<CheckReport>,
}

impl CheckReport {
    fn new(name: &str, result: Result<(), String>) -> Self {
        let status = if result.is_ok() { "ok" } else { "failed" };
        CheckReport { name: name.to_owned(), status, detail: result.err() }
    }
}

impl Health {
    /// Unready, without checks.
    pub fn new() -> Self {
        Health::default()
    }

    /// Sets the switch: true when the service has started, false when it drains.
    pub fn set_ready(&self, ready: bool) {
        self.inner.ready.store(ready, Ordering::Release);
    }

    /// The switch alone, without the checks.
    pub fn is_set_ready(&self) -> bool {
        self.inner.ready.load(Ordering::Acquire)
    }

    /// Adds a check. It gets a second; it runs at most once a second, beside the others.
    pub fn check(
        &self,
        name: impl Into<String>,
        run: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) {
        self.add(name.into(), true, Box::new(run));
    }

    /// Adds a check of something that the service can do without for a while: its failure is told, and the service stays
    /// ready.
    pub fn advise(
        &self,
        name: impl Into<String>,
        run: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) {
        self.add(name.into(), false, Box::new(run));
    }

    fn add(&self, name: String, needed: bool, run: Run) {
        self.inner.checks.write().push(Arc::new(Check { name, needed, run }));
    }

    /// The switch and all checks.
    pub async fn report(&self) -> Report {
        let switched = if self.is_set_ready() { Ok(()) } else { Err("starting or draining".to_owned()) };
        let Checked { ready, reports } = self.checked().await;
        let ready = ready && switched.is_ok();
        let mut checks = vec![CheckReport::new("service", switched)];
        checks.extend(reports);
        Report { status: if ready { "ready" } else { "unready" }, checks, details: self.told() }
    }

    /// Has the report tell something that is neither good nor bad.
    pub fn tell(&self, name: &'static str, text: impl Into<String>) {
        self.inner.told.write().insert(name, text.into());
    }

    /// What was told so far.
    pub fn told(&self) -> BTreeMap<&'static str, String> {
        self.inner.told.read().clone()
    }

    async fn checked(&self) -> Checked {
        let mut last = self.inner.last.lock().await;
        if let Some((at, checked)) = &*last
            && at.elapsed() < FRESH_FOR
        {
            return checked.clone();
        }
        let checks = self.inner.checks.read().clone();
        let reports = join_all(checks.iter().map(|check| async {
            // A check's own bug is a failed check, not a failed probe.
            let run = AssertUnwindSafe(async { (check.run)().await }).catch_unwind();
            let result = match timeout(CHECK_DEADLINE, run).await {
                Ok(Ok(result)) => result,
                Ok(Err(_panic)) => Err("the check panicked".to_owned()),
                Err(_elapsed) => Err("no answer within a second".to_owned()),
            };
            CheckReport::new(&check.name, result)
        }))
        .await;
        let needed = checks.iter().zip(&reports).filter(|(check, _)| check.needed);
        let ready = needed.into_iter().all(|(_, report)| report.status == "ok");
        let checked = Checked { ready, reports };
        *last = Some((Instant::now(), checked.clone()));
        checked
    }
}
