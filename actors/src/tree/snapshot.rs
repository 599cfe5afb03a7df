//! The live tree as data, for an operations page.

use std::fmt;

use serde::Serialize;

use crate::{Exit, Intensity, Restart, Strategy};

/// What a node of the tree is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has been asked to start.
    Starting,
    /// It is up.
    Running,
    /// It fell, and waits out its backoff or its siblings' restart.
    BackingOff,
    /// Its supervisor keeps it down.
    Down,
    /// It is being stopped.
    Stopping,
    /// It ended for good.
    Ended,
    /// A supervisor that gave up.
    Failed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Starting => "starting",
            State::Running => "running",
            State::BackingOff => "backing_off",
            State::Down => "down",
            State::Stopping => "stopping",
            State::Ended => "ended",
            State::Failed => "failed",
        })
    }
}

/// One node of the tree, with all below it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TreeNode {
    /// `service/…/name`.
    pub path: String,
    /// The last part of the path.
    pub name: &'static str,
    /// `supervisor`, `task`, `actor` or `router`.
    pub kind: &'static str,
    /// What it is at.
    pub state: State,
    /// For how long the present incarnation has been up.
    pub uptime_seconds: f64,
    /// Restarts so far; a router's are its entities'.
    pub restarts: u64,
    /// Why the last incarnation ended.
    pub last_exit: Option<Exit>,
    /// Which of its ends call for a restart (children).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// Whom it restarts when a child falls (supervisors).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// How many restarts it allows (supervisors), or allows each entity (routers).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intensity: Option<Intensity>,
    /// Messages accepted and not yet finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox_depth: Option<usize>,
    /// How many messages may be accepted at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox_capacity: Option<usize>,
    /// Restarts left in the window (supervisors).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_budget_remaining: Option<u32>,
    /// Entities alive (routers).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<usize>,
    /// Entities put to rest so far (routers).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passivations: Option<u64>,
    /// Entities that fell too often and were quarantined, so far (routers).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_up: Option<u64>,
    /// How often the watchdog found it without progress.
    pub stuck: u64,
    /// For how long it makes no progress now, when that is longer than [`SLOW`](crate::SLOW): it finishes none of its
    /// messages, or keeps its thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck_seconds: Option<f64>,
    /// Entities that have been at their present messages for longer than [`SLOW`](crate::SLOW), the longest first, at most
    /// 64 (routers).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slow: Vec<SlowEntity>,
    /// Entities that fell lately, the latest first (routers).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallen: Vec<Fallen>,
    /// Entities that are quarantined, the latest first (routers).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<Quarantined>,
    /// Children in the order of their start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<TreeNode>,
}

impl TreeNode {
    pub(crate) fn new(path: &str, name: &'static str, kind: &'static str, state: State) -> TreeNode {
        TreeNode {
            path: path.to_owned(),
            name,
            kind,
            state,
            uptime_seconds: 0.0,
            restarts: 0,
            last_exit: None,
            restart: None,
            strategy: None,
            intensity: None,
            mailbox_depth: None,
            mailbox_capacity: None,
            restart_budget_remaining: None,
            live: None,
            passivations: None,
            given_up: None,
            stuck: 0,
            stuck_seconds: None,
            slow: Vec::new(),
            fallen: Vec::new(),
            quarantined: Vec::new(),
            children: Vec::new(),
        }
    }

    /// The node at `path`, searched from here.
    pub fn find(&self, path: &str) -> Option<&TreeNode> {
        if self.path == path {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(path))
    }
}

/// An entity that is at its present messages for long.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SlowEntity {
    /// Its id.
    pub id: String,
    /// What sorts of messages they are, such as `confirm_stock`; absent while its state is loaded, and where kinds have no
    /// names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_kind: Option<String>,
    /// For how long.
    pub seconds: f64,
}

/// An entity that fell too often. It alone is stopped, until it is released.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quarantined {
    /// Its id.
    pub id: String,
    /// How often it was restarted before.
    pub restarts: u32,
    /// Why it fell last.
    pub last_exit: Exit,
    /// How long ago.
    pub seconds_ago: f64,
}

/// An entity that fell lately.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fallen {
    /// Its id.
    pub id: String,
    /// How often it fell while it was on this list.
    pub restarts: u32,
    /// Why it fell last.
    pub last_exit: Exit,
    /// How long ago.
    pub seconds_ago: f64,
    /// What [`Entity::state`](crate::Entity::state) said after it was loaded again; empty before that.
    pub state: String,
}
