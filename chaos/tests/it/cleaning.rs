//! A rig that is interrupted or killed leaves nothing behind.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::bed::{assert_tidy, block_on, eventually, until_nobody_is_left, viscount};

/// Long enough to be broken off.
const EXPERIMENT: &str = r#"
name = "long"
about = "Nothing happens, for long."
seconds = 600
settle = 60

[platform]
engine = "embedded"

[load]
journey = "orders"
rate = 1.0
"#;

fn rig(experiment: &Path, folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_viscount-chaos"));
    command.args(["run", "--engine", "embedded", "--seed", "1"]).arg(experiment);
    command.arg("--data").arg(folder).arg("--viscount").arg(viscount());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// When to break it off.
#[derive(Clone, Copy)]
enum When {
    /// In the middle of a start: services are under way.
    Starting,
    /// Everything is up, and there is load on it.
    UnderLoad,
}

/// Sends the signal, and waits until nothing is left.
fn broken_off_by(signal: Signal, when: When) -> (ExitStatus, tempfile::TempDir) {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let experiment = home.path().join("long.toml");
        fs::write(&experiment, EXPERIMENT).unwrap();
        let mut rig = rig(&experiment, &home.path().join("run"));
        let sign = run_in(home.path()).join(match when {
            When::Starting => "logs/platform-1.log",
            When::UnderLoad => "history.jsonl",
        });
        let running = || async { sign.metadata().is_ok_and(|sign| sign.len() > 0).then_some(()) };
        eventually("the sign that it is so far", running).await;
        kill_process(Pid::from_child(&rig), signal).unwrap();
        let status = tokio::task::spawn_blocking(move || rig.wait().unwrap()).await.unwrap();
        until_nobody_is_left(home.path()).await;
        (status, home)
    })
}

/// Each experiment has a folder of its own below the run's.
fn run_in(home: &Path) -> PathBuf {
    home.join("run/long")
}

#[test]
fn interrupted_it_cleans_up_and_says_so_with_its_exit_code() {
    let (status, home) = broken_off_by(Signal::INT, When::Starting);
    assert_eq!(status.code(), Some(130));
    assert_tidy(&run_in(home.path()));
}

#[test]
fn killed_it_is_cleaned_up_behind() {
    let (status, home) = broken_off_by(Signal::KILL, When::UnderLoad);
    assert_eq!(status.code(), None);
    assert_tidy(&run_in(home.path()));
}
