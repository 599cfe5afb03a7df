//! A rig that is interrupted or killed leaves nothing behind.

use std::{
    fs,
    path::Path,
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

/// Sends the signal in the middle of a start, when processes of all kinds are there.
fn broken_off_by(signal: Signal) -> (ExitStatus, tempfile::TempDir) {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let experiment = home.path().join("long.toml");
        fs::write(&experiment, EXPERIMENT).unwrap();
        let folder = home.path().join("run");
        let mut rig = rig(&experiment, &folder);
        // Wherever below the folder the run keeps it.
        let running = || async {
            let logs = [folder.join("logs"), folder.join("long/logs")];
            let said = |log: &Path| log.metadata().is_ok_and(|log| log.len() > 0);
            logs.iter().any(|logs| said(&logs.join("platform-1.log"))).then_some(())
        };
        eventually("a service to be under way", running).await;
        kill_process(Pid::from_child(&rig), signal).unwrap();
        let status = tokio::task::spawn_blocking(move || rig.wait().unwrap()).await.unwrap();
        until_nobody_is_left(home.path()).await;
        (status, home)
    })
}

fn run_in(home: &Path) -> std::path::PathBuf {
    let folder = home.join("run");
    if folder.join("logs").is_dir() { folder } else { folder.join("long") }
}

#[test]
fn interrupted_it_cleans_up_and_says_so_with_its_exit_code() {
    let (status, home) = broken_off_by(Signal::INT);
    assert_eq!(status.code(), Some(130));
    assert_tidy(&run_in(home.path()));
}

#[test]
fn killed_it_is_cleaned_up_behind() {
    let (status, home) = broken_off_by(Signal::KILL);
    assert_eq!(status.code(), None);
    assert_tidy(&run_in(home.path()));
}
