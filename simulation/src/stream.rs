//! Those who watch an order: through a replica's hub, and through another one's after a crash, from what they have seen.

use std::{collections::VecDeque, rc::Rc};

use viscount_contracts::{Envelope, EventId, OrderId};
use viscount_orders::{
    codec,
    domain::{self, Order},
};

use crate::{
    defect::Defect,
    node::Node,
    orders::Orders,
    shared::{PARTITIONS, REPLICAS, Shared, number},
};

/// How far behind a watcher may be before it reads the past again.
const CHANNEL: usize = 4;

#[derive(Debug, Default)]
struct Session {
    replica: usize,
    after: i32,
    order: Option<Order>,
    ready: VecDeque<(i32, EventId)>,
    live: Option<VecDeque<Rc<Envelope>>>,
    /// The past has been read since it subscribed.
    caught_up: bool,
}

/// One client that watches one order.
#[derive(Debug)]
pub struct Watcher {
    /// Which order.
    pub order: OrderId,
    /// The newest version that it has seen.
    pub seen: i32,
    /// The stream was closed because nothing more was to come.
    pub over: bool,
    session: Option<Session>,
}

/// All who watch, and how far each replica's hub has read.
#[derive(Debug, Default)]
pub struct Streams {
    /// Everybody.
    pub watchers: Vec<Watcher>,
    hubs: [[usize; PARTITIONS]; REPLICAS],
}

impl Streams {
    /// Somebody begins to watch an order, or to watch it again.
    pub fn watch(&mut self, order: OrderId) {
        match self.watchers.iter_mut().find(|watcher| watcher.order == order) {
            Some(watcher) => watcher.over = false,
            None => self.watchers.push(Watcher { order, seen: 0, over: false, session: None }),
        }
    }

    /// A replica is gone, and every stream through it. Its hub begins at the end of the log.
    pub fn crash(&mut self, replica: usize, shared: &Shared) {
        for watcher in &mut self.watchers {
            watcher.session = watcher.session.take().filter(|session| session.replica != replica);
        }
        for (partition, at) in self.hubs[replica].iter_mut().enumerate() {
            *at = shared.logs[0].partitions[partition].len();
        }
    }

    /// A replica's hub hands out one event.
    pub fn hand_out(&mut self, replica: usize, partition: usize, shared: &Shared) -> bool {
        let Some(event) = shared.logs[0].partitions[partition].get(self.hubs[replica][partition]) else {
            return false;
        };
        self.hubs[replica][partition] += 1;
        for watcher in &mut self.watchers {
            let Some(session) = &mut watcher.session else { continue };
            if watcher.order.uuid() != event.key || session.replica != replica {
                continue;
            }
            if let Some(live) = &mut session.live {
                live.push_back(event.clone());
                if live.len() > CHANNEL {
                    session.live = None;
                }
            }
        }
        true
    }

    /// One step of one watcher.
    pub fn step(&mut self, at: usize, orders: &Node<Orders>, shared: &mut Shared) -> bool {
        let Some(watcher) = self.watchers.get_mut(at) else { return false };
        if watcher.over {
            return false;
        }
        let Some(session) = &mut watcher.session else {
            let replica = shared.choices.pick(REPLICAS);
            watcher.session = Some(Session { replica, after: watcher.seen, ..Session::default() });
            return true;
        };
        if let Some((version, event)) = session.ready.pop_front() {
            let stored = orders.db.stream(watcher.order.uuid(), version - 1).next();
            if version != watcher.seen + 1 || stored.is_none_or(|stored| stored.id != event) {
                let order = number(watcher.order.uuid());
                shared.violate(format!(
                    "a stream of order {order} told version {version} behind {}",
                    watcher.seen
                ));
            }
            watcher.seen = version;
            return true;
        }
        if session.order.as_ref().is_some_and(Order::is_settled) {
            watcher.session = None;
            watcher.over = true;
            return true;
        }
        session.go_on(watcher.order, orders, shared)
    }
}

impl Session {
    fn go_on(&mut self, id: OrderId, orders: &Node<Orders>, shared: &mut Shared) -> bool {
        if self.live.is_none() {
            // Who reads first and subscribes then misses what comes between.
            if shared.has(Defect::SubscribeLate) && !self.caught_up {
                self.read_past(id, orders, shared);
                self.caught_up = true;
                return true;
            }
            self.live = Some(VecDeque::new());
            self.caught_up = shared.has(Defect::SubscribeLate);
            return true;
        }
        if !self.caught_up {
            self.read_past(id, orders, shared);
            self.caught_up = true;
            return true;
        }
        let Some(event) = self.live.as_mut().and_then(VecDeque::pop_front) else { return false };
        match event.version - self.version() {
            1 => self.take(id, &event, shared),
            // A gap should not be; the store has what is missing.
            2.. if !shared.has(Defect::SubscribeLate) => {
                self.live = None;
                self.caught_up = false;
            }
            2.. => self.ready.push_back((event.version, event.id)),
            _ => {}
        }
        true
    }

    fn read_past(&mut self, id: OrderId, orders: &Node<Orders>, shared: &mut Shared) {
        for event in orders.db.stream(id.uuid(), self.version()) {
            self.take(id, event, shared);
        }
    }

    fn take(&mut self, id: OrderId, envelope: &Envelope, shared: &mut Shared) {
        match codec::decode(envelope) {
            Ok(event) => self.order = domain::evolve(id, self.order.take(), &event, envelope.occurred_at),
            Err(problem) => shared.violate(format!("a stream cannot read an event: {problem}")),
        }
        if self.version() > self.after {
            self.ready.push_back((self.version(), envelope.id));
        }
    }

    fn version(&self) -> i32 {
        self.order.as_ref().map_or(0, |order| order.version)
    }
}
