//! I6.

use serde_json::json;

use crate::{
    history::StreamEnd,
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
}
