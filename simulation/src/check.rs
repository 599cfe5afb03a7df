//! What must hold when the world has come to rest. What must hold at every step is looked at where it is written: versions
//! and causes in [`crate::store`], stock in the tables of inventory, money in those of payments, streams in
//! [`crate::stream`], answers in [`crate::client`].

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use uuid::Uuid;
use viscount_contracts::{OrderId, ReservationId};
use viscount_inventory::domain::{State, net};
use viscount_orders::domain::{Order, Status};

use crate::{
    client::{Heard, Wish},
    node::{Node, Service},
    orders, payments,
    shared::{Shared, index, number},
    store::shown,
    world::World,
};

impl World {
    /// The first thing that does not hold at rest.
    pub fn flaw(&self) -> Option<String> {
        let checks: [fn(&World) -> Option<String>; 5] =
            [answers_kept, orders_agree, stock_adds_up, streams_complete, logs_complete];
        checks.iter().find_map(|check| check(self))
    }
}

/// What was answered is there, and each request had its effect once.
fn answers_kept(world: &World) -> Option<String> {
    let mut placed = BTreeSet::new();
    for (at, request) in world.clients.requests.iter().enumerate() {
        let Heard::Done(body) = &request.heard else { continue };
        let Some(row) = world.orders.db.tables.rows.get(&body.order) else {
            return Some(format!("request {at} was told of an order that is not there"));
        };
        if row.version < body.version {
            return Some(format!(
                "request {at} was told of version {}, there are {}",
                body.version, row.version
            ));
        }
        if matches!(request.wish, Wish::Place(_)) {
            placed.insert(body.order);
        }
    }
    let rows = world.orders.db.tables.rows.len();
    (rows != placed.len()).then(|| format!("{} orders were accepted, and there are {rows}", placed.len()))
}

fn orders_agree(world: &World) -> Option<String> {
    world.orders.db.ids().find_map(|id| order_agrees(world, OrderId::from(id)))
}

/// An order, its reservation, its payment and the provider's books say the same.
fn order_agrees(world: &World, id: OrderId) -> Option<String> {
    let name = number(id.uuid());
    let order = match orders::replay(&world.orders.db, id) {
        Ok(Some(order)) => order,
        Ok(None) => return Some(format!("order {name} has events and no beginning")),
        Err(problem) => return Some(format!("order {name}: {problem}")),
    };
    let row = world.orders.db.tables.rows.get(&id);
    if row.is_none_or(|row| (row.status, row.version) != (order.status, order.version)) {
        return Some(format!(
            "order {name} is {} v{} by its events, and {row:?}",
            order.status, order.version
        ));
    }
    if !order.is_settled() {
        return Some(format!("order {name} is {} and has not settled", order.status));
    }
    reservation_agrees(world, &order).or_else(|| money_agrees(world, &order))
}

fn reservation_agrees(world: &World, order: &Order) -> Option<String> {
    let held = world.inventory.db.tables.reservations.get(&ReservationId::of_order(order.id));
    let state = held.map(|reservation| reservation.state);
    let agrees = match order.status {
        Status::Completed | Status::PartiallyRefunded | Status::Refunded => state == Some(State::Sold),
        _ => matches!(state, None | Some(State::Released | State::Rejected)),
    };
    let name = number(order.id.uuid());
    (!agrees).then(|| format!("order {name} is {}, and its reservation {state:?}", order.status))
}

fn money_agrees(world: &World, order: &Order) -> Option<String> {
    let books = &world.shared.provider;
    let charges: Vec<_> =
        books.charges.values().filter(|charge| charge.order == order.id && charge.taken).collect();
    let taken: i64 = charges.iter().map(|charge| charge.amount.amount()).sum();
    let refunds = books.refunds.values().filter(|refund| refund.order == order.id);
    let returned: i64 = refunds.map(|refund| refund.amount.amount()).sum();
    let payment = match payments::replay(&world.payments.db, order.id) {
        Ok(payment) => payment,
        Err(problem) => return Some(problem),
    };
    let ledger = world.payments.db.tables.ledger.get(&order.id).copied().unwrap_or_default();
    let (paid, back) =
        (order.payment.map_or(0, |payment| payment.amount.amount()), order.refunded().amount());
    let known = (payment.captured(), payment.refunded());
    let name = number(order.id.uuid());
    if charges.len() > 1 {
        return Some(format!("order {name} was charged {} times", charges.len()));
    }
    if (taken, returned) != known || known != ledger || known != (paid, back) {
        return Some(format!(
            "money of order {name}, taken and returned: the provider {:?}, payments {known:?}, its ledger {ledger:?}, \
             the order {:?}",
            (taken, returned),
            (paid, back)
        ));
    }
    let should = match order.status {
        Status::Completed => taken == order.total.amount() && returned == 0,
        Status::PartiallyRefunded => taken == order.total.amount() && returned < taken,
        Status::Refunded => taken == order.total.amount() && returned == taken,
        // Whatever came in goes back.
        _ => taken == returned,
    };
    (!should).then(|| format!("order {name} is {}: {taken} was taken and {returned} returned", order.status))
}

/// Stock is the sum of its movements, and nothing is held when every order has ended.
fn stock_adds_up(world: &World) -> Option<String> {
    let tables = &world.inventory.db.tables;
    let sums = net(tables.movements.iter());
    tables.stock.iter().find_map(|(place, row)| {
        let product = number(place.0.uuid());
        let sum = sums.get(place).copied().unwrap_or_default();
        if sum != (row.0, row.1) {
            return Some(format!("of product {product} there are {row:?}, and its movements say {sum:?}"));
        }
        (row.1 != 0).then(|| format!("of product {product} {} are held, and every order has ended", row.1))
    })
}

fn streams_complete(world: &World) -> Option<String> {
    world.streams.watchers.iter().find_map(|watcher| {
        let newest = world.orders.db.newest(watcher.order.uuid());
        let complete = watcher.over && watcher.seen == newest;
        let order = number(watcher.order.uuid());
        (!complete).then(|| format!("a stream of order {order} told {} of {newest} events", watcher.seen))
    })
}

fn logs_complete(world: &World) -> Option<String> {
    log_complete(&world.orders, &world.shared)
        .or_else(|| log_complete(&world.inventory, &world.shared))
        .or_else(|| log_complete(&world.payments, &world.shared))
}

/// The log has every event, by id, and of each key first version 1, then 2, and so on.
fn log_complete<S: Service>(node: &Node<S>, shared: &Shared) -> Option<String> {
    let mut seen = BTreeSet::new();
    let mut newest: BTreeMap<Uuid, i32> = BTreeMap::new();
    for event in shared.logs[index(S::TOPIC)].partitions.iter().flatten() {
        if seen.insert(event.id) {
            let version = newest.entry(event.key).or_default();
            *version += 1;
            if event.version != *version {
                return Some(format!("the log has {} where version {version} belongs", shown(event)));
            }
        }
    }
    let missing = |event: &&Rc<viscount_contracts::Envelope>| !seen.contains(&event.id);
    node.db.events.iter().find(missing).map(|event| format!("{} is not on the log", shown(event)))
}
