//! A private Apache Kafka for tests and development: no container, no installation by hand beyond a JDK and Maven.
//!
//! One broker in KRaft mode (broker and controller in one), on loopback, in a folder of its own:
//!
//! ```text
//! server.properties   what it was started with; names its process among all others
//! log/                its data
//! broker.log          what it says
//! pid                 of the running broker
//! ```
//!
//! The broker's jars are fetched once from Maven Central into the user's cache, together with an archive of its
//! loaded classes, which halves the time of a start (`install`). It may be killed and started again on the same
//! data and port; when this process ends, however that happens, a watcher (a shell that waits for the end of a pipe
//! whose other end only this process holds) kills it and removes the folder. One that was opened in a folder of one's own
//! ([`DevKafka::open`]) keeps its data, alone or as one of several.
//!
//! [`DevRegistry`] is a schema registry in the same manner.
//!
//! Everything here blocks: call it from a blocking thread.

mod error;
mod install;
mod listener;
mod node;
mod process;
mod registry;
pub mod testing;

use std::{
    fmt::Write as _,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

pub use error::DevKafkaError;
use install::Installation;
pub use listener::{Listener, Mechanism, Sasl, Tls};
pub use node::DevKafkaConfig;
use node::Node;
use process::Process;
pub use registry::DevRegistry;

use crate::ports;

/// How long a broker may take to start.
const START: Duration = Duration::from_secs(90);

/// Between two looks at something that is about to happen in another process.
#[expect(clippy::disallowed_methods, reason = "all of this module runs on blocking threads")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// What becomes of the folder at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Data {
    Removed,
    Kept,
}

/// A broker. Dropping it kills it, and removes its folder unless it was opened in one of one's own.
#[derive(Debug)]
pub struct DevKafka {
    installation: Installation,
    folder: PathBuf,
    node: Node,
    more: Vec<String>,
    process: Option<Process>,
    watcher: Child,
}

impl DevKafka {
    /// Makes and starts one in a new folder under the system's temporary one. `settings` are lines of its
    /// `server.properties` beyond the usual.
    pub fn start(settings: &[&str]) -> Result<Self, DevKafkaError> {
        Self::start_listening(&Listener::default(), settings)
    }

    /// Makes and starts one that lets clients in like this.
    pub fn start_listening(listener: &Listener, settings: &[&str]) -> Result<Self, DevKafkaError> {
        let installation = Installation::get()?;
        Self::start_from(installation, listener, settings, &[])
    }

    fn start_from(
        installation: Installation,
        listener: &Listener,
        settings: &[&str],
        jvm: &[String],
    ) -> Result<Self, DevKafkaError> {
        let folder = std::env::temp_dir().join(format!("viscount-kafka-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(&folder).map_err(DevKafkaError::io(&folder))?;
        let watcher = watch(&folder, Data::Removed)?;
        let more = settings.iter().map(|line| (*line).to_owned()).collect();
        let mut broker = Self { installation, folder, node: Node::alone()?, more, process: None, watcher };
        broker.configure(listener)?;
        broker.installation.format(&broker.properties(), &cluster_id(), listener.record().as_deref())?;
        broker.run(jvm)?;
        Ok(broker)
    }

    /// Starts one on the data of its folder, which is prepared when it is new. Clients come in in the clear.
    ///
    /// # Errors
    /// When the port is taken, the folder is in use, or the broker does not start: with its last words.
    pub fn open(config: &DevKafkaConfig) -> Result<Self, DevKafkaError> {
        if let Err(error) = TcpListener::bind(("127.0.0.1", config.port)) {
            return Err(DevKafkaError::Start(format!("port {}: {error}", config.port)));
        }
        let installation = Installation::get()?;
        fs::create_dir_all(&config.folder).map_err(DevKafkaError::io(&config.folder))?;
        let folder = config.folder.canonicalize().map_err(DevKafkaError::io(&config.folder))?;
        let watcher = watch(&folder, Data::Kept)?;
        let (node, more) = (Node::configured(config)?, config.settings.clone());
        let mut broker = Self { installation, folder, node, more, process: None, watcher };
        broker.configure(&Listener::default())?;
        if !broker.folder.join("log/meta.properties").is_file() {
            broker.installation.format(&broker.properties(), CLUSTER, None)?;
        }
        broker.run(&[])?;
        Ok(broker)
    }

    /// Where clients connect.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.node.port)
    }

    /// A door that tells clients to come back to itself and not to what is advertised. Other brokers use it.
    pub fn direct(&self) -> String {
        format!("127.0.0.1:{}", self.node.own)
    }

    /// The broker's process; none when it has ended.
    pub fn pid(&mut self) -> Option<u32> {
        self.process.as_mut()?.pid()
    }

    /// `kill -9`. Waits until the process is gone.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts a killed broker again, on the same data and port.
    pub fn restart(&mut self) -> Result<(), DevKafkaError> {
        self.kill();
        self.run(&[])
    }

    /// Kills it and starts it again, with clients let in like this from now on. Users of SCRAM stay those of the start.
    pub fn restart_listening(&mut self, listener: &Listener) -> Result<(), DevKafkaError> {
        self.kill();
        self.configure(listener)?;
        self.run(&[])
    }

    fn configure(&self, listener: &Listener) -> Result<(), DevKafkaError> {
        let properties = self.properties();
        fs::write(&properties, self.settings(listener)).map_err(DevKafkaError::io(&properties))
    }

    fn run(&mut self, jvm: &[String]) -> Result<(), DevKafkaError> {
        let command = self.installation.broker(&self.properties(), jvm);
        let process = Process::spawn(command, &self.folder)?;
        self.process.insert(process).until_started(|said| said.contains("Kafka Server started"), START)
    }

    /// An orderly stop, which writes the archive of classes when asked to at the start.
    ///
    /// # Errors
    /// When it does not end in time; it is killed then.
    pub fn stop(mut self) -> Result<(), DevKafkaError> {
        match self.process.take() {
            Some(process) => process.stop(START),
            None => Ok(()),
        }
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn settings(&self, listener: &Listener) -> String {
        let mut text = self.node.settings(&self.folder.join("log"), listener);
        for line in &self.more {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

impl Drop for DevKafka {
    fn drop(&mut self) {
        self.kill();
        // Its pipe ends, and it finds nobody to kill.
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}

fn free_port() -> Result<u16, DevKafkaError> {
    ports::free_port().map_err(|error| DevKafkaError::Start(format!("no free port: {error}")))
}

/// The cluster of all brokers that were opened: those of one cluster have to agree on its id, 16 bytes in base64url.
const CLUSTER: &str = "Zmlyc3QtdmlzY291bnQtMQ";

/// 16 random bytes, base64url; the broker takes none that begins with a dash.
fn cluster_id() -> String {
    use base64::Engine;
    loop {
        let id = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4().as_bytes());
        if !id.starts_with('-') {
            return id;
        }
    }
}

/// Its arguments are the folder, and whether to remove it.
const WATCHER: &str = r#"
cat > /dev/null
folder=$1
pid=$(cat "$folder/pid" 2> /dev/null)
if [ -n "$pid" ] && { [ ! -d /proc/self ] || grep -qsF "$folder/" "/proc/$pid/cmdline"; }; then
    kill -s KILL "$pid" 2> /dev/null
    tries=0
    while [ "$tries" -lt 100 ] && kill -0 "$pid" 2> /dev/null; do
        sleep 0.05
        tries=$((tries + 1))
    done
fi
if [ "$2" = remove ]; then rm -rf "$folder"; fi
"#;

fn watch(folder: &Path, data: Data) -> Result<Child, DevKafkaError> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("sh");
    command.args(["-c", WATCHER, "kafka-watcher"]).arg(folder);
    command.arg(if data == Data::Removed { "remove" } else { "keep" });
    // In a process group of its own: what ends the tests from the terminal must not end it early.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command
        .current_dir("/")
        .spawn()
        .map_err(|error| DevKafkaError::Start(format!("cannot run sh to watch over it: {error}")))
}
