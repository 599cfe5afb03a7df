//! The platform of a run, as faults know it.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use reqwest::{Client, Method, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{task::spawn_blocking, time::sleep};

use super::{Body, Fate, clock, events, in_sync, rows};
use crate::{
    experiment::{Poison, Provider, Rows},
    platform::{Part, Platform, PlatformError},
    proxy::Weather,
};

/// For one request to a service.
const REQUEST: Duration = Duration::from_secs(5);
/// A process that is asked may just be down: it is asked again so long.
const COMES_BACK: Duration = Duration::from_secs(30);
/// How long a database server may take to end at once.
const QUIT: Duration = Duration::from_secs(20);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// A platform on which faults happen.
pub struct Bench {
    platform: Platform,
    folder: PathBuf,
    http: Client,
    token: String,
}

impl Bench {
    /// For a platform that is up.
    pub async fn new(platform: &Platform) -> Result<Self, PlatformError> {
        let token = platform.token("admin", None).await?;
        Ok(Self { folder: platform.folder().to_owned(), platform: platform.clone(), http: client()?, token })
    }

    /// Asks until the answer is one of success, or one that will not change.
    async fn ask(&self, method: Method, url: String, body: Option<Value>) -> Result<(), String> {
        let since = Instant::now();
        loop {
            let mut request =
                self.http.request(method.clone(), &url).bearer_auth(&self.token).timeout(REQUEST);
            if let Some(body) = &body {
                request = request.json(body);
            }
            let why = match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                // What is to be taken back is gone: its process was started anew.
                Ok(answer) if answer.status() == StatusCode::NOT_FOUND && method == Method::DELETE => {
                    return Ok(());
                }
                Ok(answer) if answer.status().is_client_error() => {
                    let status = answer.status();
                    let said = answer.text().await.unwrap_or_default();
                    return Err(format!("{url} answered {status}: {said}"));
                }
                Ok(answer) => format!("{url} answered {}", answer.status()),
                Err(error) => format!("{url}: {error}"),
            };
            if since.elapsed() > COMES_BACK {
                return Err(why);
            }
            sleep(PAUSE).await;
        }
    }

    fn proxy(&self, link: &str) -> Result<&crate::proxy::Proxy, String> {
        self.platform.proxy(link).ok_or_else(|| format!("there is no proxy before {link}"))
    }
}

/// Everything is here: nothing, least of all the token, goes by somebody's proxy.
fn client() -> Result<Client, PlatformError> {
    Client::builder().no_proxy().build().map_err(|error| PlatformError::Plan(error.to_string()))
}

fn told(error: PlatformError) -> String {
    error.to_string()
}

impl Body for Bench {
    async fn kill(&self, part: &str) -> Result<(), String> {
        self.platform.kill(&Part::new(part)).await.map_err(told)
    }

    async fn start(&self, part: &str, within: Duration) -> Result<u32, String> {
        let part = Part::new(part);
        let since = Instant::now();
        let mut starts = 0;
        loop {
            let mut outcome = Ok(());
            if !self.platform.is_running(&part) {
                starts += 1;
                outcome = self.platform.start_part(&part).await;
            }
            let left = within.saturating_sub(since.elapsed());
            if outcome.is_ok() {
                outcome = self.platform.until_ready(&part, left).await;
            }
            match outcome {
                Ok(()) => return Ok(starts),
                Err(error) if since.elapsed() + PAUSE >= within => return Err(error.to_string()),
                // As whatever looks after processes would do it.
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn until_in_sync(&self, part: &str, within: Duration) -> Result<(), String> {
        match self.platform.broker(&Part::new(part)) {
            Some(broker) => blocking(move || in_sync::wait(&broker, within)).await,
            None => Ok(()),
        }
    }

    async fn launch(&self, part: &str) -> Result<(), String> {
        self.platform.start_part(&Part::new(part)).await.map_err(told)
    }

    async fn terminate(&self, part: &str) -> Result<(), String> {
        self.platform.terminate(&Part::new(part)).await.map(drop).map_err(told)
    }

    async fn quit(&self, part: &str) -> Result<(), String> {
        let part = Part::new(part);
        self.platform.signal(&part, Signal::QUIT).map_err(told)?;
        match self.platform.until_ended(&part, QUIT).await {
            Ok(_) => Ok(()),
            Err(_) => self.platform.kill(&part).await.map_err(told),
        }
    }

    fn pause(&self, part: &str) -> Result<(), String> {
        self.platform.pause(&Part::new(part)).map_err(told)
    }

    fn resume(&self, part: &str) -> Result<(), String> {
        self.platform.resume(&Part::new(part)).map_err(told)
    }

    fn arm(&self, part: &str, failpoints: Option<String>) -> Result<(), String> {
        self.platform.set_variable(&Part::new(part), "FAILPOINTS", failpoints).map_err(told)
    }

    async fn until_died(&self, part: &str, within: Duration) -> Result<Fate, String> {
        let part = Part::new(part);
        match self.platform.until_ended(&part, within).await {
            Ok(status) if status.signal() == Some(Signal::KILL.as_raw()) => Ok(Fate::Died),
            Ok(status) => Err(told(self.platform.ended(&part, status))),
            Err(PlatformError::DoesNotEnd(_)) => Ok(Fate::Lives),
            Err(error) => Err(told(error)),
        }
    }

    fn weather(&self, link: &str, weather: Weather) -> Result<(), String> {
        self.proxy(link).map(|proxy| proxy.set(weather))
    }

    fn cut(&self, link: &str) -> Result<(), String> {
        self.proxy(link).map(crate::proxy::Proxy::cut)
    }

    async fn fill(&self, part: &str, full: bool) -> Result<(), String> {
        let volume = self.platform.volume(&Part::new(part));
        let volume = volume.ok_or_else(|| format!("{part} has no volume of its own"))?;
        if full {
            // A database server that cannot write may give up.
            self.platform.trust(&Part::new(part), false).map_err(told)?;
        }
        let work = spawn_blocking(move || if full { volume.fill().map(drop) } else { volume.free() });
        work.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    async fn clock(&self, part: &str, shift: i64) -> Result<(), String> {
        clock::set(&self.folder, part, shift).map_err(|error| error.to_string())
    }

    async fn repeat(&self, topics: &[String], copies: u32, seed: u64) -> Result<u64, String> {
        let (brokers, topics) = self.brokers(topics)?;
        blocking(move || events::repeat(&brokers, &topics, copies, seed)).await
    }

    async fn poison(&self, topic: &str, kind: Poison, count: u32, seed: u64) -> Result<(), String> {
        let name = topic.to_owned();
        let (brokers, topics) = self.brokers(std::slice::from_ref(&name))?;
        blocking(move || events::poison(&brokers, &topics.concat(), &name, kind, count, seed)).await
    }

    async fn refuse(&self, rows: &Rows, refused: bool) -> Result<(), String> {
        rows::refuse(&self.platform.database_url(&rows.database), rows, refused).await
    }

    async fn provider(&self, provider: Provider) -> Result<(), String> {
        let doors = self.platform.doors("simulator");
        let door = doors.first().ok_or("there is no payment provider")?;
        self.ask(Method::PUT, format!("{door}/v1/simulator/faults"), Some(json!(provider))).await
    }

    async fn fault(&self, service: &str, id: &str, fault: Option<&Value>) -> Result<(), String> {
        let mut outcome = Ok(());
        // Taking it back does not end with the first that does not answer.
        for door in self.platform.doors(service) {
            let url = format!("{door}/v1/ops/faults");
            let asked = match fault {
                Some(fault) => {
                    let mut fault = fault.clone();
                    fault["id"] = json!(id);
                    self.ask(Method::POST, url, Some(fault)).await
                }
                None => self.ask(Method::DELETE, format!("{url}/{id}"), None).await,
            };
            outcome = outcome.and(asked);
        }
        outcome
    }
}

impl Bench {
    /// The brokers, past the proxies, and the topics' names on them.
    fn brokers(&self, topics: &[String]) -> Result<(String, Vec<String>), String> {
        let brokers = self.platform.brokers().ok_or("there are no brokers")?;
        let prefix = self.platform.topic_prefix();
        Ok((brokers, topics.iter().map(|topic| format!("{prefix}{topic}")).collect()))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    spawn_blocking(work).await.map_err(|error| error.to_string())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::testing::prepared;

    const ELSEWHERE: &str = "CHAOS_TEST_DOOR";

    /// What asks is a process of its own: a client reads its surroundings when it is made.
    #[tokio::test]
    async fn nothing_goes_by_a_proxy() {
        let ask = async |door: String| client().unwrap().get(door).bearer_auth("secret").send().await;
        if let Ok(door) = std::env::var(ELSEWHERE) {
            let _ = ask(door).await;
            return;
        }
        let [proxy, door] = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let url = |listener: &std::net::TcpListener| format!("http://{}", listener.local_addr().unwrap());
        proxy.set_nonblocking(true).unwrap();
        let mut asks = tokio::process::Command::new(std::env::current_exe().unwrap());
        asks.args(["--exact", "faults::platform::tests::nothing_goes_by_a_proxy"]).kill_on_drop(true);
        asks.env(ELSEWHERE, url(&door)).env("HTTP_PROXY", url(&proxy)).env("http_proxy", url(&proxy));
        asks.env_remove("NO_PROXY").env_remove("no_proxy");
        // Whoever is asked hangs up.
        std::thread::spawn(move || door.accept());
        let asking = asks.stdout(std::process::Stdio::null()).status();
        let asked = tokio::time::timeout(Duration::from_secs(5), asking).await;
        assert_eq!(proxy.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "the proxy was asked");
        assert!(asked.is_ok_and(|status| status.unwrap().success()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_who_is_killed_has_died_at_a_point() {
        let folder = tempfile::tempdir().unwrap();
        let platform = prepared(folder.path()).await;
        let (http, token) = (client().unwrap(), String::new());
        let bench = Bench { folder: folder.path().to_owned(), platform: platform.clone(), http, token };
        let part = Part::new("platform-1");
        let mut fates = Vec::new();
        for (deed, within) in
            [("kill -KILL $$", 20), ("echo no such table >&2; exit 1", 20), ("exec sleep 600", 0)]
        {
            platform.set_variable(&part, "DO", Some(deed.to_owned())).unwrap();
            bench.launch(part.name()).await.unwrap();
            fates.push(bench.until_died(part.name(), Duration::from_secs(within)).await);
        }
        assert_eq!((&fates[0], &fates[2]), (&Ok(Fate::Died), &Ok(Fate::Lives)));
        let why = fates[1].as_ref().unwrap_err();
        assert_eq!(why, "platform-1 has ended (exit status: 1); it said: no such table");
        platform.stop().await.unwrap();
    }
}
