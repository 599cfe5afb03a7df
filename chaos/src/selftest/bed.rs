//! Tools for planting: finding something in a data set, doubling it, changing it, taking it away.

use jiff::Timestamp;
use uuid::Uuid;
use viscount_contracts::{Event as Contract, Topic};

use super::Where;
use crate::{
    audit::{Dataset, Event, Letter},
    history::{Call, Frame, Line, Operation, Outcome, Stream},
};

/// It is about this order.
pub fn at(order: Uuid) -> Option<Where> {
    Some(Where::Order(order))
}

/// It is about no order in particular.
pub fn nowhere() -> Option<Where> {
    Some(Where::Nowhere)
}

/// The order of an event.
pub fn of(data: &Dataset, event: usize) -> Option<Where> {
    at(data.events.get(event)?.stream)
}

/// An order that has ended in a status, and was followed by a stream to a version.
pub fn order(data: &Dataset, status: &str) -> Option<Uuid> {
    data.orders.iter().find(|row| row.status == status).map(|row| row.id)
}

/// The first event of a kind.
pub fn first<E: Contract>(data: &Dataset) -> Option<usize> {
    data.events.iter().position(|event| event.service == E::TOPIC && event.kind == E::KIND)
}

/// The event of a kind in an order's streams.
pub fn event<E: Contract>(data: &Dataset, order: Uuid) -> Option<usize> {
    let is = |event: &Event| event.service == E::TOPIC && event.kind == E::KIND && event.stream == order;
    data.events.iter().position(is)
}

/// The first event of a kind that is of an order in a status.
pub fn event_of<E: Contract>(data: &Dataset, status: &str) -> Option<usize> {
    let of = |id| data.orders.iter().any(|row| row.id == id && row.status == status);
    let is = |event: &Event| event.service == E::TOPIC && event.kind == E::KIND && of(event.stream);
    data.events.iter().position(is)
}

/// What an event says.
pub fn says<E: Contract>(data: &Dataset, event: usize) -> Option<E> {
    E::decode(&data.events.get(event)?.data[..]).ok()
}

/// Has an event say something else.
pub fn edit<E: Contract>(data: &mut Dataset, event: usize, change: impl FnOnce(&mut E)) -> Option<()> {
    let mut message: E = says(data, event)?;
    change(&mut message);
    data.events[event].data = message.encode_to_vec().into();
    Some(())
}

/// The same event once more: with an id, a position and a version of its own, as the last one of its stream.
pub fn again(data: &mut Dataset, event: usize) -> Option<usize> {
    let mut copy = data.events.get(event)?.clone();
    let log = data.logs.iter_mut().find(|log| log.service == copy.service)?;
    log.head += 1;
    log.head_after += 1;
    let stream =
        data.events.iter().filter(|other| (other.service, other.stream) == (copy.service, copy.stream));
    copy.version = stream.map(|other| other.version).max()? + 1;
    (copy.position, copy.id) = (log.head, Uuid::from_u128(0xc0ffee));
    data.events.push(copy);
    Some(data.events.len() - 1)
}

/// All events of an order's stream, and of its stream at the others.
pub fn forget(data: &mut Dataset, service: Topic, order: Uuid) {
    data.events.retain(|event| (event.service, event.stream) != (service, order));
}

/// The first operation that fits.
pub fn operation(data: &mut Dataset, fits: impl Fn(&Operation) -> bool) -> Option<&mut Operation> {
    data.history.iter_mut().find_map(|line| match line {
        Line::Operation(operation) if fits(operation) => Some(operation),
        Line::Operation(_) | Line::Stream(_) => None,
    })
}

/// The first try to place an order that was accepted, and which order that is.
pub fn accepted(data: &mut Dataset) -> Option<(&mut Operation, Uuid)> {
    let operation = operation(data, |one| matches!(one.call, Call::PlaceOrder { .. }) && is_ok(one))?;
    let order = shown(operation)?;
    Some((operation, order))
}

/// The number of the last line of the history, and when everything in it was over.
pub fn last_line(data: &Dataset) -> Option<(u64, Timestamp)> {
    let told = data.history.iter().map(|line| match line {
        Line::Operation(operation) => (operation.id, operation.ended),
        Line::Stream(stream) => (stream.id, stream.ended),
    });
    told.reduce(|one, next| (one.0.max(next.0), one.1.max(next.1)))
}

/// It was answered 2xx.
pub fn is_ok(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Ok { .. })
}

/// The order in its answer.
pub fn shown(operation: &Operation) -> Option<Uuid> {
    match &operation.outcome {
        Outcome::Ok { body, .. } => body["id"].as_str()?.parse().ok(),
        Outcome::Refused { .. } | Outcome::Unknown { .. } => None,
    }
}

/// What inventory could not handle.
pub fn letter(id: Uuid, key: Option<Uuid>) -> Letter {
    Letter {
        service: Topic::Inventory,
        consumer: "inventory".to_owned(),
        topic: Topic::Orders.to_string(),
        id,
        key,
        state: "dead".to_owned(),
        error: "planted".to_owned(),
    }
}

/// A refusal.
pub fn refused(status: u16) -> Outcome {
    Outcome::Refused { status, problem: "/problems/planted".to_owned() }
}

/// The first stream with at least so many frames that began at the first version.
pub fn stream(data: &mut Dataset, frames: usize) -> Option<&mut Stream> {
    data.history.iter_mut().find_map(|line| match line {
        Line::Stream(stream) if stream.after == 0 && stream.frames.len() >= frames => Some(stream),
        Line::Operation(_) | Line::Stream(_) => None,
    })
}

/// Changes the frames of a stream with at least so many.
pub fn frames(data: &mut Dataset, least: usize, change: impl FnOnce(&mut Vec<Frame>)) -> Option<Where> {
    let stream = stream(data, least)?;
    change(&mut stream.frames);
    at(stream.order)
}
