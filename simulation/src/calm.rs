//! Faults cease, time passes, and everything comes to rest: or else it never would.

use crate::{
    client::{Heard, Wish},
    node::{Node, Service},
    shared::{PARTITIONS, REPLICAS, Shared},
    world::World,
};

/// Rounds of one minute until the world has to be at rest, and of ten minutes after these.
const ROUNDS: (usize, usize) = (60, 90);
/// Passes over all parts within one round.
const PASSES: usize = 200;

impl World {
    /// Lets faults cease. Says so when the world does not come to rest.
    pub fn calm_down(&mut self) {
        self.shared.choices.calm();
        self.shared.poisoned.clear();
        self.shared.note(|| "faults cease".to_owned());
        if self.alone {
            // Nobody else answers for hours: the deadlines have to end every order.
            for _ in 0..8 {
                self.settle(true);
                self.pass(16 * 60_000);
            }
            self.settle(true);
            if !self.all_final() {
                let standing = self.standing();
                self.shared.violate(format!("deadlines have passed, and orders still wait: {standing:?}"));
            }
        }
        for round in 0..ROUNDS.0 + ROUNDS.1 {
            self.settle(false);
            if self.shared.violation.is_some() || (round > 2 && self.is_at_rest()) {
                self.look_back();
                return;
            }
            self.pass(if round < ROUNDS.0 { 60_000 } else { 600_000 });
        }
        let (standing, busy) = (self.standing(), self.busy());
        self.shared.violate(format!("does not come to rest: {busy}; {standing:?}"));
    }

    fn settle(&mut self, alone: bool) {
        for _ in 0..PASSES {
            if self.shared.violation.is_some() || !self.round(alone) {
                return;
            }
        }
    }

    fn round(&mut self, alone: bool) -> bool {
        let mut moved = run(&mut self.orders, &mut self.shared);
        if !alone {
            moved |= run(&mut self.inventory, &mut self.shared);
            moved |= run(&mut self.payments, &mut self.shared);
        }
        for at in 0..REPLICAS {
            moved |= all(|index| {
                let there = index < self.orders.replicas[at].tasks.len();
                self.shared.tick += u64::from(there);
                there.then(|| self.advance_order(at, index))
            });
            moved |= self.deadlines(at);
            if alone {
                continue;
            }
            moved |= all(|index| {
                let there = index < self.inventory.replicas[at].tasks.len();
                self.shared.tick += u64::from(there);
                there.then(|| self.inventory.advance(at, index, &mut self.shared).is_some())
            });
            moved |= all(|index| {
                let there = index < self.payments.replicas[at].tasks.len();
                self.shared.tick += u64::from(there);
                there.then(|| self.advance_payment(at, index))
            });
            moved |= self.chase(at);
        }
        if !alone {
            while crate::provider::Provider::arrive(&mut self.shared) {
                moved = true;
            }
            for chosen in (0..self.shared.provider.deliveries.len()).rev() {
                moved |= self.webhook(0, chosen);
            }
        }
        moved |= self.ask_again() | self.look_on();
        moved || self.redrive(alone)
    }

    /// Somebody asks for another try of every letter, when there is nothing else to do.
    fn redrive(&mut self, alone: bool) -> bool {
        let mut moved = false;
        while self.orders.redrive(&mut self.shared)
            || !alone && self.inventory.redrive(&mut self.shared)
            || !alone && self.payments.redrive(&mut self.shared)
        {
            moved = true;
        }
        moved
    }

    /// Who was never answered asks again, with the same key.
    fn ask_again(&mut self) -> bool {
        let mut moved = false;
        for at in 0..self.clients.requests.len() {
            let request = &self.clients.requests[at];
            let waits = request.heard == Heard::Nothing;
            let asked = self.orders.replicas.iter().flat_map(|replica| &replica.tasks);
            let asked = asked.filter(|task| task.origin == crate::node::Origin::Client(at)).count() > 0;
            if waits && !asked {
                moved |= self.clients.send(at, 0, &mut self.orders, &mut self.shared);
            }
        }
        moved
    }

    fn look_on(&mut self) -> bool {
        let mut moved = false;
        for replica in 0..REPLICAS {
            for partition in 0..PARTITIONS {
                while self.streams.hand_out(replica, partition, &self.shared) {
                    moved = true;
                }
            }
        }
        for at in 0..self.streams.watchers.len() {
            while self.streams.step(at, &self.orders, &mut self.shared) {
                moved = true;
            }
        }
        moved
    }

    /// Everybody who has watched an order looks whether something came since: a stream ends when its order has settled,
    /// and a payment that comes to light later wakes the order once more.
    fn look_back(&mut self) {
        self.streams.watchers.iter_mut().for_each(|watcher| watcher.over = false);
        while self.look_on() {}
    }

    fn is_at_rest(&self) -> bool {
        self.all_final() && self.busy().is_empty()
    }

    /// What is still to be done, in words; empty when nothing is.
    fn busy(&self) -> String {
        let mut busy = Vec::new();
        let tasks: usize = self.orders.replicas.iter().map(|replica| replica.tasks.len()).sum();
        let stock: usize = self.inventory.replicas.iter().map(|replica| replica.tasks.len()).sum();
        let money: usize = self.payments.replicas.iter().map(|replica| replica.tasks.len()).sum();
        for (what, many) in [
            ("tasks of orders", tasks),
            ("tasks of inventory", stock),
            ("tasks of payments", money),
            ("unread by orders", unread(&self.orders, &self.shared)),
            ("unread by inventory", unread(&self.inventory, &self.shared)),
            ("unread by payments", unread(&self.payments, &self.shared)),
            ("open questions", self.payments.db.tables.open.len()),
            ("webhooks", usize::from(!self.shared.provider.is_quiet())),
            (
                "letters",
                self.orders.db.letters.len()
                    + self.inventory.db.letters.len()
                    + self.payments.db.letters.len(),
            ),
            ("unanswered", self.unanswered()),
        ] {
            if many > 0 {
                busy.push(format!("{many} {what}"));
            }
        }
        busy.join(", ")
    }

    fn unanswered(&self) -> usize {
        let waits = |request: &&crate::client::Request| {
            matches!(request.wish, Wish::Place(_)) && request.heard == Heard::Nothing
        };
        self.clients.requests.iter().filter(waits).count()
    }
}

/// Makes steps at each index until none can be made.
fn all(mut step: impl FnMut(usize) -> Option<bool>) -> bool {
    let (mut index, mut moved) = (0, false);
    while let Some(made) = step(index) {
        moved |= made;
        index += usize::from(!made);
    }
    moved
}

fn unread<S: Service>(node: &Node<S>, shared: &Shared) -> usize {
    let groups = node.groups.iter().zip(S::LISTENS);
    groups
        .flat_map(|(group, topic)| {
            let log = &shared.logs[crate::shared::index(*topic)];
            group.saved.iter().zip(&log.partitions).map(|(saved, events)| events.len() - saved)
        })
        .sum()
}

/// Everything that a service does without being asked, as far as it goes.
fn run<S: Service>(node: &mut Node<S>, shared: &mut Shared) -> bool {
    let mut moved = false;
    while node.publish(shared) {
        shared.tick += 1;
        moved = true;
    }
    moved |= node.save_relay();
    for group in 0..S::LISTENS.len() {
        for partition in 0..PARTITIONS {
            while node.take_in(group, partition, shared) {
                shared.tick += 1;
                moved = true;
            }
            for at in 0..REPLICAS {
                moved |= node.save_place(group, partition, at);
            }
        }
        for at in 0..REPLICAS {
            moved |= node.look(group, at, shared);
        }
    }
    for at in 0..REPLICAS {
        moved |= node.write(at, shared);
    }
    moved
}
