//! A private schema registry for tests: Apicurio, which has Confluent's interface as well.
//!
//! It comes from Maven Central, once, like the broker, and lives in a folder of its own. What is registered is in a file
//! there, so that it may be killed and started again.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use super::{
    Data, DevKafkaError, free_port,
    install::{cache, java_version, maven},
    process::Process,
    watch,
};

/// What is fetched: 109 MB. Pinned, so that everyone gets the same.
const VERSION: &str = "3.0.9";
const ARTIFACT: &str = "io.apicurio:apicurio-registry-app";
/// Its parent is not in Maven Central, which newer versions of the plugin insist on.
const GOAL: &str = "org.apache.maven.plugins:maven-dependency-plugin:2.10:unpack";
const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>com.firstviscount</groupId>
  <artifactId>development-registry</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
</project>
"#;

/// How long it may take to start.
const START: Duration = Duration::from_secs(90);

/// A throw-away registry. Dropping it kills it and removes its folder.
#[derive(Debug)]
pub struct DevRegistry {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    process: Option<Process>,
    watcher: Child,
}

impl DevRegistry {
    /// Makes and starts one in a new folder under the system's temporary one.
    pub fn start() -> Result<Self, DevKafkaError> {
        let program = install()?;
        let folder =
            std::env::temp_dir().join(format!("viscount-registry-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(&folder).map_err(DevKafkaError::io(&folder))?;
        let watcher = watch(&folder, Data::Removed)?;
        let port = free_port()?;
        let mut registry = Self { program, folder, port, process: None, watcher };
        registry.restart()?;
        Ok(registry)
    }

    /// What `SCHEMA_REGISTRY_URL` is set to.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }

    /// `kill -9`. Waits until the process is gone.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts a killed registry again, on the same data and port.
    pub fn restart(&mut self) -> Result<(), DevKafkaError> {
        self.kill();
        let (port, process) = (self.port, Process::spawn(self.command(), &self.folder)?);
        // It begins to listen when it has started.
        self.process.insert(process).until_started(|_| TcpStream::connect(("127.0.0.1", port)).is_ok(), START)
    }

    fn command(&self) -> Command {
        let folder = self.folder.display();
        let mut java = Command::new("java");
        java.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xmx256m"]);
        java.arg(format!("-Djava.io.tmpdir={folder}/"));
        java.args(["-Dapicurio.storage.kind=sql", "-Dapicurio.storage.sql.kind=h2"]);
        java.arg(format!("-Dapicurio.datasource.url=jdbc:h2:file:{folder}/registry;WRITE_DELAY=0"));
        java.arg("-Dquarkus.http.host=127.0.0.1").arg(format!("-Dquarkus.http.port={}", self.port));
        java.arg("-jar").arg(&self.program);
        java
    }
}

impl Drop for DevRegistry {
    fn drop(&mut self) {
        self.kill();
        // Its pipe ends, and it finds nobody to kill.
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}

/// Finds the program in the cache, or brings it there.
fn install() -> Result<PathBuf, DevKafkaError> {
    java_version()?;
    let root = cache()?.join(format!("registry-{VERSION}"));
    fs::create_dir_all(&root).map_err(DevKafkaError::io(&root))?;
    let lock_path = root.join("lock");
    let lock = fs::File::create(&lock_path).map_err(DevKafkaError::io(&lock_path))?;
    // The holder's own work is bounded in time.
    lock.lock().map_err(DevKafkaError::io(&lock_path))?;
    let app = root.join("app");
    if !app.is_dir() {
        let artifact = format!("-Dartifact={ARTIFACT}:{VERSION}:tar.gz:all");
        maven(&root, POM, &[GOAL, &artifact], &app)?;
    }
    program(&app)
}

fn program(app: &Path) -> Result<PathBuf, DevKafkaError> {
    let program = app.join(format!("apicurio-registry-app-{VERSION}-runner.jar"));
    match program.is_file() {
        true => Ok(program),
        false => Err(DevKafkaError::Fetch(format!("{} is not in what was fetched", program.display()))),
    }
}
