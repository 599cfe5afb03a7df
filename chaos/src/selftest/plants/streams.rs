//! I6.

use jiff::SignedDuration;
use serde_json::json;

use crate::{
    history::{Line, StreamEnd},
    selftest::{bed::*, plants::plants},
};

plants! {
    I6 "a version is missing in a stream", "a gap", |data| frames(data, 3, |frames| drop(frames.remove(1)));
    I6 "a stream does not begin where it was asked to", "a gap", |data| frames(data, 3, |frames| drop(frames.remove(0)));
    I6 "a version comes twice in a stream", "came again", |data| frames(data, 3, |frames| frames.insert(1, frames[1].clone()));
    I6 "two versions change places in a stream", "came again", |data| frames(data, 3, |frames| frames.swap(1, 2));
    I6 "a stream after a reconnect repeats what was seen", "came again", |data| {
        let stream = stream(data, 3)?;
        stream.after = 1;
        at(stream.order)
    };
    I6 "a stream shows another type", "is shown as", |data| frames(data, 3, |frames| frames[1].event = "OrderCancelled".to_owned());
    I6 "a stream shows another status", "is shown with status", |data| frames(data, 3, |frames| frames[1].body["status"] = json!("refunded"));
    I6 "a stream shows another order's event", "is shown as version", |data| {
        frames(data, 3, |frames| frames[1].body["order_id"] = json!("00000000-0000-0000-0000-000000000007"))
    };
    I6 "a stream shows another time", "is shown at", |data| {
        frames(data, 3, |frames| frames[1].body["occurred_at"] = json!("2020-01-01T00:00:00Z"))
    };
    I6 "a stream shows another amount", "is shown with {", |data| {
        frames(data, 3, |frames| frames[0].body["data"]["total"]["amount"] = json!(1))
    };
    I6 "a stream shows what never happened", "there is no such event", |data| {
        frames(data, 3, |frames| {
            let mut more = frames.clone();
            more.iter_mut().for_each(|frame| frame.version += 90);
            frames.extend(more);
        })
    };
    I6 "a stream ends as settled before the order has settled", "not settled", |data| {
        let stream = stream(data, 3)?;
        stream.frames.truncate(2);
        stream.end = StreamEnd::Settled;
        at(stream.order)
    };
    I6 "a stream from the beginning shows nothing and ends as settled", "ended as settled at version 0", |data| {
        let stream = stream(data, 3)?;
        stream.frames.clear();
        stream.end = StreamEnd::Settled;
        at(stream.order)
    };
    I6 "a stream ends as settled and leaves out what was there", "was there when it began", |data| {
        let refunded: Vec<_> =
            data.orders.iter().filter(|row| row.status == "refunded").map(|row| row.id).collect();
        let (last, end) = last_line(data)?;
        let mut more = data.history.iter().find_map(|line| match line {
            Line::Stream(stream) if stream.after == 0 && refunded.contains(&stream.order) => Some(stream.clone()),
            Line::Operation(_) | Line::Stream(_) => None,
        })?;
        let completed = more.frames.iter().position(|frame| frame.body["status"] == "completed")?;
        more.frames.truncate(completed + 1);
        (more.id, more.begun, more.ended, more.end) = (last + 1, end, end, StreamEnd::Settled);
        let order = more.order;
        data.history.push(Line::Stream(more));
        at(order)
    };
    I6 "an open stream is not told of what happens", "was not told of version 2", |data| {
        let stream = stream(data, 3)?;
        stream.frames.truncate(1);
        stream.end = StreamEnd::Broken { why: "given up".to_owned() };
        stream.ended += SignedDuration::from_mins(10);
        at(stream.order)
    };
    I6 "a stream is told too late", "was not told of version 2", |data| {
        let stream = stream(data, 3)?;
        let late = SignedDuration::from_mins(10);
        stream.frames.iter_mut().skip(1).for_each(|frame| frame.at += late);
        stream.ended += late;
        at(stream.order)
    };
}
