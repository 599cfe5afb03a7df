//! Whoever kills the rig does not leave a platform behind: a shell waits for the end of a pipe whose other end only the
//! rig holds, and then ends every process that has the mark of this run in its environment (proc(5)).

use std::{
    fs, io,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::layout::MARK;

/// How often, and at which distance, what is left is ended.
const TRIES: usize = 200;
const PAUSE: Duration = Duration::from_millis(20);

/// Arguments: the mark, the run's folder, whether the servers' data is kept.
const WATCHER: &str = r#"
cat > /dev/null
mark=$1 folder=$2 data=$3
tries=0
while [ "$tries" -lt 200 ]; do
    found=$(grep -lsF "$mark" /proc/[0-9]*/environ)
    [ -z "$found" ] && break
    for environ in $found; do
        pid=${environ#/proc/}
        kill -s KILL "${pid%/environ}" 2> /dev/null
    done
    sleep 0.05
    tries=$((tries + 1))
done
# Lazily: who is about to end has no environment any more, and its files still.
grep -qsF " $folder/postgres " /proc/mounts && umount -l "$folder/postgres"
[ "$data" = keep ] || rm -rf "$folder/postgres" "$folder/home" "$folder"/broker-*
"#;

/// The shell that outlives the rig.
#[derive(Debug)]
pub(super) struct Watcher(Child);

impl Watcher {
    /// Begins to watch.
    pub(super) fn start(mark: &str, folder: &Path, keep: bool) -> io::Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCHER, "chaos-watcher"]).arg(format!("{MARK}={mark}")).arg(folder);
        shell.arg(if keep { "keep" } else { "remove" });
        // In a process group of its own, and silent: a Ctrl-C in the terminal is not for it.
        shell.process_group(0).current_dir("/");
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        shell.spawn().map(Self)
    }
}

/// Everything is cleaned up: nothing is left to watch for.
impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processes of this run that are still there, each with its command line.
pub(super) fn left(mark: &str) -> Vec<(Pid, String)> {
    let wanted = format!("{MARK}={mark}");
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = entries.filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let environ = fs::read(entry.path().join("environ")).ok()?;
        environ.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()).then_some(())?;
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        Some((pid, line.chars().take(160).collect()))
    });
    ours.collect()
}

/// Ends them, until none is left: what was about to make another one may have made it.
#[expect(
    clippy::disallowed_methods,
    reason = "the platform is over: nobody else needs this thread, for moments"
)]
pub(super) fn end_all(mark: &str) {
    for _ in 0..TRIES {
        let left = left(mark);
        if left.is_empty() {
            return;
        }
        for (pid, _) in left {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use rustix::mount::{MountFlags, mount};

    use super::*;

    #[test]
    fn a_volume_goes_though_somebody_still_holds_a_file_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let data = folder.join("postgres");
        fs::create_dir(&data).unwrap();
        if mount("tmpfs", &data, "tmpfs", MountFlags::NOSUID, c"size=1m").is_err() {
            eprintln!("left out: only root can mount");
            return;
        }
        let _held = fs::File::create(data.join("wal")).unwrap();
        let mark = uuid::Uuid::new_v4().simple().to_string();
        let mut watcher = Watcher::start(&mark, &folder, false).unwrap();
        drop(watcher.0.stdin.take());
        watcher.0.wait().unwrap();
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let is_mounted = mounts.contains(data.to_str().unwrap());
        // Whatever became of it, nothing is left of this test.
        let _ = rustix::mount::unmount(&data, rustix::mount::UnmountFlags::DETACH);
        assert!(!is_mounted && !data.exists());
    }
}
