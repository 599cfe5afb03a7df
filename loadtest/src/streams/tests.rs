//! Streams against a small server that keeps its promises, or does not.

#![allow(clippy::unwrap_used)]

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    rc::Rc,
    time::Duration,
};

use futures_util::{SinkExt, future::LocalBoxFuture};
use http::HeaderValue;
use jiff::Timestamp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::LocalSet,
};
use tokio_tungstenite::tungstenite::{
    Message as Frame,
    handshake::derive_accept_key,
    protocol::{CloseFrame, Role, frame::coding::CloseCode},
};
use uuid::Uuid;

use super::{Board, Follow, Status, Transport, Unfollowed, board::Tally, follow::Followed, message::Fault};
use crate::{client::wire::Target, measure::recorder::Recorder};

/// What the server does on a connection.
#[derive(Clone)]
enum Act {
    /// A message of now.
    Tell(u32, &'static str),
    /// A message of an hour ago.
    Past(u32, &'static str),
    /// Something that is no message.
    Garbage,
    /// Ends as the contract has it: with 1000, or with the body.
    End,
    /// Another close code.
    Code(u16),
    /// Breaks off.
    Break,
    /// Says nothing any more.
    Hang,
    /// Is no stream at all.
    Refuse(&'static str),
}
use Act::{Break, Code, End, Garbage, Hang, Past, Refuse, Tell};

const ORDER: Uuid = Uuid::from_u128(7);
const BOTH: [Transport; 2] = [Transport::Websocket, Transport::Sse];

fn story() -> Vec<Act> {
    vec![Tell(1, "created"), Tell(2, "validated"), Tell(3, "paid"), Tell(4, "completed"), End]
}

fn text(version: u32, status: &str, at: Timestamp) -> String {
    format!(
        r#"{{"order_id":"{ORDER}","version":{version},"type":"x","status":"{status}","occurred_at":"{at}","data":{{}}}}"#
    )
}

fn tale(act: &Act) -> Option<(u32, String)> {
    let now = Timestamp::now();
    match act {
        Tell(version, status) => Some((*version, text(*version, status, now))),
        Past(version, status) => {
            Some((*version, text(*version, status, now - jiff::SignedDuration::from_hours(1))))
        }
        Garbage => Some((0, "{}".to_owned())),
        _ => None,
    }
}

/// Serves one connection after the other; gives the heads of the requests.
async fn serve(
    listener: TcpListener,
    connections: Vec<Vec<Act>>,
    heads: Rc<RefCell<Vec<String>>>,
    board: Rc<Board>,
) {
    let mut connections: VecDeque<_> = connections.into();
    while let Some(acts) = connections.pop_front() {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        heads.borrow_mut().push(head.clone());
        if let Some(Refuse(answer)) = acts.first() {
            stream.write_all(answer.as_bytes()).await.unwrap();
            continue;
        }
        match head.to_lowercase().contains("upgrade: websocket") {
            true => websocket(stream, &head, &acts, &board).await,
            false => events(stream, &acts, &board).await,
        }
    }
}

/// Until the client has its stream open: what is told from then on is live.
async fn when_open(board: &Board) {
    while board.open() == 0 {
        tokio::task::yield_now().await;
    }
}

async fn websocket(mut stream: TcpStream, head: &str, acts: &[Act], board: &Board) {
    let key = head.lines().find_map(|line| {
        line.to_lowercase().starts_with("sec-websocket-key").then(|| line[19..].trim().to_owned())
    });
    let accept = derive_accept_key(key.unwrap().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\
         sec-websocket-protocol: orders.v1\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    let mut socket = tokio_tungstenite::WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    when_open(board).await;
    for act in acts {
        if let Some((_, text)) = tale(act) {
            socket.send(Frame::text(text)).await.unwrap();
            continue;
        }
        let code = match act {
            End => CloseCode::Normal,
            Code(code) => CloseCode::from(*code),
            Hang => std::future::pending().await,
            _ => return,
        };
        let _ = socket.close(Some(CloseFrame { code, reason: "".into() })).await;
    }
}

async fn events(mut stream: TcpStream, acts: &[Act], board: &Board) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    when_open(board).await;
    for act in acts {
        if let Some((version, text)) = tale(act) {
            let event = format!(": ping\n\nid: {version}\nevent: order\ndata: {text}\n\n");
            stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await.unwrap();
            continue;
        }
        match act {
            End => stream.write_all(b"0\r\n\r\n").await.unwrap(),
            Hang => std::future::pending().await,
            _ => return,
        }
    }
}

struct Seen {
    followed: Result<Followed, Unfollowed>,
    tally: Tally,
    heads: Vec<String>,
    delivered: u64,
}

fn on_one_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, work)
}

/// Follows an order of which these connections tell.
fn follow(transport: Transport, drop_after: Option<u32>, connections: Vec<Vec<Act>>) -> Seen {
    on_one_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::find(&format!("http://{}", listener.local_addr().unwrap())).await.unwrap();
        let heads = Rc::new(RefCell::default());
        let recorder = Recorder::new(Duration::ZERO);
        recorder.begin();
        let board = Board::new(recorder.clone());
        let serving = serve(listener, connections, Rc::clone(&heads), board.clone());
        let serving = tokio::task::spawn_local(serving);
        // Who logs in again is somebody else.
        let token = Cell::new("Bearer me");
        let bearer = || Some(HeaderValue::from_static(token.get()));
        let renew = |_| -> LocalBoxFuture<'_, bool> {
            token.set("Bearer me again");
            Box::pin(async { true })
        };
        let within = Duration::from_millis(1_500);
        let follow = Follow {
            target: &target,
            order: ORDER.into(),
            bearer: &bearer,
            renew: &renew,
            transport,
            within,
            drop_after,
        };
        let followed = follow.to_the_end(&board).await;
        serving.abort();
        let delivered = recorder.streams().delivery.len();
        let (tally, heads) = (board.tally().clone(), heads.take());
        assert_eq!(tally.open, 0);
        Seen { followed, tally, heads, delivered }
    })
}

const WHOLE: Result<Followed, Unfollowed> = Ok(Followed { status: Status::Completed, messages: 4 });

#[test]
fn a_whole_story_is_followed_to_its_end() {
    for transport in BOTH {
        let seen = follow(transport, None, vec![story()]);
        assert_eq!(seen.followed, WHOLE, "{transport:?}");
        assert_eq!((seen.tally.settled, seen.delivered), (1, 4));
        assert!(seen.tally.faults.is_empty() && seen.tally.broken.is_empty());
        assert!(seen.heads[0].to_lowercase().contains("authorization: bearer me"));
    }
}

#[test]
fn what_happened_before_the_stream_was_open_is_no_delivery() {
    for transport in BOTH {
        let acts = vec![Past(1, "created"), Past(2, "validated"), Tell(3, "rejected"), End];
        let seen = follow(transport, None, vec![acts]);
        let messages = seen.followed.map(|followed| followed.messages);
        assert_eq!((messages, seen.delivered), (Ok(3), 1), "{transport:?}");
    }
}

#[test]
fn a_broken_connection_is_made_again_behind_the_last_version() {
    for transport in BOTH {
        for drop_after in [None, Some(2)] {
            let mut first = story();
            if drop_after.is_none() {
                first.splice(2.., [Break]);
            }
            let rest = story().split_off(2);
            let seen = follow(transport, drop_after, vec![first, rest]);
            assert_eq!(seen.followed, WHOLE, "{transport:?} {drop_after:?}");
            assert_eq!((seen.tally.reconnects, seen.tally.opened), (1, 2));
            let expected = match transport {
                Transport::Websocket => "after=2",
                Transport::Sse => "last-event-id: 2",
            };
            assert!(seen.heads[1].to_lowercase().contains(expected), "{}", seen.heads[1]);
        }
    }
}

#[test]
fn a_stream_that_breaks_its_promise_is_told_apart() {
    let begin = |acts: &[Act]| [&[Tell(1, "created")], acts].concat();
    let cases = [
        (begin(&[Tell(3, "paid"), End]), Fault::Gap),
        (begin(&[Tell(1, "created"), End]), Fault::Repeat),
        (begin(&[End]), Fault::Unfinished),
        (begin(&[Garbage]), Fault::Unreadable),
    ];
    for transport in BOTH {
        for (acts, fault) in &cases {
            let seen = follow(transport, None, vec![acts.clone()]);
            assert_eq!(seen.followed, Err(Unfollowed::Fault(*fault)), "{transport:?}");
            assert_eq!(seen.tally.faults[&fault.to_string()], 1);
        }
    }
    let seen = follow(Transport::Websocket, None, vec![begin(&[Code(1008)])]);
    assert_eq!(seen.followed, Err(Unfollowed::Fault(Fault::Code)));
    // Come again later is no fault.
    let seen = follow(Transport::Websocket, None, vec![begin(&[Code(1013)]), story().split_off(1)]);
    assert_eq!(seen.followed, WHOLE);
}

#[test]
fn a_refusal_that_says_when_is_obeyed_and_any_other_is_the_end() {
    let busy = "HTTP/1.1 503 x\r\nretry-after: 0\r\ncontent-length: 22\r\n\r\n{\"type\":\"/problems/x\"}";
    let missing = "HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n";
    for transport in BOTH {
        let seen = follow(transport, None, vec![vec![Refuse(busy)], story()]);
        assert_eq!(seen.followed, WHOLE, "{transport:?}");
        assert_eq!(seen.tally.broken["503 /problems/x"], 1);
        let seen = follow(transport, None, vec![vec![Refuse(missing)]]);
        let refused = Unfollowed::Refused { status: 404, kind: "none".to_owned(), retry_after: None };
        assert_eq!(seen.followed, Err(refused), "{transport:?}");
    }
}

#[test]
fn a_token_that_has_expired_is_renewed_once() {
    let expired = "HTTP/1.1 401 x\r\ncontent-length: 0\r\n\r\n";
    for transport in BOTH {
        let seen = follow(transport, None, vec![vec![Refuse(expired)], story()]);
        assert_eq!(seen.followed, WHOLE, "{transport:?}");
        assert!(seen.heads[1].to_lowercase().contains("authorization: bearer me again"), "{}", seen.heads[1]);
        let seen = follow(transport, None, vec![vec![Refuse(expired)], vec![Refuse(expired)]]);
        let refused = Unfollowed::Refused { status: 401, kind: "none".to_owned(), retry_after: None };
        assert_eq!(seen.followed, Err(refused), "{transport:?}");
    }
}

#[test]
fn nothing_more_to_tell_is_an_end_and_silence_is_late() {
    let settled = "HTTP/1.1 204 No Content\r\n\r\n";
    let mut first = story();
    first.splice(4.., [Break]);
    let seen = follow(Transport::Sse, None, vec![first, vec![Refuse(settled)]]);
    assert_eq!(seen.followed, WHOLE);
    let seen = follow(Transport::Sse, None, vec![vec![Refuse(settled)]]);
    assert_eq!(seen.followed, Err(Unfollowed::Fault(Fault::Unfinished)), "told nothing at all");
    for transport in BOTH {
        let seen = follow(transport, None, vec![vec![Tell(1, "created"), Hang]]);
        assert_eq!(seen.followed, Err(Unfollowed::Late), "{transport:?}");
    }
}
