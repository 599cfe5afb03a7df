//! One order, followed to its end: across reconnects, each beginning behind the last version that was seen.

use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use viscount_contracts::OrderId;

use super::{
    board::Board,
    events::EventSource,
    message::{Fault, Message, Status, Story},
    socket::Socket,
};
use crate::client::wire::{LONGEST_PAUSE, Target};

/// How long a stream may take to be open.
const OPENING: Duration = Duration::from_secs(15);
/// How often a stream is opened again without having told anything in between.
const TRIES: u32 = 8;
/// The pause before the first of these; doubles.
const PAUSE: Duration = Duration::from_millis(50);

/// How streams are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// A websocket, subprotocol `orders.v1`.
    Websocket,
    /// Server-sent events.
    Sse,
}

/// What to follow.
pub struct Follow<'a> {
    /// The gateway.
    pub target: &'a Target,
    /// The order.
    pub order: OrderId,
    /// The buyer's `Authorization` header of the moment.
    pub bearer: &'a dyn Fn() -> Option<HeaderValue>,
    /// Logs the buyer in again, whose header this was; false when that fails.
    pub renew: &'a dyn Fn(HeaderValue) -> LocalBoxFuture<'a, bool>,
    /// By what.
    pub transport: Transport,
    /// How long the whole story may take.
    pub within: Duration,
    /// Breaks the connection on purpose after so many messages, and comes again.
    pub drop_after: Option<u32>,
}

/// A story that was told to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// How the order ended.
    pub status: Status,
    /// How many messages there were.
    pub messages: u32,
}

/// A story that was not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfollowed {
    /// The stream was refused.
    #[error("refused with {status} {kind}")]
    Refused {
        /// The status.
        status: u16,
        /// The problem's type.
        kind: String,
        /// When to come again.
        retry_after: Option<Duration>,
    },
    /// The stream broke its promise.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The connection broke too often.
    #[error("{0}")]
    Broken(String),
    /// The order did not settle in time.
    #[error("the order did not settle in time")]
    Late,
}

/// How a stream is to be opened.
pub(super) struct Opening<'a> {
    pub target: &'a Target,
    pub order: OrderId,
    pub bearer: HeaderValue,
    pub after: u32,
}

/// Why a stream was not opened.
#[derive(Debug)]
pub(super) enum Closed {
    Refused { status: u16, kind: String, retry_after: Option<Duration> },
    Broken(String),
}

/// Why an open stream gives no more messages.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It says that all is told.
    Over,
    /// The connection broke, or the server asked to come again.
    Broken(String),
    /// Not what the contract says.
    Unreadable,
    /// A close code that the contract does not have.
    Code,
}

enum Stream {
    Socket(Box<Socket>),
    Events(Box<EventSource>),
}

impl Stream {
    async fn open(opening: &Opening<'_>, transport: Transport) -> Result<Option<Self>, Closed> {
        let open = async {
            match transport {
                Transport::Websocket => {
                    Socket::open(opening).await.map(|socket| Some(Self::Socket(Box::new(socket))))
                }
                Transport::Sse => EventSource::open(opening)
                    .await
                    .map(|events| events.map(|events| Self::Events(Box::new(events)))),
            }
        };
        match timeout(OPENING, open).await {
            Ok(opened) => opened,
            Err(_) => Err(Closed::Broken(format!("not open within {} s", OPENING.as_secs()))),
        }
    }

    async fn next(&mut self) -> Result<Message, End> {
        match self {
            Self::Socket(socket) => socket.next().await,
            Self::Events(events) => events.next().await,
        }
    }
}

impl Follow<'_> {
    /// Follows until the order has settled.
    pub async fn to_the_end(&self, board: &Board) -> Result<Followed, Unfollowed> {
        let outcome = self.follow(board).await;
        match &outcome {
            Ok(_) => board.settled(),
            Err(Unfollowed::Fault(fault)) => board.fault(&fault.to_string()),
            Err(Unfollowed::Late) => board.fault("not settled in time"),
            // Counted when they happened.
            Err(Unfollowed::Refused { .. } | Unfollowed::Broken(_)) => {}
        }
        outcome
    }

    async fn follow(&self, board: &Board) -> Result<Followed, Unfollowed> {
        let until = Instant::now() + self.within;
        let mut story = Story::of(self.order);
        let mut drop_after = self.drop_after;
        let (mut tries, mut pause, mut renewed) = (0, PAUSE, false);
        loop {
            let told = story.version();
            let bearer = (self.bearer)().ok_or_else(|| Unfollowed::Broken("no such customer".to_owned()))?;
            let wait = match self.tell(bearer.clone(), board, &mut story, until, &mut drop_after).await {
                Ok(Some(status)) => return Ok(Followed { status, messages: story.version() }),
                Ok(None) => Duration::ZERO,
                // The token has expired: once in a story's life, or once between two of its messages.
                Err(Unfollowed::Refused { status: 401, .. }) if !renewed && (self.renew)(bearer).await => {
                    renewed = true;
                    Duration::ZERO
                }
                Err(Unfollowed::Refused { status, kind, retry_after }) => {
                    board.broken(&format!("{status} {kind}"));
                    match retry_after.filter(|_| matches!(status, 429 | 502 | 503 | 504)) {
                        Some(wait) if tries < TRIES => wait.min(LONGEST_PAUSE).max(pause),
                        _ => return Err(Unfollowed::Refused { status, kind, retry_after }),
                    }
                }
                Err(Unfollowed::Broken(reason)) => {
                    board.broken(&reason);
                    if tries == TRIES {
                        return Err(Unfollowed::Broken(reason));
                    }
                    pause
                }
                Err(other) => return Err(other),
            };
            renewed &= story.version() == told;
            (tries, pause) = if story.version() > told { (0, PAUSE) } else { (tries + 1, pause * 2) };
            if Instant::now() + wait >= until {
                return Err(Unfollowed::Late);
            }
            sleep(wait).await;
            if story.version() > 0 {
                board.reconnected();
            }
        }
    }

    /// One connection. `None` when it was broken on purpose.
    async fn tell(
        &self,
        bearer: HeaderValue,
        board: &Board,
        story: &mut Story,
        until: Instant,
        drop_after: &mut Option<u32>,
    ) -> Result<Option<Status>, Unfollowed> {
        let opening = Opening { target: self.target, order: self.order, bearer, after: story.version() };
        let mut stream = match Stream::open(&opening, self.transport).await {
            Ok(Some(stream)) => stream,
            Ok(None) => return ended(story),
            Err(Closed::Refused { status, kind, retry_after }) => {
                return Err(Unfollowed::Refused { status, kind, retry_after });
            }
            Err(Closed::Broken(reason)) => return Err(Unfollowed::Broken(reason)),
        };
        let open = board.opened();
        loop {
            match timeout_at(until, stream.next()).await {
                Err(_) => return Err(Unfollowed::Late),
                Ok(Ok(message)) => {
                    story.take(&message)?;
                    open.heard(&message);
                    if drop_after.is_some_and(|most| story.version() >= most) && !story.may_end() {
                        *drop_after = None;
                        return Ok(None);
                    }
                }
                Ok(Err(End::Over)) => return ended(story),
                Ok(Err(End::Broken(reason))) => return Err(Unfollowed::Broken(reason)),
                Ok(Err(End::Unreadable)) => return Err(Fault::Unreadable.into()),
                Ok(Err(End::Code)) => return Err(Fault::Code.into()),
            }
        }
    }
}

/// The server says that all is told.
fn ended(story: &Story) -> Result<Option<Status>, Unfollowed> {
    match story.status() {
        Some(status) if story.may_end() => Ok(Some(status)),
        _ => Err(Fault::Unfinished.into()),
    }
}

/// What an answer says that is no stream.
pub(super) fn problem(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Closed {
    #[derive(Deserialize)]
    struct Problem {
        #[serde(rename = "type")]
        kind: String,
    }
    let kind =
        serde_json::from_slice(body).map_or_else(|_| "none".to_owned(), |problem: Problem| problem.kind);
    let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Closed::Refused { status: status.as_u16(), kind, retry_after: seconds.map(Duration::from_secs) }
}
