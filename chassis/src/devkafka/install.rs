//! Where the broker comes from: its jars from Maven Central, once, and an archive of its classes made on this machine.
//!
//! `VISCOUNT_KAFKA_CACHE` says where they are kept; by default in the user's cache folder, beside the PostgreSQL
//! binaries. Processes that want it at the same time wait for the first one.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{DevKafka, DevKafkaError, Listener};

/// What is fetched. Pinned, so that everyone gets the same.
const VERSION: &str = "3.9.2";

/// How long the fetch may take.
const FETCH: Duration = Duration::from_secs(300);

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>com.firstviscount</groupId>
  <artifactId>development-broker</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>VERSION</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
  <build><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId><version>3.8.1</version>
  </plugin></plugins></build>
</project>
"#;

/// The broker's program.
#[derive(Debug, Clone)]
pub(super) struct Installation {
    lib: PathBuf,
    /// Absent while it is being made, and where the JDK cannot make one.
    archive: Option<PathBuf>,
}

impl Installation {
    /// Finds it in the cache, or brings it there.
    pub(super) fn get() -> Result<Self, DevKafkaError> {
        let java = java_version()?;
        let root = cache()?.join(VERSION);
        fs::create_dir_all(&root).map_err(DevKafkaError::io(&root))?;
        let lock_path = root.join("lock");
        let lock = fs::File::create(&lock_path).map_err(DevKafkaError::io(&lock_path))?;
        // The holder's own work is bounded in time.
        lock.lock().map_err(DevKafkaError::io(&lock_path))?;
        let lib = root.join("lib");
        if !lib.is_dir() {
            fetch(&root, &lib)?;
        }
        let archive = root.join(format!("classes-{java}.jsa"));
        if !archive.is_file() {
            train(&lib, &archive);
        }
        Ok(Self { lib, archive: archive.is_file().then_some(archive) })
    }

    fn java(&self) -> Command {
        let mut command = Command::new("java");
        if let Some(archive) = &self.archive {
            command.arg(format!("-XX:SharedArchiveFile={}", archive.display())).arg("-Xshare:auto");
        }
        let level = "-Dorg.slf4j.simpleLogger.defaultLogLevel=info";
        command.args(["-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.awt.headless=true", level]);
        command
    }

    /// Prepares the data folder that the settings name, with this user's record, if any.
    pub(super) fn format(
        &self,
        properties: &Path,
        cluster: &str,
        user: Option<&str>,
    ) -> Result<(), DevKafkaError> {
        let mut java = self.java();
        java.args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp"]).arg(self.lib.join("*"));
        java.args(["kafka.tools.StorageTool", "format", "-g", "-t", cluster, "-c"]).arg(properties);
        if let Some(user) = user {
            java.args(["--add-scram", user]);
        }
        let output = java
            .stdin(Stdio::null())
            .output()
            .map_err(|error| DevKafkaError::Start(format!("java: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(DevKafkaError::Start(String::from_utf8_lossy(&said).trim().to_owned()))
    }

    /// What runs a broker with these settings.
    pub(super) fn broker(&self, properties: &Path, jvm: &[String]) -> Command {
        let mut java = self.java();
        java.args(["-Xms128m", "-Xmx512m"]).args(jvm).arg("-cp").arg(self.lib.join("*"));
        java.arg("kafka.Kafka").arg(properties);
        java
    }
}

pub(super) fn cache() -> Result<PathBuf, DevKafkaError> {
    let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    path("VISCOUNT_KAFKA_CACHE")
        .or_else(|| Some(path("XDG_CACHE_HOME")?.join("viscount/kafka")))
        .or_else(|| Some(path("HOME")?.join(".cache/viscount/kafka")))
        .filter(|cache| cache.is_absolute())
        .ok_or_else(|| DevKafkaError::Fetch("no cache folder: set VISCOUNT_KAFKA_CACHE".to_owned()))
}

/// Such as `17.0.15`.
pub(super) fn java_version() -> Result<String, DevKafkaError> {
    let output = Command::new("java").arg("-version").stdin(Stdio::null()).output();
    let output = output.map_err(|_| DevKafkaError::Missing { program: "java" })?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let version = said.split('"').nth(1).unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(17..) if output.status.success() => Ok(version.replace(['/', ' '], "_")),
        _ => Err(DevKafkaError::Missing { program: "java" }),
    }
}

fn fetch(root: &Path, lib: &Path) -> Result<(), DevKafkaError> {
    let goal = ["dependency:copy-dependencies", "-DincludeScope=runtime"];
    maven(root, &POM.replace("VERSION", VERSION), &goal, lib)
}

/// Lets Maven bring something into a folder, whole or not at all.
pub(super) fn maven(root: &Path, pom_text: &str, goal: &[&str], into: &Path) -> Result<(), DevKafkaError> {
    let (pom, under_way) = (root.join("pom.xml"), into.with_extension("under-way"));
    fs::write(&pom, pom_text).map_err(DevKafkaError::io(&pom))?;
    if under_way.exists() {
        fs::remove_dir_all(&under_way).map_err(DevKafkaError::io(&under_way))?;
    }
    let mut maven = Command::new("mvn");
    maven.args(["-B", "-q"]).args(goal);
    maven.arg(format!("-DoutputDirectory={}", under_way.display())).current_dir(root);
    let log_path = root.join("fetch.log");
    let log = fs::File::create(&log_path).map_err(DevKafkaError::io(&log_path))?;
    let errors = log.try_clone().map_err(DevKafkaError::io(&log_path))?;
    maven.stdin(Stdio::null()).stdout(log).stderr(errors);
    let mut maven = maven.spawn().map_err(|_| DevKafkaError::Missing { program: "Maven (mvn)" })?;
    let since = Instant::now();
    loop {
        match maven.try_wait().map_err(|error| DevKafkaError::Fetch(error.to_string()))? {
            Some(status) if status.success() => break,
            None if since.elapsed() < FETCH => super::pause(),
            outcome => {
                let _ = maven.kill();
                let _ = maven.wait();
                let late = if outcome.is_none() { "it took too long; " } else { "" };
                let said = fs::read_to_string(&log_path).unwrap_or_default();
                let said = said.lines().take(5).collect::<Vec<_>>().join(" ");
                return Err(DevKafkaError::Fetch(format!("{late}{said}")));
            }
        }
    }
    fs::rename(&under_way, into).map_err(DevKafkaError::io(into))
}

/// One start and stop, whose classes are archived. Without the archive starts are slower, and nothing else.
fn train(lib: &Path, archive: &Path) {
    let under_way = archive.with_extension("under-way");
    let jvm = [format!("-XX:ArchiveClassesAtExit={}", under_way.display())];
    let bare = Installation { lib: lib.to_owned(), archive: None };
    let trained = DevKafka::start_from(bare, &Listener::default(), &[], &jvm)
        .and_then(DevKafka::stop)
        .and_then(|()| fs::rename(&under_way, archive).map_err(DevKafkaError::io(archive)));
    if let Err(error) = trained {
        tracing::warn!(%error, "no class archive: brokers start slower");
    }
}
