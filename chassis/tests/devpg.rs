//! The private PostgreSQL as its users see it: it starts, keeps its data, survives the death of its owner and
//! of itself, has one owner.
//!
//! Owners that are to be killed are processes of their own: this test program, asked to run only
//! [`an_owner_process`].

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection, Row};
use viscount_chassis::devpg::testing::{TestServer, durable_server, test_database};
use viscount_chassis::devpg::{DevPgError, DevPostgres, DevPostgresConfig, GRACE_SECONDS, provision};

/// Names the folder for [`an_owner_process`].
const FOLDER: &str = "DEVPG_TEST_FOLDER";
/// For things that other processes do in their own time.
const PATIENCE: Duration = Duration::from_secs(30);

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap_or_else(|error| panic!("cannot connect to {url}: {error}"))
}

async fn note(url: &str, text: &str) {
    let mut connection = connect(url).await;
    sqlx::query("create table if not exists notes (text text not null)")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("insert into notes values ($1)").bind(text).execute(&mut connection).await.unwrap();
}

async fn notes(url: &str) -> Vec<String> {
    let mut connection = connect(url).await;
    let rows = sqlx::query("select text from notes order by text").fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A process of the system still does its work: not gone, and no zombie.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .and_then(|rest| rest.trim_start().chars().next())
        .is_some_and(|state| state != 'Z')
}

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let since = Instant::now();
    while !reached() {
        assert!(since.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

/// Another process that owns the folder, and the id of its server.
struct OtherOwner {
    process: Child,
    server: u32,
}

impl OtherOwner {
    fn start(folder: &Path) -> Self {
        Self::run(Command::new(std::env::current_exe().unwrap()), folder)
    }

    fn run(mut command: Command, folder: &Path) -> Self {
        command.args(["--exact", "an_owner_process", "--nocapture"]).env(FOLDER, folder);
        Self::wait_for_server(command)
    }

    fn wait_for_server(mut command: Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let server =
            lines.find_map(|line| line.unwrap().strip_prefix("server ").map(|pid| pid.parse().unwrap()));
        Self { server: server.expect("the other owner has started its server"), process }
    }

    /// `kill -9`.
    fn kill(mut self) -> u32 {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.server
    }
}

/// The other process of the tests below; by itself it passes at once. It writes a row, says so, and waits to be killed.
#[tokio::test]
async fn an_owner_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let postgres = DevPostgres::start(DevPostgresConfig::new(folder)).await.unwrap();
    note(&postgres.admin_url(), "from the killed owner").await;
    println!("\nserver {}", postgres.pid().unwrap());
    std::io::stdin().lines().for_each(drop);
}

#[tokio::test]
async fn starts_again_with_its_data_its_port_and_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let config = DevPostgresConfig::new(dir.path().join("not/there/yet"));
    let first = DevPostgres::start(config.clone()).await.unwrap();
    let url = first.admin_url();
    note(&url, "kept").await;
    let pid = first.pid().unwrap();
    first.stop().await.unwrap();
    assert!(!lives(pid), "stop waits for the end");
    assert!(PgConnection::connect(&url).await.is_err());

    let began = Instant::now();
    let second = DevPostgres::start(config).await.unwrap();
    let elapsed = began.elapsed();
    assert!(!second.taken_over());
    assert_eq!(second.admin_url(), url, "a url noted down stays good");
    assert_eq!(notes(&url).await, ["kept"]);
    println!("a start with data present took {elapsed:?}");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn is_durable_private_and_small() {
    let dir = tempfile::tempdir().unwrap();
    let config = DevPostgresConfig { max_connections: 23, ..DevPostgresConfig::new(dir.path()) };
    let postgres = DevPostgres::start(config).await.unwrap();
    let mut connection = connect(&postgres.admin_url()).await;
    for (name, wanted) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("max_connections", "23"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
    ] {
        let value: String = sqlx::query_scalar("select current_setting($1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(value, wanted, "{name}");
    }
    let sorted: Vec<String> =
        sqlx::query_scalar("select x from unnest(array['b', 'Z', 'a', 'ä']) x order by x")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(sorted, ["Z", "a", "b", "ä"], "sorted by code point on every machine");

    let without_password = format!("postgres://postgres@127.0.0.1:{}/postgres", postgres.port());
    assert!(PgConnection::connect(&without_password).await.is_err());
    let with_a_guess = format!("postgres://postgres:postgres@127.0.0.1:{}/postgres", postgres.port());
    assert!(PgConnection::connect(&with_a_guess).await.is_err());
    let mode = std::os::unix::fs::MetadataExt::mode(&dir.path().join("password").metadata().unwrap());
    assert_eq!(mode & 0o777, 0o600, "nobody else reads the password");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_owner_is_refused_and_told_who_the_first_is() {
    let dir = tempfile::tempdir().unwrap();
    let first = DevPostgres::start(DevPostgresConfig::new(dir.path())).await.unwrap();
    let refused = DevPostgres::start(DevPostgresConfig::new(dir.path())).await.unwrap_err();
    assert!(
        matches!(&refused, DevPgError::InUse { owner, .. } if *owner == std::process::id().to_string()),
        "{refused}"
    );
    note(&first.admin_url(), "the first one goes on").await;
    first.stop().await.unwrap();
    DevPostgres::start(DevPostgresConfig::new(dir.path())).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn after_kill_9_of_the_owner_the_next_takes_the_running_server_over() {
    let dir = tempfile::tempdir().unwrap();
    let server = OtherOwner::start(dir.path()).kill();
    let postgres = DevPostgres::start(DevPostgresConfig::new(dir.path())).await.unwrap();
    assert!(postgres.taken_over());
    assert_eq!(postgres.pid(), Some(server));
    assert_eq!(notes(&postgres.admin_url()).await, ["from the killed owner"]);
    postgres.stop().await.unwrap();
    assert!(!lives(server));
}

#[tokio::test]
async fn after_kill_9_a_server_with_other_settings_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let server = OtherOwner::start(dir.path()).kill();
    let config = DevPostgresConfig { max_connections: 31, ..DevPostgresConfig::new(dir.path()) };
    let postgres = DevPostgres::start(config).await.unwrap();
    assert!(!postgres.taken_over());
    assert!(!lives(server));
    assert_eq!(notes(&postgres.admin_url()).await, ["from the killed owner"]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn after_kill_9_of_owner_and_server_the_next_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let owner = OtherOwner::start(dir.path());
    kill(owner.server);
    owner.kill();
    let postgres = DevPostgres::start(DevPostgresConfig::new(dir.path())).await.unwrap();
    assert!(!postgres.taken_over());
    assert_eq!(notes(&postgres.admin_url()).await, ["from the killed owner"]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_whose_owner_never_comes_back_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let server = OtherOwner::start(dir.path()).kill();
    assert!(lives(server), "it waits for a successor");
    let began = Instant::now();
    until("the watcher stops the server", || !lives(server)).await;
    assert!(began.elapsed() > Duration::from_secs(GRACE_SECONDS / 2));
    let postgres = DevPostgres::start(DevPostgresConfig::new(dir.path())).await.unwrap();
    assert!(!postgres.taken_over());
    assert_eq!(notes(&postgres.admin_url()).await, ["from the killed owner"]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_killed_is_started_again_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let postgres = DevPostgres::start(DevPostgresConfig::new(dir.path())).await.unwrap();
    note(&postgres.admin_url(), "committed before the kill").await;
    let before = postgres.pid().unwrap();
    kill(before);
    until("the keeper starts it again", || postgres.pid().is_some_and(|pid| pid != before)).await;
    assert_eq!(notes(&postgres.admin_url()).await, ["committed before the kill"]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_pid_file_that_names_somebody_else_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    DevPostgres::start(DevPostgresConfig::new(dir.path())).await.unwrap().stop().await.unwrap();
    let mut somebody = Command::new("sleep").arg("600").spawn().unwrap();
    let pgdata = dir.path().join("pgdata");
    let stale =
        format!("{}\n{}\n1700000000\n5432\n\n127.0.0.1\n\nready   \n", somebody.id(), pgdata.display());
    std::fs::write(pgdata.join("postmaster.pid"), stale).unwrap();

    let postgres = DevPostgres::start(DevPostgresConfig::new(dir.path())).await.unwrap();
    assert!(!postgres.taken_over());
    postgres.stop().await.unwrap();
    assert!(somebody.try_wait().unwrap().is_none(), "a stranger is left alone");
    somebody.kill().unwrap();
    somebody.wait().unwrap();
}

#[tokio::test]
async fn dropped_without_stop_it_ends_too_and_gives_the_folder_free() {
    let dir = tempfile::tempdir().unwrap();
    let postgres = DevPostgres::start(DevPostgresConfig::new(dir.path())).await.unwrap();
    let pid = postgres.pid().unwrap();
    note(&postgres.admin_url(), "kept").await;
    drop(postgres);
    until("the server ends", || !lives(pid)).await;
    let again = DevPostgres::start(DevPostgresConfig::new(dir.path())).await.unwrap();
    assert_eq!(notes(&again.admin_url()).await, ["kept"]);
    again.stop().await.unwrap();
}

#[tokio::test]
async fn provisioning_gives_each_service_its_own_and_can_be_repeated() {
    let server = TestServer::start(false).await.unwrap();
    let admin = server.admin_url();
    let services = ["orders", "it's \"quoted\"", "Inventory"];
    let (first, second) = tokio::join!(provision_all(&admin, &services), provision_all(&admin, &services));
    assert_eq!(first, second, "two at once do not disturb each other");
    for url in &first {
        note(url, "own table in own database").await;
        let mut connection = connect(url).await;
        let superuser: bool =
            sqlx::query_scalar("select rolsuper from pg_roles where rolname = current_user")
                .fetch_one(&mut connection)
                .await
                .unwrap();
        assert!(!superuser);
    }

    let orders_into_inventory = first[0].replace("orders_db", "Inventory_db");
    let refused = PgConnection::connect(&orders_into_inventory).await.unwrap_err().to_string();
    assert!(refused.contains("permission denied"), "{refused}");

    provision(&admin, "orders_db", "orders", "a new pass'word").await.unwrap();
    assert!(PgConnection::connect(&first[0]).await.is_err(), "the old password is gone");
    let renewed = provision(&admin, "orders_db", "orders", "a new pass'word").await.unwrap();
    assert_eq!(notes(&renewed).await, ["own table in own database"]);
    server.stop().await.unwrap();
}

async fn provision_all(admin: &str, services: &[&str]) -> Vec<String> {
    let mut urls = Vec::new();
    for service in services {
        urls.push(provision(admin, &format!("{service}_db"), service, "s3cret/?#").await.unwrap());
    }
    urls
}

#[tokio::test]
async fn provisioning_needs_no_superuser() {
    let server = TestServer::start(false).await.unwrap();
    let mut root = connect(&server.admin_url()).await;
    sqlx::query("create role manager login createrole createdb password 'manager'")
        .execute(&mut root)
        .await
        .unwrap();
    let manager = format!("postgres://manager:manager@127.0.0.1:{}/postgres", server.postgres().port());
    let url = provision(&manager, "orders_db", "orders", "secret").await.unwrap();
    note(&url, "works").await;
    assert_eq!(provision(&manager, "orders_db", "orders", "secret").await.unwrap(), url);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn every_test_has_a_database_of_its_own_from_a_template_made_once() {
    static MIGRATED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let make = || {
        test_database("with notes", |url| async move {
            MIGRATED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            note(&url, "from the template").await;
            Ok::<_, String>(())
        })
    };
    let (first, second) = tokio::join!(make(), make());
    assert_eq!(MIGRATED.load(std::sync::atomic::Ordering::SeqCst), 1);
    note(&first.url, "mine").await;
    assert_eq!(notes(&first.url).await, ["from the template", "mine"]);
    assert_eq!(notes(&second.url).await, ["from the template"]);
    assert_eq!(notes(&first.admin_url).await, ["from the template", "mine"]);
}

#[tokio::test]
async fn a_durable_test_server_syncs_and_leaves_nothing_behind() {
    let server = durable_server().await;
    let mut connection = connect(&server.admin_url()).await;
    let fsync: String = sqlx::query_scalar("show fsync").fetch_one(&mut connection).await.unwrap();
    assert_eq!(fsync, "on");
    let (folder, pid) = (server.postgres().data_dir().to_owned(), server.postgres().pid().unwrap());
    drop(server);
    until("the server ends", || !lives(pid)).await;
    until("the folder is removed", || !folder.exists()).await;
}

/// The test process of the test below; by itself it passes at once.
#[tokio::test]
async fn a_test_process() {
    let Some(note) = std::env::var_os(FOLDER) else { return };
    let server = viscount_chassis::devpg::testing::test_server().await.postgres();
    std::fs::write(note, server.data_dir().to_str().unwrap()).unwrap();
    println!("\nserver {}", server.pid().unwrap());
    std::io::stdin().lines().for_each(drop);
}

#[tokio::test]
async fn a_test_process_that_is_killed_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("folder");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_test_process", "--nocapture"]).env(FOLDER, &note);
    let process = OtherOwner::wait_for_server(command);
    let folder = std::path::PathBuf::from(std::fs::read_to_string(&note).unwrap());
    assert!(folder.exists() && lives(process.server));
    let server = process.kill();
    until("the server ends", || !lives(server)).await;
    until("the folder is removed", || !folder.exists()).await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn works_while_time_is_paused() {
    let database = test_database("paused", |_| async { Ok::<_, String>(()) }).await;
    note(&database.url, "time stands still").await;
}

/// As root this looks at the other half: the same by an ordinary user without a home.
#[tokio::test]
async fn an_ordinary_user_without_a_home_can_do_it_too() {
    let dir = tempfile::tempdir().unwrap();
    if std::os::unix::fs::MetadataExt::uid(&dir.path().metadata().unwrap()) != 0 {
        return;
    }
    const NOBODY: u32 = 65_534;
    std::os::unix::fs::chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    // The test program may lie where that user cannot go.
    let program = dir.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args([
            format!("--reuid={NOBODY}"),
            format!("--regid={NOBODY}"),
            "--clear-groups".into(),
            "--".into(),
        ])
        .arg(program);
    command.env_remove("HOME").current_dir("/");
    let folder = dir.path().join("data");
    let owner = OtherOwner::run(command, &folder);
    let runs_as = std::os::unix::fs::MetadataExt::uid(
        &Path::new("/proc").join(owner.server.to_string()).metadata().unwrap(),
    );
    assert_eq!(runs_as, NOBODY);
    let server = owner.kill();

    // And root after the ordinary user: the folder changes hands, the data stays.
    let postgres = DevPostgres::start(DevPostgresConfig::new(&folder)).await.unwrap();
    assert_eq!(notes(&postgres.admin_url()).await, ["from the killed owner"]);
    postgres.stop().await.unwrap();
    assert!(!lives(server));
}
