//! Why an incarnation of an actor ended. Typed and exhaustive, so that a policy has to say what it does with each.

use std::fmt;

use serde::Serialize;

/// The reason an incarnation came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "detail", rename_all = "snake_case")]
pub enum Exit {
    /// It had nothing more to do: a task returned `Ok(())`, an actor called `ctx.stop()`.
    Normal,
    /// An entity was put to rest because it was idle, asked for it, or had to make room.
    Passivated,
    /// A panic was contained.
    Panicked {
        /// The panic's message.
        message: String,
        /// Where it happened: `factory`, `started`, `handler`, `task`, `load`, `handle`, `stopping`, `injected` …
        during: &'static str,
    },
    /// Its handler was late and was given up.
    Overdue(String),
    /// It ended with an error: a task returned `Err`, an entity could not be loaded.
    Failed(String),
    /// A supervisor had to restart its children too often and gave up.
    Escalated(String),
    /// It was told to stop.
    Stopped,
}

impl Exit {
    /// A short constant name, fit for a metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Exit::Normal => "normal",
            Exit::Passivated => "passivated",
            Exit::Panicked { .. } => "panicked",
            Exit::Overdue(_) => "overdue",
            Exit::Failed(_) => "failed",
            Exit::Escalated(_) => "escalated",
            Exit::Stopped => "stopped",
        }
    }

    /// Whether something went wrong, as opposed to an end that was meant.
    pub fn is_failure(&self) -> bool {
        match self {
            Exit::Panicked { .. } | Exit::Overdue(_) | Exit::Failed(_) | Exit::Escalated(_) => true,
            Exit::Normal | Exit::Passivated | Exit::Stopped => false,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Normal | Exit::Passivated | Exit::Stopped => f.write_str(self.label()),
            Exit::Panicked { message, during } => write!(f, "panicked during {during}: {message}"),
            Exit::Overdue(what) => write!(f, "overdue: {what}"),
            Exit::Failed(reason) => write!(f, "failed: {reason}"),
            Exit::Escalated(reason) => write!(f, "escalated: {reason}"),
        }
    }
}
