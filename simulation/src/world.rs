//! The whole platform in one thread: three services, two replicas each, the log, the provider, buyers, watchers. One
//! scheduler makes one step after the other, each chosen among all that can be made.

use viscount_contracts::OrderId;
use viscount_orders::domain::Status;

use crate::{
    choice::{Choices, Step},
    client::{self, Clients, Heard, Wish},
    defect::Defect,
    inventory::Inventory,
    node::{Ended, Node, Origin, Outcome, Service},
    orders::{Orders, Work as OrderWork},
    payments::{Payments, Work as PaymentWork},
    provider::Provider,
    shared::{PARTITIONS, REPLICAS, Shared},
    stream::Streams,
};

/// How often what can happen does, in proportion. A record of choices begins each step with the place in this table.
const KINDS: &[(&str, u32)] = &[
    ("advance", 30),
    ("write", 14),
    ("take in", 14),
    ("publish", 12),
    ("save place", 6),
    ("save relay", 4),
    ("client", 3),
    ("time", 3),
    ("deadlines", 3),
    ("chase", 3),
    ("webhook", 3),
    ("arrive", 2),
    ("look", 3),
    ("redrive", 1),
    ("hub", 6),
    ("watch", 8),
    ("goods", 1),
    ("crash", 1),
    ("relay lost", 1),
    ("rebalance", 1),
    ("skew", 1),
];
/// How often another step is looked for when one cannot be made.
const TRIES: usize = 64;
/// By how many milliseconds a clock may be wrong.
const SKEWS: [i64; 5] = [0, 1_000, -1_000, 600_000, -600_000];
/// How many milliseconds may pass at once.
const SPANS: [i64; 12] = [100, 10, 100, 200, 500, 1_000, 1_000, 2_000, 2_000, 5_000, 10_000, 30_000];
/// How many may pass now and then: enough for a deadline, or nearly.
const LONG_SPANS: [i64; 3] = [300_000, 900_000, 1_200_000];

/// See the module.
#[derive(Debug)]
pub struct World {
    /// What all parts have in common.
    pub shared: Shared,
    /// The orders service.
    pub orders: Node<Orders>,
    /// The inventory service.
    pub inventory: Node<Inventory>,
    /// The payments service.
    pub payments: Node<Payments>,
    /// Buyers.
    pub clients: Clients,
    /// Watchers.
    pub streams: Streams,
    /// Orders have to end by themselves, while the other services are away, before these come back.
    pub alone: bool,
    /// How often what can happen does.
    weights: Vec<u32>,
}

impl World {
    /// A world whose services have just been started.
    pub fn new(choices: Choices, defect: Option<Defect>, traced: bool) -> Self {
        let mut shared = Shared::new(choices, defect, traced);
        shared.choices.begin();
        let alone = shared.choices.once_in(4);
        // In some episodes partitions go to and fro all the time.
        let restless = shared.choices.pick(2) == 1;
        let weight =
            |(name, weight): &(&str, u32)| if restless && *name == "rebalance" { 14 } else { *weight };
        let weights = KINDS.iter().map(weight).collect();
        let mut inventory = Node::new();
        for _ in 0..8 {
            client::deliver(&mut inventory, &mut shared);
        }
        shared.choices.end();
        let (orders, payments) = (Node::new(), Node::new());
        let (clients, streams) = (Clients::default(), Streams::default());
        Self { shared, orders, inventory, payments, clients, streams, alone, weights }
    }

    /// Makes one step. False when there is none, or a record has ended.
    pub fn step(&mut self) -> bool {
        if !self.shared.choices.begin() {
            return false;
        }
        self.shared.tick += 1;
        let mut made = false;
        for _ in 0..TRIES {
            let kind = self.shared.choices.weighted(&self.weights);
            made = self.make(kind);
            if made || !self.shared.choices.again() {
                break;
            }
        }
        // Nothing else can be done: a moment passes.
        if let Some(time) = KINDS.iter().position(|(name, _)| *name == "time")
            && !made
            && self.shared.choices.insist(time)
        {
            self.make(time);
        }
        self.shared.choices.end();
        true
    }

    fn make(&mut self, kind: usize) -> bool {
        let shared = &mut self.shared;
        match KINDS[kind % KINDS.len()].0 {
            "time" => {
                let long = shared.choices.once_in(80);
                let spans = if long { LONG_SPANS.as_slice() } else { SPANS.as_slice() };
                let span = spans[shared.choices.pick(spans.len())];
                self.pass(span)
            }
            "client" => self.clients.act(&mut self.orders, shared),
            "goods" => client::deliver(&mut self.inventory, shared),
            "arrive" => Provider::arrive(shared),
            "deadlines" => {
                let at = shared.choices.pick(REPLICAS);
                self.deadlines(at)
            }
            "chase" => {
                let at = shared.choices.pick(REPLICAS);
                self.chase(at)
            }
            "webhook" => {
                let (many, at) = (shared.provider.deliveries.len(), shared.choices.pick(REPLICAS));
                let chosen = shared.choices.pick(many);
                self.webhook(at, chosen)
            }
            "hub" => {
                let (at, partition) = (shared.choices.pick(REPLICAS), shared.choices.pick(PARTITIONS));
                self.streams.hand_out(at, partition, shared)
            }
            "watch" => {
                let chosen = shared.choices.pick(self.streams.watchers.len() + 1);
                match chosen.checked_sub(1) {
                    Some(chosen) => self.streams.step(chosen, &self.orders, shared),
                    None => self.watch(),
                }
            }
            name => self.serve(name),
        }
    }

    fn serve(&mut self, name: &str) -> bool {
        let shared = &mut self.shared;
        match shared.choices.pick(3) {
            0 if name == "advance" => {
                let at = shared.choices.pick(REPLICAS);
                let index = shared.choices.pick(self.orders.replicas[at].tasks.len());
                self.advance_order(at, index)
            }
            0 => {
                let (at, done) = serve(&mut self.orders, name, shared);
                if name == "crash" {
                    self.streams.crash(at, &self.shared);
                }
                done
            }
            1 if name == "advance" => advance(&mut self.inventory, shared),
            1 => serve(&mut self.inventory, name, shared).1,
            _ if name == "advance" => {
                let at = shared.choices.pick(REPLICAS);
                let index = shared.choices.pick(self.payments.replicas[at].tasks.len());
                self.advance_payment(at, index)
            }
            _ => serve(&mut self.payments, name, shared).1,
        }
    }

    /// One step of a task of orders; a client whose request is over is told.
    pub fn advance_order(&mut self, at: usize, index: usize) -> bool {
        let Some(ended) = self.orders.advance(at, index, &mut self.shared) else { return false };
        if let Some(task) = self.orders.replicas[at].tasks.get_mut(index)
            && let Some(body) = task.work.early.take()
            && let Origin::Client(request) = task.origin
        {
            self.clients.hear(request, Heard::Done(body), &mut self.shared);
        }
        if let Some(ended) = ended {
            self.clients.ended(ended, &mut self.orders, &mut self.shared);
        }
        true
    }

    /// One step of a task of payments; the provider is told when a webhook was taken.
    pub fn advance_payment(&mut self, at: usize, index: usize) -> bool {
        let Some(ended) = self.payments.advance(at, index, &mut self.shared) else { return false };
        if let Some(Ended { origin: Origin::Webhook(id), outcome: Outcome::Done(_), .. }) = ended
            && !self.shared.choices.once_in(5)
        {
            self.shared.provider.deliveries.retain(|delivery| delivery.id != id);
        }
        true
    }

    /// Time passes everywhere.
    pub fn pass(&mut self, span: i64) -> bool {
        self.shared.now += span;
        let now = self.shared.now;
        self.shared.provider.lose_late(now);
        true
    }

    /// A replica of orders looks at what is overdue.
    pub fn deadlines(&mut self, at: usize) -> bool {
        let watching = |task: &crate::node::Task<Orders>| task.origin == Origin::Watchman;
        if self.orders.replicas[at].tasks.iter().any(watching) {
            return false;
        }
        let Some(overdue) = self.orders.db.tables.due(self.shared.clock(0), 20) else { return false };
        for (order, status) in overdue {
            // However wrong the clocks of replicas are.
            let early = self.orders.db.tables.rows.get(&order).map_or(0, |row| row.early(self.shared.now));
            if early > 0 {
                self.shared.violate(format!("an order is overdue {early} ms early"));
            }
            self.shared
                .note(|| format!("order {} has waited long enough", crate::shared::number(order.uuid())));
            let command = viscount_orders::domain::Command::Expire { status };
            self.orders.ask(at, Origin::Watchman, OrderWork::new(order, command, None), None);
        }
        true
    }

    /// A replica of payments asks again what is due.
    pub fn chase(&mut self, at: usize) -> bool {
        let due = self.payments.db.tables.due(self.shared.clock(0), 4);
        let any = !due.is_empty();
        for open in due {
            self.payments.ask(at, Origin::Watchman, PaymentWork::chase(open.order, open.call), None);
        }
        any
    }

    /// The provider tells a replica of payments of what it has done.
    pub fn webhook(&mut self, at: usize, chosen: usize) -> bool {
        let Some(delivery) = self.shared.provider.deliveries.get(chosen).cloned() else { return false };
        if self.payments.db.tables.webhooks.contains(&delivery.id) {
            self.shared.provider.deliveries.remove(chosen);
            return true;
        }
        let origin = Origin::Webhook(delivery.id);
        if self.payments.replicas[at].tasks.iter().any(|task| task.origin == origin) {
            return false;
        }
        for task in &mut self.payments.replicas[at].tasks {
            task.work.hear(&delivery);
        }
        self.payments.ask(at, origin, PaymentWork::told(delivery), None);
        true
    }

    /// Somebody who was told of an order begins to watch it.
    pub fn watch(&mut self) -> bool {
        let told = self.clients.requests.iter().filter_map(|request| match (&request.wish, &request.heard) {
            (Wish::Place(_), Heard::Done(body)) => Some(body.order),
            _ => None,
        });
        let told: Vec<OrderId> = told.collect();
        let Some(order) = told.get(self.shared.choices.pick(told.len())).copied() else { return false };
        if self.streams.watchers.iter().any(|watcher| watcher.order == order && !watcher.over) {
            return false;
        }
        self.streams.watch(order);
        true
    }

    /// True when every order has ended.
    pub fn all_final(&self) -> bool {
        self.orders.db.tables.rows.values().all(|row| row.status.is_final())
    }

    /// How many orders stand where.
    pub fn standing(&self) -> Vec<(Status, usize)> {
        let rows = self.orders.db.tables.rows.values();
        Status::ALL
            .into_iter()
            .map(|status| (status, rows.clone().filter(|row| row.status == status).count()))
            .collect()
    }

    /// Every decision, to make the same run again.
    pub fn into_record(self) -> Vec<Step> {
        self.shared.choices.into_record()
    }
}

fn advance<S: Service>(node: &mut Node<S>, shared: &mut Shared) -> bool {
    let at = shared.choices.pick(REPLICAS);
    let index = shared.choices.pick(node.replicas[at].tasks.len());
    node.advance(at, index, shared).is_some()
}

/// What all services do alike. Gives the replica that was chosen.
fn serve<S: Service>(node: &mut Node<S>, name: &str, shared: &mut Shared) -> (usize, bool) {
    let at = match name {
        "publish" | "save relay" | "relay lost" | "redrive" => 0,
        _ => shared.choices.pick(REPLICAS),
    };
    let group = match name {
        "take in" | "save place" | "look" | "rebalance" => shared.choices.pick(S::LISTENS.len()),
        _ => 0,
    };
    let partition = match name {
        "take in" | "save place" | "rebalance" => shared.choices.pick(PARTITIONS),
        _ => 0,
    };
    let done = match name {
        "write" => node.write(at, shared),
        "take in" => node.take_in(group, partition, shared),
        "publish" => node.publish(shared),
        "save place" => node.save_place(group, partition, at),
        "save relay" => node.save_relay(),
        "relay lost" => node.lose_relay(shared),
        "look" => node.look(group, at, shared),
        "redrive" => node.redrive(shared),
        "rebalance" => node.rebalance(group, partition, shared),
        "skew" => {
            let skew = SKEWS[shared.choices.pick(SKEWS.len())];
            shared.note(|| format!("the clock of {}-{at} is wrong by {skew} ms", S::TOPIC.service()));
            node.replicas[at].skew = skew;
            true
        }
        "crash" => {
            node.crash(at, shared);
            true
        }
        _ => false,
    };
    (at, done)
}
