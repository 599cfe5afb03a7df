//! What the services say of themselves each second: restarts of actors, how far behind they are, the breaker.
//!
//! Only a picture for the report and for expectations: no promise is judged by what a service says.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    task::JoinHandle,
    time::{self, Instant, MissedTickBehavior},
};

use crate::platform::{Platform, SERVICES};

/// How long a service may take to answer. One that is dead or stopped has nothing to say.
const ANSWER: Duration = Duration::from_millis(800);

/// What all services together said in one second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sample {
    /// Seconds since the load began.
    pub at: f64,
    /// Actors restarted since the sample before.
    pub restarts: u64,
    /// Whether a breaker towards the provider is open; `None` when payments did not answer.
    pub open: Option<bool>,
    /// Calls that were made to the provider since the sample before.
    pub calls: u64,
    /// Events that were set aside as dead letters since the sample before, messages without an event among them.
    pub letters: u64,
    /// How old the oldest event is that is not published, or was read and is not handled.
    pub behind: f64,
    /// Events that are not published or not handled, read or not.
    pub waiting: u64,
    /// Services that did not answer.
    pub silent: usize,
}

/// Asks every second until it is dropped.
#[derive(Debug)]
pub(super) struct Sampler {
    samples: Arc<Mutex<Vec<Sample>>>,
    task: JoinHandle<()>,
}

impl Sampler {
    /// Begins. `start` is when the load began.
    pub fn start(platform: &Platform, start: Instant) -> Self {
        let samples = Arc::default();
        let task = tokio::spawn(ask_on(platform.clone(), start, Arc::clone(&samples)));
        Self { samples, task }
    }

    /// All samples so far.
    pub fn samples(&self) -> Vec<Sample> {
        locked(&self.samples).clone()
    }

    /// Waits until nobody knows of anything committed that is not published or handled, twice in a row.
    pub async fn until_drained(&self, within: Duration) -> bool {
        let since = self.samples().len();
        let calm = |samples: &[Sample]| {
            let mut last = samples.iter().skip(since).rev().take(2);
            samples.len() >= since + 2 && last.all(Sample::is_drained)
        };
        let looking = async {
            while !calm(&self.samples()) {
                time::sleep(Duration::from_millis(200)).await;
            }
        };
        time::timeout(within, looking).await.is_ok()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sample {
    /// True when all answered and nobody knows of anything that waits. Relays are looked at every fifteen seconds, consumers
    /// every two, and of a partition without a member nobody says anything: what is at rest only the databases know.
    pub fn is_drained(&self) -> bool {
        self.silent == 0 && self.behind < 1.0 && self.waiting == 0
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn ask_on(platform: Platform, start: Instant, samples: Arc<Mutex<Vec<Sample>>>) {
    let Ok(http) = reqwest::Client::builder().timeout(ANSWER).no_proxy().build() else { return };
    let doors: Vec<String> =
        SERVICES.iter().filter(|name| **name != "simulator").flat_map(|name| platform.doors(name)).collect();
    let mut before: BTreeMap<String, Said> = BTreeMap::new();
    let mut ticks = time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let answers = join_all(doors.iter().map(|door| ask(&http, door))).await;
        let mut sample = Sample { at: start.elapsed().as_secs_f64(), ..Sample::default() };
        for (door, said) in doors.iter().zip(answers) {
            let Some(said) = said else {
                sample.silent += 1;
                continue;
            };
            let known = before.insert(door.clone(), said.clone()).unwrap_or_default();
            // A process that began anew counts from nothing.
            sample.restarts += since(said.restarts, known.restarts);
            sample.calls += since(said.calls, known.calls);
            sample.letters += since(said.letters, known.letters);
            sample.behind = sample.behind.max(said.behind);
            sample.waiting += said.waiting;
            if let Some(open) = said.open {
                sample.open = Some(sample.open.unwrap_or(false) || open);
            }
        }
        locked(&samples).push(sample);
    }
}

fn since(now: u64, before: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

/// What one process said.
#[derive(Debug, Clone, Default, PartialEq)]
struct Said {
    restarts: u64,
    calls: u64,
    letters: u64,
    open: Option<bool>,
    behind: f64,
    waiting: u64,
}

async fn ask(http: &reqwest::Client, door: &str) -> Option<Said> {
    let answer = http.get(format!("{door}/metrics")).send().await.ok()?;
    Some(read(&answer.error_for_status().ok()?.text().await.ok()?))
}

/// Reads the text format of Prometheus, as far as it is of interest.
fn read(text: &str) -> Said {
    let mut said = Said::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let Ok(value) = value.parse::<f64>() else { continue };
        let of_provider = labels.contains("name=\"payment_provider\"");
        match name {
            "actor_restarts_total" => said.restarts += value as u64,
            "consumer_dead_letters_total" | "consumer_unreadable_messages_total" => {
                said.letters += value as u64;
            }
            "consumer_lag_seconds" | "relay_lag_seconds" => said.behind = said.behind.max(value),
            "consumer_lag_events" | "relay_lag_events" => said.waiting += value as u64,
            "resilience_breaker_state" if of_provider => {
                said.open = Some(said.open.unwrap_or(false) || value == 2.0);
            }
            "resilience_calls_total" if of_provider => {
                let made = ["success", "failure", "deadline"];
                if made.iter().any(|outcome| labels.contains(&format!("outcome=\"{outcome}\""))) {
                    said.calls += value as u64;
                }
            }
            _ => {}
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_says_is_added_up() {
        let said = read(
            "# TYPE actor_restarts_total counter\n\
             actor_restarts_total{service=\"orders\",actor=\"order\",reason=\"panicked\"} 3\n\
             actor_restarts_total{service=\"orders\",actor=\"hub\",reason=\"failed\"} 1\n\
             consumer_lag_seconds{service=\"orders\",consumer=\"orders\",topic=\"a\",partition=\"0\"} 0.5\n\
             consumer_lag_events{service=\"orders\",consumer=\"orders\",topic=\"a\",partition=\"0\"} 3\n\
             relay_lag_seconds{service=\"orders\"} 2.25\n\
             relay_lag_events{service=\"orders\"} 4\n\
             resilience_breaker_state{name=\"payment_provider\",instance=\"\"} 2\n\
             resilience_breaker_state{name=\"coordination\",instance=\"\"} 0\n\
             resilience_calls_total{name=\"payment_provider\",instance=\"\",outcome=\"success\"} 7\n\
             resilience_calls_total{name=\"payment_provider\",instance=\"\",outcome=\"open\"} 100\n",
        );
        let wanted = Said { restarts: 4, calls: 7, letters: 0, open: Some(true), behind: 2.25, waiting: 7 };
        assert_eq!(said, wanted);
        assert_eq!(read("half a li"), Said::default());
    }

    #[test]
    fn what_nobody_has_read_yet_waits_as_well() {
        let backlog =
            read("consumer_lag_seconds{partition=\"0\"} 0\nconsumer_lag_events{partition=\"0\"} 5\n");
        let sample = |waiting| Sample { waiting, ..Sample::default() };
        assert!(sample(0).is_drained() && !sample(backlog.waiting).is_drained());
    }

    #[test]
    fn a_process_that_began_anew_counts_from_nothing() {
        assert_eq!((since(7, 5), since(2, 5)), (2, 2));
    }
}
