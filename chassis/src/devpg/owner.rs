//! One owner per data folder, and what happens when it dies.
//!
//! The lock is `flock`: the kernel drops it with the process. The watcher is a shell that reads a pipe whose
//! other end only the owner holds; at its end (clean exit, panic, `kill -9` alike) it gives a successor some
//! time and then stops the server, unless the lock file names another owner by then. It looks and signals
//! under the same lock, so it never stops a server that was just taken over.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::DevPgError;
use super::cluster::Folder;

/// How long a server waits for a successor of an owner that was killed.
pub const GRACE_SECONDS: u64 = 10;

/// A dying process keeps its lock until the kernel has torn it down, and the watcher holds it for moments.
const PATIENCE: Duration = Duration::from_secs(3);

/// What becomes of the server and its data when the owner ends without stopping it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// The server waits for a successor, then stops cleanly; the data stays.
    Handover,
    /// The server ends with its owner, and its owner with it; the data stays.
    Bound,
    /// The server is stopped at once and the folder removed.
    ThrowAway,
}

impl Lifetime {
    /// How clients log in. A throw-away server takes the password as it is: the exchange that hides it from whoever
    /// might sit on the port of a stopped server costs every connection of an unoptimised test 40 ms.
    pub(super) fn login(self) -> &'static str {
        match self {
            Self::Handover | Self::Bound => "scram-sha-256",
            Self::ThrowAway => "password",
        }
    }
}

/// Arguments: folder, owner's line in the lock file, seconds to wait, signal, keep or remove.
const WATCHER: &str = r#"
cat > /dev/null
folder=$1 owner=$2 grace=$3 signal=$4 after=$5
sleep "$grace"
exec 9>> "$folder/owner.lock" || exit 0
if command -v flock > /dev/null; then flock -w 5 9 || exit 0; fi
[ "$(cat "$folder/owner.lock")" = "$owner" ] || exit 0
pid=$(head -n 1 "$folder/pgdata/postmaster.pid" 2> /dev/null)
if [ -n "$pid" ] && { [ ! -d /proc/self ] || [ "$(readlink "/proc/$pid/cwd")" = "$folder/pgdata" ]; }; then
    rm -f "$folder/running"
    kill -s "$signal" "$pid"
    tries=0
    while [ "$tries" -lt 200 ] && kill -0 "$pid" 2> /dev/null && [ -e "$folder/pgdata/postmaster.pid" ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
fi
[ "$after" = remove ] && rm -rf "$folder"
exit 0
"#;

/// The lock on a data folder, and the watcher that outlives its holder.
#[derive(Debug)]
pub(super) struct Owner {
    /// Held, not read: closing it gives the folder free.
    _lock: File,
    watcher: Child,
}

impl Owner {
    /// Becomes the owner, or says who is.
    pub(super) fn claim(folder: &Folder, lifetime: Lifetime) -> Result<Self, DevPgError> {
        let path = folder.owner_lock();
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(DevPgError::io(&path))?;
        let since = Instant::now();
        while let Err(refused) = lock.try_lock() {
            match refused {
                TryLockError::Error(error) => return Err(DevPgError::io(&path)(error)),
                TryLockError::WouldBlock if since.elapsed() > PATIENCE => {
                    let mut line = String::new();
                    lock.read_to_string(&mut line).map_err(DevPgError::io(&path))?;
                    let owner = line.split_whitespace().next().unwrap_or("unknown").to_owned();
                    return Err(DevPgError::InUse { data_dir: folder.root().to_owned(), owner });
                }
                TryLockError::WouldBlock => super::pause(),
            }
        }
        // Process ids come again, in containers even at every start: the line must not.
        let line = format!("{} {}", std::process::id(), uuid::Uuid::new_v4().simple());
        let mut write = || {
            lock.set_len(0)?;
            lock.seek(SeekFrom::Start(0))?;
            writeln!(lock, "{line}")?;
            lock.sync_data()
        };
        write().map_err(DevPgError::io(&path))?;
        let watcher = watch(folder, &line, lifetime)?;
        Ok(Self { _lock: lock, watcher })
    }

    /// An orderly end: the server is stopped, nothing is left to watch for.
    pub(super) fn release(mut self) {
        // It is our own child and not yet waited for, so the id cannot be another's.
        if let Err(error) = self.watcher.kill().and_then(|()| self.watcher.wait()) {
            tracing::debug!(%error, "postgres watcher was gone already");
        }
    }
}

fn watch(folder: &Folder, line: &str, lifetime: Lifetime) -> Result<Child, DevPgError> {
    let (grace, signal, after) = match lifetime {
        Lifetime::Handover => (GRACE_SECONDS, "INT", "keep"),
        Lifetime::Bound => (0, "INT", "keep"),
        Lifetime::ThrowAway => (0, "QUIT", "remove"),
    };
    let mut command = Command::new("sh");
    command
        .args(["-c", WATCHER, "postgres-watcher"])
        .arg(folder.root())
        .arg(line)
        .arg(grace.to_string())
        .args([signal, after]);
    // In a process group of its own, and silent: nothing that happens to the owner's terminal may end it
    // early.
    command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/");
    command.spawn().map_err(|error| DevPgError::Start(format!("cannot run sh to watch over it: {error}")))
}
