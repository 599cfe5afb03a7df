//! A private Apache Kafka for tests: no container, no installation by hand beyond a JDK and Maven.
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
//! whose other end only this process holds) kills it and removes the folder.
//!
//! [`DevRegistry`] is a schema registry in the same manner.
//!
//! Everything here blocks: call it from a blocking thread.

mod error;
mod install;
mod listener;
mod process;
mod registry;
pub mod testing;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

pub use error::DevKafkaError;
use install::Installation;
pub use listener::{Listener, Mechanism, Sasl, Tls};
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

/// A throw-away broker. Dropping it kills it and removes its folder.
#[derive(Debug)]
pub struct DevKafka {
    installation: Installation,
    folder: PathBuf,
    port: u16,
    /// For itself: as the controller, and as a broker among brokers when clients come in otherwise.
    inner: [u16; 2],
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
        let watcher = watch(&folder)?;
        let (port, inner) = (free_port()?, [free_port()?, free_port()?]);
        let more = settings.iter().map(|line| (*line).to_owned()).collect();
        let mut broker = Self { installation, folder, port, inner, more, process: None, watcher };
        broker.configure(listener)?;
        broker.installation.format(&broker.properties(), listener.record().as_deref())?;
        broker.run(jvm)?;
        Ok(broker)
    }

    /// Where clients connect.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
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
    fn stop(mut self) -> Result<(), DevKafkaError> {
        match self.process.take() {
            Some(process) => process.stop(START),
            None => Ok(()),
        }
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    /// One node, quick to elect, to form groups, and to come back after `kill -9`.
    fn settings(&self, listener: &Listener) -> String {
        let (port, [controller, own], data) = (self.port, self.inner, self.folder.join("log"));
        let (data, protocol) = (data.display(), listener.protocol());
        // Its own door stands open to the loopback device only.
        let door = format!("CLIENTS://127.0.0.1:{port},BROKERS://127.0.0.1:{own}");
        let mut text = format!(
            "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners={door},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={door}
inter.broker.listener.name=BROKERS
listener.security.protocol.map=CLIENTS:{protocol},BROKERS:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.partitions=1
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=4194304
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.min.session.timeout.ms=1000
"
        );
        text += &listener.settings();
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

/// Its argument is the folder.
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
rm -rf "$folder"
"#;

fn watch(folder: &Path) -> Result<Child, DevKafkaError> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("sh");
    command.args(["-c", WATCHER, "kafka-watcher"]).arg(folder);
    // In a process group of its own: what ends the tests from the terminal must not end it early.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command
        .current_dir("/")
        .spawn()
        .map_err(|error| DevKafkaError::Start(format!("cannot run sh to watch over it: {error}")))
}
