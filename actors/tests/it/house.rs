//! What the tests share: a paused clock, a tree whose failure is kept, and ways to wait.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use viscount_actors::{Exit, Intensity, Supervisor, TreeNode};

/// Long enough never to be the reason that a test fails.
pub const LONG: Duration = Duration::from_secs(600);

/// Runs a test on an actix system whose clock stands still unless everybody waits.
pub fn paused<T>(test: impl Future<Output = T>) -> T {
    quiet_panics();
    actix_rt::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
    })
    .block_on(test)
}

/// The same in real time, for tests with several threads.
pub fn real<T>(test: impl Future<Output = T>) -> T {
    quiet_panics();
    actix_rt::System::new().block_on(test)
}

/// The panics of these tests are meant; only those of the tests themselves are shown.
fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let show = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload().downcast_ref::<&str>().copied().unwrap_or_default();
            let owned = info.payload().downcast_ref::<String>().map(String::as_str).unwrap_or_default();
            let meant = |text: &str| text.starts_with("boom") || text.starts_with("crash injected");
            if !meant(text) && !meant(owned) && info.payload().downcast_ref::<crate::clerk::Odd>().is_none() {
                show(info);
            }
        }));
    });
}

/// A root whose failure is kept.
pub struct Tree {
    pub root: Supervisor,
    failures: Arc<Mutex<Vec<Exit>>>,
}

impl Tree {
    pub fn new() -> Tree {
        Tree::with(Intensity::default())
    }

    pub fn with(intensity: Intensity) -> Tree {
        let failures = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&failures);
        let root = Supervisor::root("shop", intensity, move |exit| kept.lock().unwrap().push(exit));
        Tree { root, failures }
    }

    pub fn failures(&self) -> Vec<Exit> {
        self.failures.lock().unwrap().clone()
    }

    pub fn node(&self, path: &str) -> TreeNode {
        self.root.snapshot().find(path).unwrap_or_else(|| panic!("no node {path}")).clone()
    }
}

pub fn at_most(max_restarts: u32, seconds: u64) -> Intensity {
    Intensity { max_restarts, window: Duration::from_secs(seconds) }
}

pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Waits for a state, in small steps of (virtual) time.
pub async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    for step in 0..20_000 {
        if reached() {
            return;
        }
        tokio::time::sleep(millis(if step < 5_000 { 1 } else { 100 })).await;
    }
    panic!("never reached: {what}");
}

/// Lets everything that can run do so, without the clock moving.
pub async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// A list of what happened, to be shared with actors.
#[derive(Clone, Default)]
pub struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn count(&self, what: &str) -> usize {
        self.all().iter().filter(|note| *note == what).count()
    }

    pub fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}
