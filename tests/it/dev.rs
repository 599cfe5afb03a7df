//! `viscount dev`: servers by themselves, whose data outlives them and who do not outlive who started them.

use std::{
    io::{BufRead as _, BufReader},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::platform::{block_on, eventually, viscount};

/// A server's launcher, and what it has said.
struct Launched {
    launcher: Child,
    said: Value,
}

impl Launched {
    fn start(arguments: &[&str], data: &Path) -> Self {
        let mut launcher = command(arguments, data).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(launcher.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("not the line it should be: {line}"));
        Self { launcher, said }
    }

    fn text(&self, field: &str) -> &str {
        self.said[field].as_str().unwrap()
    }

    /// `kill -9` of the server itself; how its launcher then ends.
    fn kill(mut self) -> ExitStatus {
        let pid = self.said["pid"].to_string();
        // Waiting would let go of it.
        let _held = self.launcher.stdin.take();
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        self.launcher.wait().unwrap()
    }

    /// Lets go of its standard input.
    fn leave(mut self) -> ExitStatus {
        drop(self.launcher.stdin.take());
        self.launcher.wait().unwrap()
    }
}

fn command(arguments: &[&str], data: &Path) -> Command {
    let mut command = viscount(data);
    command.arg("dev").args(arguments).arg("--data").arg(data);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// An asked for port that another program has.
fn refused(server: &str, data: &Path) -> String {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = command(&[server, "--port", &port], data);
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn postgres_has_its_data_again_after_a_kill_and_goes_with_who_started_it() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("postgres");
        let postgres = Launched::start(&["postgres"], &data);
        let port = postgres.said["port"].to_string();
        let mut connection = PgConnection::connect(postgres.text("url")).await.unwrap();
        connection.execute("create table kept as select 7 as seven").await.unwrap();
        drop(connection);
        assert_eq!(postgres.kill().code(), Some(1));

        let postgres = Launched::start(&["postgres", "--port", &port], &data);
        let mut connection = PgConnection::connect(postgres.text("url")).await.unwrap();
        let kept: i32 =
            sqlx::query_scalar("select seven from kept").fetch_one(&mut connection).await.unwrap();
        assert_eq!(kept, 7);
        drop(connection);
        assert!(postgres.leave().success());
        let place = format!("127.0.0.1:{port}");
        assert!(TcpStream::connect(&place).is_err(), "it is gone with who started it");

        // Whoever starts it may be killed as well.
        let postgres = Launched::start(&["postgres", "--port", &port], &data);
        let mut launcher = postgres.launcher;
        launcher.kill().unwrap();
        launcher.wait().unwrap();
        eventually("the end of the server", || async { TcpStream::connect(&place).is_err().then_some(()) })
            .await;
        let said = refused("postgres", &data);
        assert!(
            said.starts_with("viscount: postgres did not start") && said.contains("could not bind"),
            "{said}"
        );
    });
}

#[cfg(feature = "kafka")]
#[test]
fn kafka_has_its_data_again_after_a_kill_and_goes_with_who_started_it() {
    use std::time::Duration;

    use viscount_chassis::{devkafka::testing::wanted, ports::free_port};

    if !wanted("a broker by itself") {
        return;
    }
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("kafka");
        let port = free_port().unwrap().to_string();
        let arguments = ["kafka", "--flush", "--port", &port];
        let kafka = Launched::start(&arguments, &data);
        let brokers = kafka.text("brokers").to_owned();
        assert!(brokers.ends_with(&port) && kafka.text("direct") != brokers);
        let kafka_of = |brokers: &str| {
            let brokers = brokers.to_owned();
            move |arguments: &[&str]| {
                let mut viscount = viscount(home.path());
                viscount.env("KAFKA_BROKERS", &brokers).env("KAFKA_TOPIC_PREFIX", "dev-").args(arguments);
                let output = viscount.output().unwrap();
                let said = String::from_utf8(output.stdout).unwrap();
                assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
                said
            }
        };
        let on = kafka_of(&brokers);
        let said = on(&["migrate"]);
        assert!(said.contains("is made"), "{said}");
        assert_eq!(kafka.kill().code(), Some(1));

        let mut kafka = Launched::start(&arguments, &data);
        let said = on(&["migrate"]);
        assert!(!said.contains("is made"), "the topics are there: {said}");
        assert!(kafka.launcher.try_wait().unwrap().is_none());
        let place = kafka.text("brokers").to_owned();
        let left = tokio::task::spawn_blocking(move || kafka.leave());
        let status = tokio::time::timeout(Duration::from_secs(60), left).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
        assert!(TcpStream::connect(place).is_err(), "it is gone with who started it");
        let said = refused("kafka", &data);
        assert!(said.contains("port ") && said.contains("in use"), "{said}");
    });
}

#[test]
fn the_program_says_what_it_was_built_with() {
    let home = tempfile::tempdir().unwrap();
    let output = viscount(home.path()).args(["dev", "features"]).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(said["features"]["kafka"], cfg!(feature = "kafka"));
    assert_eq!(said["features"]["failpoints"], cfg!(feature = "failpoints"));
}
