//! Keeps identity's keys fresh: fetches them at start, every minute, and when somebody meets an unknown key.
//!
//! Anybody can invent a key name, so asking is rate limited: at most one fetch a second, however many ask, and only a
//! bounded number of requests may wait for it.

use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use rand::RngExt;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use crate::resilience::{BreakerConfig, Guard, GuardConfig, Verdict};

/// How often keys are fetched when nobody asks.
const EVERY: Duration = Duration::from_secs(60);
/// The shortest pause between two fetches.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// First and longest pause after a failed fetch.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long one fetch may take.
const FETCH_DEADLINE: Duration = Duration::from_secs(2);
/// How long a request waits for fresh keys.
const WAIT: Duration = Duration::from_secs(2);
/// How many requests may wait at once.
const MAX_WAITING: usize = 256;
/// A JWKS larger than this is not identity's.
const MAX_BYTES: usize = 256 * 1024;

pub(super) struct Refresher {
    url: Option<String>,
    wanted: Notify,
    waiting: Semaphore,
    /// Counts fetches that brought keys.
    fetched: watch::Sender<u64>,
}

impl Refresher {
    /// For keys that never change.
    pub fn fixed() -> Self {
        Refresher::new(None)
    }

    pub fn from_url(url: String) -> Self {
        Refresher::new(Some(url))
    }

    fn new(url: Option<String>) -> Self {
        Refresher {
            url,
            wanted: Notify::new(),
            waiting: Semaphore::new(MAX_WAITING),
            fetched: watch::Sender::new(0),
        }
    }

    /// True when there is somebody to ask.
    pub fn can_ask(&self) -> bool {
        self.url.is_some()
    }

    /// Asks for a fetch soon. Returns at once.
    pub fn ask(&self) {
        self.wanted.notify_one();
    }

    /// Asks for a fetch and waits for it, within bounds. When too many wait already, not at all.
    pub async fn wait_for_keys(&self) {
        let Ok(_permit) = self.waiting.try_acquire() else { return };
        let mut fetched = self.fetched.subscribe();
        self.ask();
        // Whether it came or not: the caller looks at the keys again.
        let _ = timeout(WAIT, fetched.changed()).await;
    }

    pub async fn run(&self, install: impl Fn(&JwkSet)) -> Result<(), String> {
        let Some(url) = &self.url else {
            std::future::pending::<()>().await;
            return Ok(());
        };
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(1))
            .timeout(FETCH_DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| format!("http client: {error}"))?;
        let guard = Guard::new(GuardConfig {
            deadline: FETCH_DEADLINE,
            breaker: BreakerConfig {
                open_for: Duration::from_millis(250),
                open_at_most: BACKOFF.1,
                ..Default::default()
            },
            ..GuardConfig::named("jwks")
        });
        let mut failures = 0u32;
        loop {
            let started = Instant::now();
            // No retry inside the guard: the loop itself is one.
            match guard.call(false, || fetch(&client, url), verdict).await {
                Ok(set) => {
                    install(&set);
                    if failures > 0 || *self.fetched.borrow() == 0 {
                        info!(keys = set.keys.len(), "token keys fetched");
                    }
                    failures = 0;
                    self.fetched.send_modify(|count| *count += 1);
                    let soonest = started + AT_MOST_EVERY;
                    tokio::select! {
                        () = self.wanted.notified() => sleep_until(soonest).await,
                        () = sleep_until(started + EVERY) => {}
                    }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    // Services start in any order: the first refusals are nothing to wake anybody for.
                    if failures == 5 {
                        warn!(error = %error, "token keys cannot be fetched, still trying");
                    }
                    sleep_until(Instant::now() + pause(failures)).await;
                }
            }
        }
    }
}

fn verdict(result: &Result<JwkSet, String>) -> Verdict {
    if result.is_ok() { Verdict::Success } else { Verdict::Failure }
}

/// Doubles from the first pause to the longest, with up to half taken off by chance.
fn pause(failures: u32) -> Duration {
    let (first, longest) = BACKOFF;
    let full = first.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(longest);
    full.mul_f64(rand::rng().random_range(0.5..=1.0))
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<JwkSet, String> {
    let mut answer = client.get(url).send().await.map_err(|error| error.without_url().to_string())?;
    if !answer.status().is_success() {
        return Err(format!("status {}", answer.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.without_url().to_string())? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err("larger than any key set".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    let set: JwkSet = serde_json::from_slice(&body).map_err(|error| format!("not a key set: {error}"))?;
    // Identity always has a key; an empty set is a fault there and must not lock everybody out.
    if set.keys.is_empty() { Err("an empty key set".to_owned()) } else { Ok(set) }
}
