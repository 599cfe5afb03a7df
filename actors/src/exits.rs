//! The last exits of each actor, for whoever asks what went wrong.
//!
//! Kept small: 16 of an actor or a supervisor, 64 of all entities of a router. What is kept never holds a message, only
//! the name of its kind. A backtrace is taken down as addresses when a panic happens (see [`panics`](crate::panics))
//! and given names when somebody reads it: reading is slow, so do it off the threads that actors live on.

use std::backtrace::Backtrace;
use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Duration;

use crate::Exit;
use crate::panics::take_backtrace;

/// Exits kept of one child of the tree.
pub(crate) const OF_ONE: usize = 16;
/// Exits kept of all entities of one router.
pub(crate) const OF_ENTITIES: usize = 64;
/// A backtrace is cut here, in bytes.
const LONGEST_BACKTRACE: usize = 8 * 1024;

/// One end of one incarnation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExitRecord {
    /// Whose: `service/…/name`.
    pub path: String,
    /// Which entity's (routers).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub exit: Exit,
    /// The kinds of the messages that it was working on, joined by `+`, where they have names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_kind: Option<String>,
    /// For how long this incarnation had been up.
    pub uptime_seconds: f64,
    /// Where a panic happened, innermost frame first. Not of every one in a storm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backtrace: Option<String>,
}

/// Which exits are meant. What is absent does not matter.
#[derive(Debug, Clone, Default)]
pub struct ExitFilter {
    /// Those at this path, and below it.
    pub path: Option<String>,
    /// Those of this entity.
    pub id: Option<String>,
}

impl ExitFilter {
    pub(crate) fn wants(&self, exit: &KeptExit) -> bool {
        let below = |path: &String| {
            exit.path.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.path.as_ref().is_none_or(below) && (self.id.is_none() || self.id == exit.id)
    }
}

/// An exit as it is kept: its backtrace has no names yet.
pub(crate) struct KeptExit {
    path: Arc<str>,
    id: Option<String>,
    pub(crate) at: Timestamp,
    exit: Exit,
    message_kind: Option<String>,
    uptime: Duration,
    backtrace: Option<Backtrace>,
}

impl KeptExit {
    pub(crate) fn read(&self) -> ExitRecord {
        ExitRecord {
            path: self.path.to_string(),
            id: self.id.clone(),
            at: self.at,
            exit: self.exit.clone(),
            message_kind: self.message_kind.clone(),
            uptime_seconds: self.uptime.as_secs_f64(),
            backtrace: self.backtrace.as_ref().map(|backtrace| readable(&backtrace.to_string())),
        }
    }
}

/// A bounded list of exits, the latest last.
pub(crate) struct Exits {
    kept: VecDeque<Arc<KeptExit>>,
    most: usize,
}

impl Exits {
    pub(crate) fn at_most(most: usize) -> Exits {
        Exits { kept: VecDeque::new(), most }
    }

    /// Keeps one. To be called on the thread of the actor, as soon as it has fallen: that is where its backtrace is.
    pub(crate) fn keep(
        &mut self,
        path: &Arc<str>,
        id: Option<String>,
        exit: &Exit,
        message_kind: Option<String>,
        uptime: Duration,
    ) {
        if matches!(exit, Exit::Stopped | Exit::Passivated) {
            return;
        }
        let backtrace = matches!(exit, Exit::Panicked { .. }).then(take_backtrace).flatten();
        if self.kept.len() >= self.most {
            self.kept.pop_front();
        }
        self.kept.push_back(Arc::new(KeptExit {
            path: Arc::clone(path),
            id,
            at: Timestamp::now(),
            exit: exit.clone(),
            message_kind,
            uptime,
            backtrace,
        }));
    }

    pub(crate) fn find(&self, filter: &ExitFilter, found: &mut Vec<Arc<KeptExit>>) {
        found.extend(self.kept.iter().filter(|exit| filter.wants(exit)).cloned());
    }
}

/// What the innermost frames have in their names or places: the panic's own machinery, and the hook that took it down.
const MACHINERY: &[&str] =
    &["backtrace", "panicking", "panic_handler", "begin_unwind", "begin_panic", "panics.rs"];
/// What the first frame has that belongs to whoever caught the panic.
const CAUGHT: &[&str] = &["catch_unwind", "do_call", "contain.rs", "contain::"];

/// The part of a backtrace between the panic and the guardian, not longer than is useful.
fn readable(backtrace: &str) -> String {
    let mut frames: Vec<String> = Vec::new();
    for line in backtrace.lines() {
        // A frame is a numbered line, mostly followed by one that says where.
        match frames.last_mut() {
            Some(frame) if line.trim_start().starts_with("at ") => {
                frame.push_str(line);
                frame.push('\n');
            }
            _ => frames.push(format!("{line}\n")),
        }
    }
    let has = |frame: &String, parts: &[&str]| parts.iter().any(|part| frame.contains(part));
    let end = frames.iter().position(|frame| has(frame, CAUGHT)).unwrap_or(frames.len());
    let begin = frames[..end].iter().rposition(|frame| has(frame, MACHINERY)).map_or(0, |last| last + 1);
    let ours = &frames[begin..end];
    let mut text = String::new();
    for frame in ours {
        if text.len() + frame.len() > LONGEST_BACKTRACE {
            text.push_str("…\n");
            break;
        }
        text.push_str(frame);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backtrace_is_cut_to_what_is_between_the_panic_and_the_guardian() {
        let whole = concat!(
            "   0: std::backtrace::Backtrace::create\n             at /rustc/b.rs:1:1\n",
            "   1: core::bool::then\n             at /rustc/library/core/src/bool.rs:66:24\n",
            "   2: {closure#0}\n             at ./src/panics.rs:50:9\n",
            "   2: core::panicking::panic_fmt\n             at /rustc/library/core/src/panicking.rs:1:1\n",
            "   3: orders::obey\n             at ./order.rs:7:9\n",
            "   4: orders::handle\n",
            "   5: std::panicking::catch_unwind\n             at /rustc/library/std/src/panicking.rs:1:1\n",
            "   6: viscount_actors::contain::contain\n             at ./contain.rs:1:1\n",
            "   7: main\n",
        );
        assert_eq!(
            readable(whole),
            "   3: orders::obey\n             at ./order.rs:7:9\n   4: orders::handle\n"
        );
    }

    #[test]
    fn a_backtrace_without_landmarks_is_kept_and_bounded() {
        assert_eq!(readable("   0: <unknown>\n"), "   0: <unknown>\n");
        let long = "   0: frame\n".repeat(10_000);
        assert!(readable(&long).len() <= LONGEST_BACKTRACE + 8);
    }
}
