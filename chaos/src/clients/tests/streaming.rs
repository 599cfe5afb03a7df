//! Streams are followed over as many connections as it takes.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::{
    Kept,
    server::{Act, Reply, Server},
    world,
};
use crate::{
    clients::{
        book::Status,
        follow::{Follow, follow},
    },
    history::{Stream, StreamEnd},
};
use Act::{Break, Close, Hang, Refuse, Tell, Text};

const WHOLE: Follow = Follow { after: 0, leave_after: None, pause: None };

/// Follows an order whose streams do so; gives whether it settled, what was recorded, and the paths asked for.
async fn followed(scripts: &[&[Act]], how: &Follow, within: Duration) -> (bool, Vec<Stream>, Vec<String>) {
    let server = Server::start(|_| Reply::Json(404, vec![], json!({}))).await;
    for script in scripts {
        server.script(script);
    }
    let kept = Kept::new();
    let world = world(&server, &kept, "");
    let order = Uuid::now_v7();
    world.book().accepted(order, 0);
    let settled = follow(&world, order, 0, how, within).await;
    let completed = world.book().order(order).unwrap().status == Status::Completed;
    let streams = kept.streams().await;
    let told = streams.iter().flat_map(|stream| &stream.frames);
    assert_eq!(told.into_iter().any(|frame| frame.body["status"] == "completed"), completed);
    assert!(streams.iter().all(|stream| stream.order == order));
    (settled, streams, server.seen().into_iter().map(|seen| seen.path).collect())
}

async fn settled(scripts: &[&[Act]], how: &Follow) -> (Vec<Stream>, Vec<u64>) {
    let (settled, streams, paths) = followed(scripts, how, Duration::from_secs(60)).await;
    assert!(settled, "{streams:?}");
    let after = paths.iter().map(|path| path.split_once("/stream?after=").unwrap().1.parse().unwrap());
    let after: Vec<u64> = after.collect();
    assert_eq!(streams.iter().map(|stream| stream.after).collect::<Vec<_>>(), after);
    (streams, after)
}

fn versions(stream: &Stream) -> Vec<u64> {
    stream.frames.iter().map(|frame| frame.version).collect()
}

#[tokio::test]
async fn a_story_is_recorded_as_it_came() {
    let (streams, _) = settled(&[], &WHOLE).await;
    assert_eq!(streams.len(), 1);
    assert_eq!(versions(&streams[0]), [1, 2, 3, 4]);
    assert_eq!(streams[0].frames[0].event, "Order1");
    assert_eq!(streams[0].frames[3].body["status"], "completed");
    assert_eq!(streams[0].end, StreamEnd::Settled);
    let (streams, _) = settled(&[], &Follow { after: 2, ..WHOLE }).await;
    assert_eq!(versions(&streams[0]), [3, 4], "from the middle");
}

#[tokio::test]
async fn whoever_comes_again_says_what_was_seen_last() {
    let broken: &[Act] = &[Tell(1, "created"), Tell(2, "validated"), Break];
    let leaving = &[Tell(3, "paid"), Close(1001)];
    let (streams, after) = settled(&[&[Break], broken, &[Refuse(503)], leaving], &WHOLE).await;
    assert_eq!(after, [0, 0, 2, 2, 3]);
    let told: Vec<_> = streams.iter().map(versions).collect();
    assert_eq!(told, [vec![], vec![1, 2], vec![], vec![3], vec![4]]);
    let ends: Vec<_> = streams.iter().map(|stream| &stream.end).collect();
    assert!(matches!(ends[0], StreamEnd::Broken { .. }), "{ends:?}");
    assert!(matches!(ends[1], StreamEnd::Broken { .. }), "{ends:?}");
    assert_eq!(*ends[2], StreamEnd::Refused { status: 503 });
    assert_eq!(*ends[3], StreamEnd::Closed { code: 1001 });
    assert_eq!(*ends[4], StreamEnd::Settled);
}

#[tokio::test]
async fn a_client_that_leaves_comes_again_and_a_slow_one_misses_nothing() {
    let (streams, after) = settled(&[], &Follow { leave_after: Some(2), ..WHOLE }).await;
    assert_eq!(after, [0, 2]);
    assert_eq!(streams[0].end, StreamEnd::Broken { why: "left by the client".to_owned() });
    assert_eq!(versions(&streams[1]), [3, 4]);
    let slow = Follow { pause: Some(Duration::from_millis(50)), ..WHOLE };
    let (streams, _) = settled(&[], &slow).await;
    assert_eq!(versions(&streams[0]), [1, 2, 3, 4]);
    let gaps = streams[0].frames.windows(2).map(|two| two[1].at.duration_since(two[0].at));
    assert!(gaps.into_iter().all(|gap| gap.as_millis() >= 50), "{streams:?}");
}

#[tokio::test]
async fn what_cannot_be_read_breaks_the_connection_and_is_not_seen() {
    for unreadable in ["no json", "{\"version\": 2}", "{\"type\": \"Order2\"}"] {
        let (streams, after) = settled(&[&[Tell(1, "created"), Text(unreadable), Hang]], &WHOLE).await;
        assert_eq!(after, [0, 1]);
        assert_eq!(streams[0].end, StreamEnd::Broken { why: "a message that cannot be read".to_owned() });
        assert_eq!(versions(&streams[0]), [1]);
    }
}

#[tokio::test]
async fn a_refusal_for_good_ends_it_and_so_does_the_time() {
    let (settled, streams, _) = followed(&[&[Refuse(404)]], &WHOLE, Duration::from_secs(60)).await;
    assert!(!settled);
    assert_eq!(streams.len(), 1);
    assert_eq!(streams[0].end, StreamEnd::Refused { status: 404 });
    let hangs: &[Act] = &[Tell(1, "created"), Hang];
    let (settled, streams, _) = followed(&[hangs], &WHOLE, Duration::from_millis(300)).await;
    assert!(!settled);
    assert_eq!(versions(&streams[0]), [1], "what came is kept");
    assert_eq!(streams[0].end, StreamEnd::Broken { why: "given up".to_owned() });
}

#[tokio::test]
async fn an_end_that_has_shown_nothing_proves_nothing() {
    let (settled, streams, _) = followed(&[&[Close(1000)]], &WHOLE, Duration::from_secs(60)).await;
    assert!(!settled);
    assert_eq!((streams.len(), &streams[0].end), (1, &StreamEnd::Settled));
}
