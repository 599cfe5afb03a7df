//! What the clients did and saw: each operation with its begin, its end and its answer, as Jepsen's histories have it.
//!
//! One JSON object per line. An operation is written when it has ended; what was under way when a run broke off is
//! written as unknown. Unknown is never taken for failed: such an operation may have had its effect, and the auditor
//! allows both.
//!
//! A [`Recorder`] writes the lines while the load goes on and counts what happens in each second; [`read`] gives them back.

mod reader;
mod recorder;
mod timeline;
mod writer;

#[cfg(test)]
mod tests;

pub use reader::{HistoryError, read};
pub use recorder::{Begun, GIVEN_UP, Opened, Recorder};
pub use timeline::{Quantiles, Second};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// One line of a history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A request and what came of it.
    Operation(Operation),
    /// One connection to an order's live stream.
    Stream(Stream),
}

/// A request and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its number, in the order of begins; unique in a history.
    pub id: u64,
    /// Which client. A client does one thing after the other, unless its journey says otherwise.
    pub client: u32,
    /// The gateway (or replica) that was asked, such as `http://127.0.0.1:8080`.
    pub door: String,
    /// Just before the first byte went out.
    pub begun: Timestamp,
    /// When the answer was complete, or when it was given up.
    pub ended: Timestamp,
    /// What was asked for.
    pub call: Call,
    /// What came back.
    pub outcome: Outcome,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    /// `POST /v1/products`
    CreateProduct {
        /// Its stock keeping unit.
        sku: String,
        /// Idempotency-Key.
        key: String,
    },
    /// `POST /v1/inventory/adjust`
    Adjust {
        /// Whose stock.
        product: Uuid,
        /// Pieces more, or fewer.
        delta: i64,
        /// Idempotency-Key.
        key: String,
    },
    /// `POST /v1/orders`
    PlaceOrder {
        /// Whose order: the subject of the token.
        buyer: Uuid,
        /// Idempotency-Key. The same key with the same body is the same request, made again.
        key: String,
        /// What is wanted.
        lines: Vec<Wanted>,
        /// How it is paid: the provider's test token.
        payment_token: String,
    },
    /// `GET /v1/orders/{id}`
    ReadOrder {
        /// Which.
        order: Uuid,
        /// Who asks.
        buyer: Uuid,
    },
    /// `POST /v1/orders/{id}/cancel`
    Cancel {
        /// Which.
        order: Uuid,
        /// Who asks.
        buyer: Uuid,
        /// Idempotency-Key, where one was sent.
        key: Option<String>,
    },
    /// `POST /v1/orders/{id}/refund`
    Refund {
        /// Which.
        order: Uuid,
        /// Who asks.
        buyer: Uuid,
        /// Idempotency-Key.
        key: String,
        /// In the currency's smallest unit; all that is left when absent.
        amount: Option<i64>,
    },
}

/// A line of an order as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Which product.
    pub product: Uuid,
    /// How many pieces.
    pub quantity: u32,
}

/// `type` of the problem that says: a request with this Idempotency-Key is being worked on.
pub const KEY_IN_USE: &str = "/problems/idempotency-key-in-use";

/// How the end of a stream begins whose connection was never there.
pub const NOT_OPENED: &str = "not opened";

/// What came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// 2xx: what it says is so.
    Ok {
        /// The status code.
        status: u16,
        /// The body as it came.
        body: Value,
        /// `Idempotency-Replayed` or its like was set: the answer of an earlier request under this key.
        #[serde(default)]
        replayed: bool,
    },
    /// 4xx: this request has no effect. Another one with the same key may have one: 409 with the problem
    /// [`KEY_IN_USE`] says that such a one is under way.
    Refused {
        /// The status code.
        status: u16,
        /// `type` of the problem.
        problem: String,
    },
    /// No answer, a broken one, or 5xx: it may have had its effect.
    Unknown {
        /// The status code, if there was one.
        status: Option<u16>,
        /// What went wrong.
        why: String,
        /// `Retry-After` was among the headers: the client was told to come again.
        #[serde(default)]
        retriable: bool,
    },
}

/// One connection to an order's live stream, from its opening to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// Its number, in the same sequence as the operations'.
    pub id: u64,
    /// Which client.
    pub client: u32,
    /// Which order.
    pub order: Uuid,
    /// What was asked for: events after this version.
    pub after: u64,
    /// When the connection was asked for.
    pub begun: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What came, in the order in which it came.
    pub frames: Vec<Frame>,
    /// How it ended.
    pub end: StreamEnd,
}

/// A message of a stream that tells of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// When it came.
    pub at: Timestamp,
    /// The order's version.
    pub version: u64,
    /// The event's type, as the stream names it.
    pub event: String,
    /// The message as it came.
    pub body: Value,
}

/// How a stream's connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum StreamEnd {
    /// Closed by the platform because the order has settled.
    Settled,
    /// Closed by the platform for another reason (its close code).
    Closed {
        /// RFC 6455, section 7.4.
        code: u16,
    },
    /// Never opened: the status of the refusal.
    Refused {
        /// The status code.
        status: u16,
    },
    /// Broken, or given up.
    Broken {
        /// What went wrong.
        why: String,
    },
}
