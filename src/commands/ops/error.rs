//! Why an operations request got no answer that can be used.

use serde_json::Value;

use crate::failure::Failure;

/// The most of a foreign body that is shown.
const SHOWN: usize = 300;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpsError {
    /// Nobody listens there, or the way is broken.
    #[error("nobody answers at {url}: {why}")]
    Unreachable {
        /// Whom we asked.
        url: String,
        /// What the system says.
        why: String,
    },
    /// The answer did not come in time.
    #[error("no answer from {url} within {seconds} s")]
    TimedOut {
        /// Whom we asked.
        url: String,
        /// How long we waited.
        seconds: u64,
    },
    /// 401: the token is missing, expired or not of this platform.
    #[error("the token is not accepted (401): {0}")]
    Unauthorized(String),
    /// 403: the token is good, and its bearer may not ask this.
    #[error("the token has not the role admin (403): {0}")]
    Forbidden(String),
    /// 404: there is no such thing, or no such route.
    #[error("not found (404): {0}")]
    NotFound(String),
    /// Any other refusal, as the platform put it.
    #[error("refused ({status}): {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The problem's title and detail.
        detail: String,
    },
    /// The answer is not what this program understands.
    #[error("the answer of {url} cannot be read: {why}")]
    Unreadable {
        /// Whom we asked.
        url: String,
        /// What is wrong with it.
        why: String,
    },
}

impl OpsError {
    /// A refusal with this body: a problem (RFC 9457) where it is one, else the beginning of what it is.
    pub(super) fn refusal(status: u16, body: &[u8]) -> Self {
        let told = told(body);
        match status {
            401 => OpsError::Unauthorized(told),
            403 => OpsError::Forbidden(told),
            404 => OpsError::NotFound(told),
            _ => OpsError::Refused { status, detail: told },
        }
    }
}

impl From<OpsError> for Failure {
    fn from(error: OpsError) -> Self {
        Failure::Other(error.to_string())
    }
}

fn told(body: &[u8]) -> String {
    let problem: Option<Value> = serde_json::from_slice(body).ok();
    let text = |name: &str| problem.as_ref().and_then(|it| it.get(name)).and_then(Value::as_str);
    let told = match (text("title"), text("detail")) {
        (Some(title), Some(detail)) => format!("{title}: {detail}"),
        (Some(only), None) | (None, Some(only)) => only.to_owned(),
        (None, None) => String::from_utf8_lossy(body).into_owned(),
    };
    // Whoever wrote this may have meant the terminal.
    let told: String = told.trim().chars().filter(|it| !it.is_control()).take(SHOWN).collect();
    if told.is_empty() { "no reason given".to_owned() } else { told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_platforms_words() {
        let body = br#"{"type":"/problems/forbidden","title":"Forbidden","detail":"role admin is needed"}"#;
        let error = OpsError::refusal(403, body);
        assert_eq!(error, OpsError::Forbidden("Forbidden: role admin is needed".to_owned()));
        assert_eq!(OpsError::refusal(401, b""), OpsError::Unauthorized("no reason given".to_owned()));
        let foreign = OpsError::refusal(502, b"<html>\x1b[2Jbad gateway</html>");
        assert_eq!(foreign.to_string(), "refused (502): <html>[2Jbad gateway</html>");
    }
}
