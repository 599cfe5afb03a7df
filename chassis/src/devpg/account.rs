//! Under whose name the server runs. PostgreSQL refuses root, and `initdb` wants a user that has a name.
//!
//! In order of preference:
//! 1. an ordinary user with a name: as that user, nothing to do;
//! 2. root (or a user without a name, as in many containers): in a user namespace where the same kernel user
//!    goes by another
//!    number (`unshare --user`). No file changes hands, and it works under `/root` too;
//! 3. root where namespaces are forbidden: as an unprivileged user (`postgres`, else `nobody`) who is given
//!    the data folder.
//!
//! Both helpers replace themselves with the server, so its process id is the child's.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, chown, lchown};
use std::path::Path;
use std::process::{Command, Stdio};

use super::DevPgError;

/// Numbers that a namespace or an unprivileged run takes when the user list names nobody better: the kernel's
/// overflow user.
const NOBODY: User = User { uid: 65_534, gid: 65_534 };

/// Who runs the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// The user who runs this process.
    Own,
    /// The same user under another number, in a namespace.
    Namespace(User),
    /// Another user; only root can do this.
    Other(User),
}

/// An account by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    uid: u32,
    gid: u32,
}

impl Account {
    /// Finds the way that works on this machine.
    pub(super) fn choose() -> Result<Self, DevPgError> {
        let uid = rustix::process::geteuid().as_raw();
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        if uid != 0 && (has_name(&users, uid) || succeeds(Command::new("id").arg("-un"))) {
            return Ok(Self::Own);
        }
        let user = unprivileged(&users);
        let namespace = Self::Namespace(user);
        if succeeds(&mut namespace.command("true")) {
            return Ok(namespace);
        }
        if uid != 0 {
            return Ok(Self::Own);
        }
        let other = Self::Other(user);
        if succeeds(&mut other.command("true")) {
            return Ok(other);
        }
        Err(DevPgError::Account(
            "postgres refuses to run as root, and neither a user namespace (unshare --user) nor another \
             user (setpriv) can be had here: run as an ordinary user, or set DATABASE_URL to a server"
                .into(),
        ))
    }

    /// The last resort of root, for its test.
    #[cfg(test)]
    pub(super) fn other() -> Self {
        Self::Other(unprivileged(&std::fs::read_to_string("/etc/passwd").unwrap_or_default()))
    }

    /// A command that will run under this account, in a process group of its own (a Ctrl-C in the terminal is
    /// for us, not for the server).
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = match self {
            Self::Own => Command::new(program.as_ref()),
            Self::Namespace(User { uid, gid }) => {
                let mut command = Command::new("unshare");
                command.arg("--user").arg(format!("--map-user={uid}")).arg(format!("--map-group={gid}"));
                command.arg("--").arg(program.as_ref());
                command
            }
            Self::Other(User { uid, gid }) => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups");
                command.arg("--").arg(program.as_ref());
                command
            }
        };
        command.process_group(0).stdin(Stdio::null()).env("LC_ALL", "C").current_dir("/");
        command
    }

    /// Whether this account can enter the folder.
    pub(super) fn can_enter(self, folder: &Path) -> bool {
        self == Self::Own || succeeds(self.command("test").arg("-x").arg(folder))
    }

    /// Hands a folder and all in it to this account when it is another's (as after a run that had to use
    /// another way).
    pub(super) fn take(self, folder: &Path) -> Result<(), DevPgError> {
        let User { uid, gid } = match self {
            Self::Own => return Ok(()),
            Self::Namespace(_) => {
                User { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
            }
            Self::Other(user) => user,
        };
        let metadata = folder.metadata().map_err(DevPgError::io(folder))?;
        if metadata.uid() == uid {
            return Ok(());
        }
        take_all(folder, uid, gid)
    }
}

fn take_all(path: &Path, uid: u32, gid: u32) -> Result<(), DevPgError> {
    if path.is_symlink() {
        return lchown(path, Some(uid), Some(gid)).map_err(DevPgError::io(path));
    }
    if path.is_dir() {
        for entry in path.read_dir().map_err(DevPgError::io(path))? {
            take_all(&entry.map_err(DevPgError::io(path))?.path(), uid, gid)?;
        }
    }
    // The folder itself comes last: it is the mark that all below it is done.
    chown(path, Some(uid), Some(gid)).map_err(DevPgError::io(path))
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Lines of `/etc/passwd` as (name, uid, gid).
fn entries(users: &str) -> impl Iterator<Item = (&str, User)> {
    users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some((name, User { uid, gid }))
    })
}

fn has_name(users: &str, uid: u32) -> bool {
    entries(users).any(|(_, user)| user.uid == uid)
}

fn unprivileged(users: &str) -> User {
    let named =
        |wanted: &str| entries(users).find(|(name, user)| *name == wanted && user.uid != 0 && user.gid != 0);
    let any = || entries(users).find(|(_, user)| user.uid != 0 && user.gid != 0);
    named("postgres").or_else(|| named("nobody")).or_else(any).map_or(NOBODY, |(_, user)| user)
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    const DEBIAN: &str = "root:x:0:0:root:/root:/bin/bash\n\
        daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";

    #[test]
    fn prefers_the_database_user_then_nobody_then_anyone_but_root() {
        let with_postgres = format!("{DEBIAN}postgres:x:101:103::/var/lib/postgresql:/bin/sh\n");
        assert_eq!(unprivileged(&with_postgres), User { uid: 101, gid: 103 });
        assert_eq!(unprivileged(DEBIAN), NOBODY);
        assert_eq!(unprivileged("root:x:0:0::/:\njoe:x:1000:100::/:\n"), User { uid: 1000, gid: 100 });
        assert_eq!(unprivileged("root:x:0:0::/:\nbroken line\n"), NOBODY);
    }

    #[test]
    fn knows_which_users_have_a_name() {
        assert!(has_name(DEBIAN, 1));
        assert!(!has_name(DEBIAN, 1000));
    }

    #[test]
    fn the_chosen_account_is_not_root_for_the_server() {
        let account = Account::choose().expect("an account");
        let output = account.command("id").arg("-u").output().expect("id runs");
        assert_ne!(String::from_utf8_lossy(&output.stdout).trim(), "0");
    }
}
