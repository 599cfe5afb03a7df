//! The program under test: where it is, and whether it is one that can be tested.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::PlatformError;

/// For `viscount dev features`.
const ASK: Duration = Duration::from_secs(20);

/// A program that can be tested.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// Which version it says that it is.
    pub version: String,
    /// What it was built with.
    pub features: BTreeMap<String, bool>,
}

#[derive(Deserialize)]
struct Said {
    version: String,
    features: BTreeMap<String, bool>,
}

impl Program {
    /// Finds it: the one named, else that of `VISCOUNT_BIN`; through cargo one is built as the rig was, with failpoints;
    /// else the one beside the rig. Blocks for as long as a build takes.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(named: Option<&Path>) -> Result<PathBuf, PlatformError> {
        let variable = || env::var_os("VISCOUNT_BIN").filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(path) = named.map(Path::to_owned).or_else(variable) {
            return match path.canonicalize() {
                Ok(path) => Ok(path),
                Err(error) => Err(PlatformError::Program(format!("{}: {error}", path.display()))),
            };
        }
        let rig = env::current_exe().map_err(|error| PlatformError::Program(error.to_string()))?;
        let beside = rig.with_file_name("viscount");
        match env::var_os("CARGO") {
            Some(cargo) => build(Path::new(&cargo), &rig, beside),
            None if beside.is_file() => Ok(beside),
            None => Err(PlatformError::Program(format!(
                "no program to test: {} is missing; build it with `cargo build --release -p viscount --features failpoints`, \
                 or name one with --viscount or VISCOUNT_BIN",
                beside.display()
            ))),
        }
    }

    /// Asks it what it was built with.
    ///
    /// # Errors
    /// When it does not run, or does not know the question.
    pub async fn ask(path: &Path) -> Result<Self, PlatformError> {
        let failed =
            |why: String| PlatformError::Program(format!("{} cannot be tested: {why}", path.display()));
        let mut command = tokio::process::Command::new(path);
        command.args(["dev", "features"]).stdin(Stdio::null()).kill_on_drop(true);
        let output = match timeout(ASK, command.output()).await {
            Ok(output) => output.map_err(|error| failed(error.to_string()))?,
            Err(_) => return Err(failed(format!("no answer within {ASK:?}"))),
        };
        let said: Said = serde_json::from_slice(&output.stdout).map_err(|_| {
            let said = String::from_utf8_lossy(&output.stderr);
            failed(said.lines().next().unwrap_or("it does not say what it was built with").to_owned())
        })?;
        Ok(Self { path: path.to_owned(), version: said.version, features: said.features })
    }

    /// True when it was built with a feature, such as `failpoints`.
    pub fn has(&self, feature: &str) -> bool {
        self.features.get(feature).copied().unwrap_or(false)
    }
}

/// Builds it with the rig's own profile, into the rig's own folder.
fn build(cargo: &Path, rig: &Path, program: PathBuf) -> Result<PathBuf, PlatformError> {
    let failed = |why: String| PlatformError::Program(format!("building viscount: {why}"));
    let folder = rig.parent().ok_or_else(|| failed("the rig lies nowhere".to_owned()))?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let mut command = Command::new(cargo);
    command.args(["build", "--locked", "--package", "viscount", "--features", "failpoints"]);
    command.args(["--profile", profile]);
    if let Some(target) = folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    command.current_dir(workspace.unwrap_or(Path::new("."))).stdin(Stdio::null());
    eprintln!("viscount-chaos: building the program to test (profile {profile}, feature failpoints)");
    match command.status() {
        Ok(status) if status.success() && program.is_file() => Ok(program),
        Ok(status) => Err(failed(format!("cargo has failed ({status})"))),
        Err(error) => Err(failed(error.to_string())),
    }
}
