//! The consumers of a service: what is read, in whose hands it is, when it is done, when it is given up.

use std::rc::Rc;

use viscount_contracts::Envelope;

use crate::{
    defect::Defect,
    intake::{Mine, Slot},
    node::{Ended, Node, Origin, Outcome, Service, State, Task},
    shared::{REPLICAS, Shared, index},
    store::shown,
};

/// How often what fails by itself is tried before it is a dead letter.
const ATTEMPTS: u32 = 2;
/// Events that one replica has in hand of one topic at the most.
const IN_HAND: usize = 6;

impl<S: Service> Node<S> {
    /// A partition goes to the other replica. Whose it was learns of that later.
    pub fn rebalance(&mut self, group: usize, partition: usize, shared: &mut Shared) -> bool {
        let owner = &mut self.groups[group].owner[partition];
        *owner = ((owner.0 + 1) % REPLICAS, owner.1 + 1);
        shared.note(|| format!("{} partition {group}.{partition} goes to the other", S::TOPIC.service()));
        true
    }

    /// The owner of a partition reads its next event.
    pub fn take_in(&mut self, group: usize, partition: usize, shared: &mut Shared) -> bool {
        let (owner, turn) = self.groups[group].owner[partition];
        let intake = &mut self.replicas[owner].intakes[group];
        let saved = self.groups[group].saved[partition];
        let joins = intake.mine[partition].as_ref().is_none_or(|mine| mine.turn != turn);
        if joins {
            intake.forget(partition);
            intake.mine[partition] = Some(Mine { turn, read: saved, open: Default::default() });
            // Another member may have given up events of these keys.
            let held = self.db.letters.keys().filter(|(of, _)| *of == group);
            intake.dead = held.map(|(_, key)| *key).collect();
        }
        let Some(mine) = intake.mine[partition].as_mut() else { return false };
        let log = &shared.logs[index(S::LISTENS[group])].partitions[partition];
        if mine.open.len() >= IN_HAND {
            return joins;
        }
        let Some(event) = log.get(mine.read).cloned() else { return joins };
        let slot = Slot { group, partition, turn, offset: mine.read };
        mine.read += 1;
        if S::work(&event).is_ok_and(|work| work.is_none()) {
            return true;
        }
        if shared.choices.once_in(25) {
            shared.note(|| format!("{} will not be handled by {}", shown(&event), S::TOPIC.service()));
            shared.poisoned.push(event.id);
        }
        // What is in hand of a key already is older, and goes first, unless it is from before: another member may have
        // parked since what is older still.
        let goes_first = intake.has_in_hand(event.key);
        if intake.dead.contains(&event.key) && !goes_first && !shared.has(Defect::ParkNothing) {
            shared.note(|| format!("{}-{owner} parks {}", S::TOPIC.service(), shown(&event)));
            self.db.park(group, event);
            return true;
        }
        if !shared.has(Defect::OffsetBeforeCommit)
            && let Some(mine) = intake.mine[partition].as_mut()
        {
            mine.open.insert(slot.offset);
        }
        let lane = intake.lanes.entry(event.key).or_default();
        lane.push_back((slot, event.clone()));
        if lane.len() == 1 {
            self.begin(owner, Origin::Event(slot), event, shared);
        }
        true
    }

    /// The owner of a partition saves its place.
    pub fn save_place(&mut self, group: usize, partition: usize, replica: usize) -> bool {
        let intake = &mut self.replicas[replica].intakes[group];
        let Some(mine) = &intake.mine[partition] else { return false };
        if self.groups[group].owner[partition] != (replica, mine.turn) {
            intake.forget(partition);
            return true;
        }
        let saved = &mut self.groups[group].saved[partition];
        let moved = mine.finished() > *saved;
        *saved = mine.finished().max(*saved);
        moved
    }

    /// What becomes of an event whose handling is over; whoever else asked is told by the caller.
    pub(crate) fn settle(
        &mut self,
        at: usize,
        task: Task<S>,
        outcome: Outcome<S::Answer>,
        shared: &mut Shared,
    ) -> Option<Ended<S>> {
        let Task { id, origin, work, event, attempts, .. } = task;
        let Some(event) = event else { return Some(Ended { replica: at, origin, work, outcome }) };
        let failed = match &outcome {
            Outcome::Done(_) => false,
            Outcome::Refused(_) if attempts + 1 >= ATTEMPTS => true,
            // Tried again, from the beginning.
            Outcome::Away | Outcome::Refused(_) | Outcome::KeyTaken => {
                let attempts = attempts + u32::from(outcome != Outcome::Away);
                if let Ok(Some(work)) = S::work(&event) {
                    let state = State::Ready;
                    self.replicas[at].tasks.push(Task {
                        id,
                        origin,
                        work,
                        event: Some(event),
                        attempts,
                        state,
                    });
                }
                return None;
            }
        };
        match origin {
            Origin::Event(slot) => self.through(at, slot, event, failed, shared),
            Origin::Letter(group) => self.redriven(at, group, event, failed, shared),
            _ => {}
        }
        None
    }

    fn through(&mut self, at: usize, slot: Slot, event: Rc<Envelope>, failed: bool, shared: &mut Shared) {
        let intake = &mut self.replicas[at].intakes[slot.group];
        let key = event.key;
        // Whose partition it is now decides what becomes of what failed.
        if failed && intake.is_ours(slot) {
            shared.note(|| format!("{}-{at} gives up {}", S::TOPIC.service(), shown(&event)));
            intake.dead.insert(key);
            self.db.bury(slot.group, event);
            if !shared.has(Defect::ParkNothing) {
                for (slot, follower) in intake.lanes.remove(&key).into_iter().flatten().skip(1) {
                    self.db.park(slot.group, follower);
                    intake.close(slot);
                }
            }
        }
        if let Some((slot, next)) = intake.done(slot, key) {
            self.begin(at, Origin::Event(slot), next, shared);
        }
    }
}
