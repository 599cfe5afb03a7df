//! The program's own commands on this platform: tokens, its audit, its dead letters.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use tokio::time::timeout;
use uuid::Uuid;

use super::{Platform, PlatformError, state::locked};

/// For one command.
const COMMAND: Duration = Duration::from_secs(300);

impl Platform {
    /// Runs `viscount` with these arguments. The database it reaches past the proxy, all else through them.
    ///
    /// # Errors
    /// When it cannot be run or takes too long. What it exits with is the caller's to judge.
    pub async fn run(&self, arguments: &[&str]) -> Result<Output, PlatformError> {
        let mut command = self.0.program();
        command.args(arguments).envs(self.0.layout.outside(&self.0.admin_url()));
        command.envs(self.0.plan.variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true);
        let failed = |said: String| PlatformError::Command { command: arguments.join(" "), said };
        match timeout(COMMAND, command.output()).await {
            Ok(output) => output.map_err(|error| failed(error.to_string())),
            Err(_) => Err(failed(format!("no answer within {COMMAND:?}"))),
        }
    }

    /// An access token: role `customer`, `admin` or `service`; for this user, or for a new one. The same again for the
    /// same question.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub async fn token(&self, role: &str, subject: Option<Uuid>) -> Result<String, PlatformError> {
        let question = (role.to_owned(), subject);
        if let Some(token) = locked(&self.0.tokens).get(&question) {
            return Ok(token.clone());
        }
        let mut arguments = vec!["token", "--role", role, "--minutes", "525600"];
        let id = subject.map(|subject| subject.to_string());
        if let Some(id) = &id {
            arguments.extend(["--subject", id]);
        }
        let output = self.run(&arguments).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let token = text(&output.stdout);
        if !output.status.success() || token.is_empty() {
            return Err(PlatformError::Command { command: "token".to_owned(), said: text(&output.stderr) });
        }
        locked(&self.0.tokens).insert(question, token.clone());
        Ok(token)
    }
}
