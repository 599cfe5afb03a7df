//! A Prometheus of a test's own: the real one, on a free port, with the rules of `compose/prometheus`.
//!
//! It is found by `VISCOUNT_PROMETHEUS_BIN` (a folder with `prometheus` and `promtool`), on the `PATH`, or in Debian's package,
//! which is then fetched once and unpacked into a cache; that needs `apt-get` and `dpkg-deb`, and no root. Without any of them
//! tests fail and say so; `VISCOUNT_WITHOUT_PROMETHEUS=1` leaves them out, and each then says so.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;
use viscount_chassis::ports::free_port;

use crate::platform::eventually;

/// The folder with `prometheus` and `promtool`; none when tests on it are to be left out.
pub fn programs(test: &str) -> Option<PathBuf> {
    if env::var_os("VISCOUNT_WITHOUT_PROMETHEUS").is_some_and(|value| value == "1") {
        eprintln!("left out because of VISCOUNT_WITHOUT_PROMETHEUS=1: {test}");
        return None;
    }
    if let Some(folder) = env::var_os("VISCOUNT_PROMETHEUS_BIN") {
        return Some(folder.into());
    }
    let on_the_path = env::var_os("PATH").and_then(|path| {
        env::split_paths(&path)
            .find(|folder| ["prometheus", "promtool"].iter().all(|program| folder.join(program).is_file()))
    });
    Some(on_the_path.unwrap_or_else(fetched))
}

/// Debian's package, unpacked. The lists of packages are fetched too, into a place of their own: those of the machine may
/// be missing, and only root could fetch them.
fn fetched() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let cache = cache.unwrap_or_else(env::temp_dir).join("viscount");
    let place = cache.join("prometheus");
    let bin = place.join("usr/bin");
    if !bin.join("prometheus").is_file() {
        fs::create_dir_all(&cache).unwrap();
        let work = tempfile::tempdir_in(&cache).unwrap();
        let place_of = |name: &str| {
            let folder = work.path().join(name);
            fs::create_dir_all(folder.join("partial")).unwrap();
            folder.display().to_string()
        };
        let options = [
            format!("Dir::State::Lists={}", place_of("lists")),
            format!("Dir::Cache={}", place_of("cache")),
            format!("Dir::Cache::Archives={}", place_of("archives")),
            // Root would hand the work to somebody who may not write here.
            "APT::Sandbox::User=root".to_owned(),
            "Debug::NoLocking=1".to_owned(),
        ];
        for task in [&["update"][..], &["download", "prometheus"]] {
            let mut command = Command::new("apt-get");
            for option in &options {
                command.arg("-o").arg(option);
            }
            run(command.arg("-qq").args(task).current_dir(work.path()));
        }
        let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
        let mut files = fs::read_dir(work.path()).unwrap().map(|entry| entry.unwrap().path());
        let package = files.find(is_package).expect("apt-get has downloaded a package");
        run(Command::new("dpkg-deb").arg("-x").arg(package).arg(work.path().join("unpacked")));
        // Whoever was faster has the same.
        let _ = fs::rename(work.path().join("unpacked"), &place);
    }
    bin
}

fn run(command: &mut Command) {
    let hint = "install Prometheus, name its folder in VISCOUNT_PROMETHEUS_BIN, or leave these tests out with \
                VISCOUNT_WITHOUT_PROMETHEUS=1";
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!("{command:?}: {}; {hint}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("{command:?}: {error}; {hint}"),
    }
}

/// The folder with rules and their tests.
pub fn configuration() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/prometheus")
}

pub struct Prometheus {
    home: TempDir,
    child: Child,
    url: String,
    http: Client,
    began: f64,
}

impl Prometheus {
    /// Asks this platform each second. The windows of the rules are as they are everywhere.
    pub async fn watching(programs: &Path, platform: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("rules")).unwrap();
        for file in fs::read_dir(configuration().join("rules")).unwrap() {
            let file = file.unwrap();
            let rules = fs::read_to_string(file.path()).unwrap().replace("interval: 1m", "interval: 1s");
            fs::write(home.path().join("rules").join(file.file_name()), rules).unwrap();
        }
        let target = platform.trim_start_matches("http://");
        let configured = format!(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  evaluation_interval: 1s\nrule_files:\n  - rules/*.yml\n\
             scrape_configs:\n  - job_name: viscount\n    static_configs:\n      - targets: ['{target}']\n"
        );
        fs::write(home.path().join("prometheus.yml"), configured).unwrap();
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let log = fs::File::create(home.path().join("log")).unwrap();
        let child = Command::new(programs.join("prometheus"))
            .arg(format!("--config.file={}", home.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", home.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let http = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let prometheus = Prometheus { home, child, url: format!("http://{address}"), http, began: now() };
        eventually("the first answer to Prometheus", || async {
            let up = prometheus.series("up == 1").await.ok()?;
            (!up.is_empty()).then_some(())
        })
        .await;
        prometheus
    }

    /// What it wrote into its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// The series of now.
    pub async fn series(&self, query: &str) -> Result<Vec<Value>, String> {
        self.ask("/api/v1/query", &[("query", query)]).await.map(|data| list(&data["result"]))
    }

    /// The series since it began.
    pub async fn history(&self, query: &str) -> Result<Vec<Value>, String> {
        let (start, end) = (self.began.to_string(), now().to_string());
        let asked = [("query", query), ("start", &start), ("end", &end), ("step", "2")];
        self.ask("/api/v1/query_range", &asked).await.map(|data| list(&data["result"]))
    }

    /// The values of a label, of all series or of one metric's.
    pub async fn values(&self, label: &str, metric: Option<&str>) -> Vec<String> {
        let asked: Vec<_> = metric.map(|metric| ("match[]", metric)).into_iter().collect();
        let data = self.ask(&format!("/api/v1/label/{label}/values"), &asked).await.unwrap();
        list(&data).iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }

    /// Every rule, with its health.
    pub async fn rules(&self) -> Vec<Value> {
        let data = self.ask("/api/v1/rules", &[]).await.unwrap();
        list(&data["groups"]).iter().flat_map(|group| list(&group["rules"])).collect()
    }

    /// The alerts of this name that fire, each with labels and annotations.
    pub async fn firing(&self, name: &str) -> Vec<Value> {
        let data = self.ask("/api/v1/alerts", &[]).await.unwrap();
        let fires = |alert: &Value| alert["labels"]["alertname"] == name && alert["state"] == "firing";
        list(&data["alerts"]).into_iter().filter(fires).collect()
    }

    /// Waits until one fires.
    pub async fn until_firing(&self, name: &str) -> Value {
        eventually(&format!("the alert {name}"), || async { self.firing(name).await.into_iter().next() })
            .await
    }

    async fn ask(&self, path: &str, asked: &[(&str, &str)]) -> Result<Value, String> {
        let request = self.http.get(format!("{}{path}", self.url)).query(asked);
        let answer = request.send().await.map_err(|error| format!("{error}: {}", self.log()))?;
        let mut answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"].take()),
            _ => Err(answer["error"].to_string()),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}
