//! The relay: brings a service's events to the log, and notes how far it is. One replica does it at a time; the next one goes
//! on from the note, so that some events come twice.

use crate::{
    defect::Defect,
    node::{Node, Service},
    shared::Shared,
    store::shown,
};

impl<S: Service> Node<S> {
    /// The relay publishes the next event.
    pub fn publish(&mut self, shared: &mut Shared) -> bool {
        let event = match self.taken.take() {
            Some(event) => event,
            None => {
                let Some(event) = self.db.events.get(self.relay.1).cloned() else { return false };
                self.relay.1 += 1;
                if shared.has(Defect::CursorBeforePublish) {
                    self.relay.0 = self.relay.1;
                    self.taken = Some(event);
                    return true;
                }
                event
            }
        };
        shared.note(|| format!("{} publishes {}", S::TOPIC.service(), shown(&event)));
        shared.logs[crate::shared::index(S::TOPIC)].partitions[crate::shared::partition(event.key)]
            .push(event);
        true
    }

    /// The relay notes how far it is.
    pub fn save_relay(&mut self) -> bool {
        let moved = self.relay.0 < self.relay.1;
        self.relay.0 = self.relay.1;
        moved
    }

    /// Another replica becomes the relay, and begins where the last one had noted to be.
    pub fn lose_relay(&mut self, shared: &mut Shared) -> bool {
        shared.note(|| format!("{} has another relay, from {}", S::TOPIC.service(), self.relay.0));
        self.taken = None;
        self.relay.1 = self.relay.0;
        true
    }
}
