//! pgbench and psql, wherever this machine keeps them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

/// How long a program may take beyond what it was asked to.
const PATIENCE: Duration = Duration::from_secs(60);
/// Characters of an error that are passed on.
const TOLD: usize = 400;
/// What to do when there is none.
const GET_IT: &str = "pgbench was not found in VISCOUNT_PG_BIN, PATH or /usr/lib/postgresql: it comes with PostgreSQL's server \
     packages (Debian and Ubuntu: apt-get install postgresql-contrib; Fedora: dnf install postgresql-contrib; macOS: brew install \
     postgresql), and one of version 15 works with a newer server";

/// Both programs.
#[derive(Debug)]
pub struct Programs {
    pgbench: PathBuf,
    psql: PathBuf,
}

impl Programs {
    /// From the folder that `VISCOUNT_PG_BIN` names, from `PATH`, or the newest that a package has put aside.
    pub fn find() -> Result<Self, String> {
        Self::among(&folders())
    }

    fn among(folders: &[PathBuf]) -> Result<Self, String> {
        let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        let pgbench = find("pgbench").ok_or(GET_IT)?;
        let psql = find("psql").ok_or_else(|| {
            format!(
                "{} is there, but psql is not: it comes with PostgreSQL's client packages",
                pgbench.display()
            )
        })?;
        Ok(Self { pgbench, psql })
    }

    /// Such as `pgbench (PostgreSQL) 15.18`.
    pub async fn pgbench_version(&self) -> Result<String, String> {
        let output = run(Command::new(&self.pgbench).arg("--version"), "", PATIENCE).await?;
        Ok(output.trim().to_owned())
    }

    /// pgbench, not started.
    pub fn pgbench(&self) -> Command {
        Command::new(&self.pgbench)
    }

    /// psql, not started.
    pub fn psql(&self) -> Command {
        Command::new(&self.psql)
    }
}

/// Runs a program to its end, and gives what it printed. It is killed when it takes too long, or when nobody waits.
pub async fn run(command: &mut Command, input: &str, within: Duration) -> Result<String, String> {
    let program = PathBuf::from(command.as_std().get_program());
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failed = |error: std::io::Error| format!("{}: {error}", program.display());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever does not read to the end says why on its own.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let ended = timeout(within + PATIENCE, child.wait_with_output()).await;
    let output = ended.map_err(|_| format!("{name} did not come to an end"))?.map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    let why: Vec<&str> = why.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(format!("{name}: {}", why.join(" | ").chars().take(TOLD).collect::<String>()))
}

fn folders() -> Vec<PathBuf> {
    let chosen = env::var_os("VISCOUNT_PG_BIN").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    chosen
        .into_iter()
        .chain(env::split_paths(&path))
        .chain(versions(Path::new("/usr/lib/postgresql")))
        .collect()
}

/// `<folder>/<version>/bin`, the newest version first.
fn versions(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_newest_version_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        for version in ["9", "15", "18", "not-one"] {
            fs::create_dir_all(dir.path().join(version).join("bin")).unwrap();
        }
        let found: Vec<_> = versions(dir.path())
            .iter()
            .map(|path| path.strip_prefix(dir.path()).unwrap().to_owned())
            .collect();
        assert_eq!(found, [Path::new("18/bin"), Path::new("15/bin"), Path::new("9/bin")]);
        assert!(versions(Path::new("/nowhere")).is_empty());
    }

    #[test]
    fn a_missing_program_is_told_with_how_to_get_it() {
        let dir = tempfile::tempdir().unwrap();
        let folders = [dir.path().to_owned()];
        assert!(Programs::among(&folders).unwrap_err().contains("apt-get install"));
        fs::write(dir.path().join("pgbench"), "").unwrap();
        assert!(Programs::among(&folders).unwrap_err().contains("psql is not"));
        fs::write(dir.path().join("psql"), "").unwrap();
        Programs::among(&folders).unwrap();
    }

    #[tokio::test]
    async fn what_a_program_says_of_its_failure_is_passed_on() {
        let mut command = Command::new("sh");
        let why = run(command.args(["-c", "echo first >&2; echo second >&2; exit 3"]), "", PATIENCE).await;
        assert_eq!(why.unwrap_err(), "sh: first | second");
        assert_eq!(run(&mut Command::new("cat"), "what goes in", PATIENCE).await.unwrap(), "what goes in");
    }
}
