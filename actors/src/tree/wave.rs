//! What concerns several children at once: restarting some, giving up.
//!
//! These run as futures on the arbiter, beside the guardians. Each carries the number of its wave and stops as soon as
//! a newer one has taken over.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::node::{Managed, Node};
use super::snapshot::State;
use crate::contain::contain;
use crate::guardian::Verdict;
use crate::metrics::escalated;
use crate::{Exit, Restart};

/// Halts the children from `from` on in reverse order, pauses, starts them in order.
pub(super) async fn restart_several(node: Arc<Node>, wave: u64, from: u64, pause: Duration) {
    for child in node.children_from(from).into_iter().rev() {
        child.halt().await;
        if !node.is_current(wave) {
            return;
        }
    }
    tokio::time::sleep(pause).await;
    start_in_order(&node, wave, from).await;
}

/// Starts the children from `from` on, each when the one before it is up.
pub(super) async fn start_in_order(node: &Arc<Node>, wave: u64, from: u64) {
    for child in node.children_from(from) {
        if !node.is_current(wave) {
            return;
        }
        let id = child.id();
        child.start().await;
        node.started(wave, id);
    }
    node.settled(wave);
}

/// The node's intensity is exceeded: it halts its children in reverse order and falls itself.
pub(super) async fn give_up(node: Arc<Node>, wave: u64, exit: Exit) {
    let (service, supervisor) = (node.service, node.name);
    tracing::error!(service, supervisor, %exit, "supervisor gives up: too many restarts");
    escalated(service, supervisor);
    for child in node.children_from(0).into_iter().rev() {
        child.halt().await;
    }
    if !node.is_current(wave) {
        return;
    }
    let intensity = node.intensity();
    let (most, window) = (intensity.max_restarts, intensity.window);
    let exit =
        Exit::Escalated(format!("{supervisor}: more than {most} restarts in {window:?}; the last: {exit}"));
    let Some(parent) = node.parent.clone() else {
        return fail(node, exit).await;
    };
    let attempt = node.count_fall(&exit);
    match parent.fell(node.id(), Restart::Permanent, attempt, &exit) {
        Verdict::Restart(pause) => {
            tokio::time::sleep(pause).await;
            if node.is_current(wave) {
                node.start().await;
            }
        }
        // The parent's own wave starts it, or its own fall goes further up.
        Verdict::Wait | Verdict::Hold => {}
        Verdict::End => {
            node.enter(State::Ended);
        }
    }
}

/// The root gave up: nothing of the tree is left, and the process hears of it.
async fn fail(node: Arc<Node>, exit: Exit) {
    let forced = Arc::new(Mutex::new(Vec::new()));
    let now = Instant::now();
    for child in node.children_from(0).into_iter().rev() {
        child.stop(now, Arc::clone(&forced)).await;
    }
    node.note_exit(&exit);
    let on_failure = node.on_failure.lock().take();
    if let Some(on_failure) = on_failure
        && let Err(panic) = contain("on_failure", || on_failure(exit))
    {
        tracing::error!(%panic, "on_failure panicked");
    }
}
