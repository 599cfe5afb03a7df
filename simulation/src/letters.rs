//! Dead letters: kept with what comes behind them, handled once more when a person asks, each key from its oldest row on.

use std::rc::Rc;

use uuid::Uuid;
use viscount_contracts::Envelope;

use crate::{
    node::{Node, Origin, Service},
    shared::Shared,
    store::{Database, LetterState, Tables, shown},
};

impl<T: Tables> Database<T> {
    /// Keeps an event that was given up.
    pub fn bury(&mut self, group: usize, event: Rc<Envelope>) {
        self.keep(group, event, LetterState::Dead);
    }

    /// Keeps an event that came behind a letter of its key.
    pub fn park(&mut self, group: usize, event: Rc<Envelope>) {
        self.keep(group, event, LetterState::Parked);
    }

    fn keep(&mut self, group: usize, event: Rc<Envelope>, state: LetterState) {
        let letters = self.letters.entry((group, event.key)).or_default();
        if letters.iter().all(|(kept, _)| kept.id != event.id) {
            letters.push((event, state));
            letters.sort_by_key(|(event, _)| event.position);
        }
    }

    fn head(&self, group: usize, key: Uuid) -> Option<(Rc<Envelope>, LetterState)> {
        self.letters.get(&(group, key))?.first().cloned()
    }
}

impl<S: Service> Node<S> {
    /// Somebody mends the handler and asks for another try of a letter.
    pub fn redrive(&mut self, shared: &mut Shared) -> bool {
        let dead = |(_, state): &&mut (Rc<Envelope>, LetterState)| *state == LetterState::Dead;
        let mut letters: Vec<_> = self.db.letters.values_mut().flatten().filter(dead).collect();
        if letters.is_empty() {
            return false;
        }
        let chosen = shared.choices.pick(letters.len());
        let (event, state) = &mut *letters[chosen];
        shared.note(|| format!("somebody asks for another try of {}", shown(event)));
        shared.poisoned.retain(|poisoned| *poisoned != event.id);
        *state = LetterState::Redriving;
        true
    }

    /// A consumer looks at its letters: learns which keys are held, and begins what should go back. One replica does.
    pub fn look(&mut self, group: usize, at: usize, shared: &mut Shared) -> bool {
        let keys: Vec<Uuid> =
            self.db.letters.keys().filter(|(of, _)| *of == group).map(|(_, key)| *key).collect();
        let intake = &mut self.replicas[at].intakes[group];
        let mut learned =
            intake.dead.len() != keys.len() || !keys.iter().all(|key| intake.dead.contains(key));
        intake.dead = keys.iter().copied().collect();
        if self.groups[group].redriver.is_some_and(|holder| holder != at) {
            return learned;
        }
        for key in keys {
            let Some((event, state)) = self.db.head(group, key) else { continue };
            let intake = &mut self.replicas[at].intakes[group];
            if state == LetterState::Dead || !intake.busy.insert(key) {
                continue;
            }
            self.groups[group].redriver = Some(at);
            shared.note(|| format!("{}-{at} handles {} once more", S::TOPIC.service(), shown(&event)));
            self.again(group, at, event);
            learned = true;
        }
        let idle = self.replicas[at].intakes[group].busy.is_empty();
        if idle && self.groups[group].redriver == Some(at) {
            self.groups[group].redriver = None;
            learned = true;
        }
        learned
    }

    fn again(&mut self, group: usize, at: usize, event: Rc<Envelope>) {
        if let Ok(Some(work)) = S::work(&event) {
            self.ask(at, Origin::Letter(group), work, Some(event));
        }
    }

    /// A letter was handled once more.
    pub(crate) fn redriven(
        &mut self,
        at: usize,
        group: usize,
        event: Rc<Envelope>,
        failed: bool,
        shared: &mut Shared,
    ) {
        let key = event.key;
        let Some(letters) = self.db.letters.get_mut(&(group, key)) else { return };
        if failed {
            for (kept, state) in letters.iter_mut().filter(|(kept, _)| kept.id == event.id) {
                shared.note(|| format!("{} is a dead letter again", shown(kept)));
                *state = LetterState::Dead;
            }
        } else {
            letters.retain(|(kept, _)| kept.id != event.id);
            if letters.is_empty() {
                self.db.letters.remove(&(group, key));
            } else if let Some((next, state)) = self.db.head(group, key)
                && state != LetterState::Dead
            {
                self.again(group, at, next);
                return;
            }
        }
        self.replicas[at].intakes[group].busy.remove(&key);
    }
}
