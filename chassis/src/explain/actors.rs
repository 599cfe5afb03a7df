//! Which actors of a tree can keep a key from going on.

use jiff::{SignedDuration, Timestamp};
use viscount_actors::{Exit, Fallen, Quarantined, SlowEntity, State, TreeNode};

use super::ActorEvidence;

/// How long ago an entity may have fallen to be worth telling, in seconds.
const LATELY: f64 = 60.0;

/// Of the entities that are at their messages for long and are not the key's own, so many are told of each router.
const OTHERS: usize = 8;

/// Those that are down or make no progress; the key's own entity also when it fell lately; and the slowest of the others:
/// where an entity serves many keys (a product its orders), one of them may be what the key waits for.
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
    if let Some(seconds) = node.stuck_seconds {
        found.push(stuck(node.path.clone(), node.last_exit.as_ref(), ago(now, seconds)));
    }
    let own = node.fallen.iter().find(|fallen| fallen.id == key && fallen.seconds_ago <= LATELY);
    let (slow, others): (Vec<&SlowEntity>, Vec<_>) = node.slow.iter().partition(|slow| slow.id == key);
    for slow in slow.iter().chain(others.iter().take(OTHERS)) {
        let last_exit = own.filter(|fallen| fallen.id == slow.id).map(|fallen| &fallen.last_exit);
        found.push(stuck(format!("{}/{}", node.path, slow.id), last_exit, ago(now, slow.seconds)));
    }
    // One that was given up at its deadline was stuck, and is at the same message again or soon will be.
    let told = |fallen: &Fallen| match fallen.last_exit {
        Exit::Overdue(_) => (slow.is_empty(), "stuck"),
        _ => (true, "fallen"),
    };
    found.extend(own.filter(|fallen| told(fallen).0).map(|fallen| ActorEvidence {
        path: format!("{}/{}", node.path, fallen.id),
        state: told(fallen).1.to_owned(),
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

fn stuck(path: String, last_exit: Option<&Exit>, since: Option<Timestamp>) -> ActorEvidence {
    let last_exit = last_exit.map(ToString::to_string);
    ActorEvidence { path, state: "stuck".to_owned(), last_exit, since }
}

fn ago(now: Timestamp, seconds: f64) -> Option<Timestamp> {
    now.checked_sub(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
}
