//! Which actors of a tree can keep a key from going on.

use jiff::{SignedDuration, Timestamp};
use viscount_actors::{Fallen, Quarantined, State, TreeNode};

use super::ActorEvidence;

/// How long ago an entity may have fallen to be worth telling, in seconds.
const LATELY: f64 = 60.0;

/// Those that are down, and the key's own entity when it fell lately.
pub fn of(tree: &TreeNode, key: &str, now: Timestamp) -> Vec<ActorEvidence> {
    let mut found = Vec::new();
    walk(tree, key, now, &mut found);
    found
}

fn walk(node: &TreeNode, key: &str, now: Timestamp, found: &mut Vec<ActorEvidence>) {
    if matches!(node.state, State::BackingOff | State::Down | State::Failed) {
        found.push(ActorEvidence {
            path: node.path.clone(),
            state: node.state.to_string(),
            last_exit: node.last_exit.as_ref().map(ToString::to_string),
            since: None,
        });
    }
    let own = |fallen: &&Fallen| fallen.id == key && fallen.seconds_ago <= LATELY;
    found.extend(node.fallen.iter().filter(own).map(|fallen| ActorEvidence {
        path: format!("{}/{}", node.path, fallen.id),
        state: "fallen".to_owned(),
        last_exit: Some(fallen.last_exit.to_string()),
        since: ago(now, fallen.seconds_ago),
    }));
    let own = |quarantined: &&Quarantined| quarantined.id == key;
    found.extend(node.quarantined.iter().filter(own).map(|quarantined| ActorEvidence {
        path: format!("{}/{}", node.path, quarantined.id),
        state: "quarantined".to_owned(),
        last_exit: Some(quarantined.last_exit.to_string()),
        since: ago(now, quarantined.seconds_ago),
    }));
    for child in &node.children {
        walk(child, key, now, found);
    }
}

fn ago(now: Timestamp, seconds: f64) -> Option<Timestamp> {
    now.checked_sub(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
}
