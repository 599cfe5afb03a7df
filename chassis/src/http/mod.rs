//! HTTP as every service speaks it, on actix-web.
//!
//! [`serve`] binds a port and puts the same layer around every handler: request id, trace, access line, RED metrics,
//! deadline, and an answer instead of a dropped connection when a handler panics. Every refusal leaves as a
//! [`Problem`](crate::problem::Problem). The extractors parse at the edge, so that a handler's signature says what it
//! needs and its body never sees a malformed request.

mod connections;
mod dead_letters;
mod explain;
pub mod extract;
mod faults;
mod health;
mod layer;
mod ops;
mod page;
mod red;
mod request_id;
mod routes;
mod server;
mod supervision;
mod takeover;
mod unread;
mod websocket;

pub use crate::auth::{Caller, MaybeCaller};
pub use crate::telemetry::current_traceparent;
pub use extract::{Body, IdempotencyKey, IfMatch, PathId, PreferWait, Query, etag, not_modified};
pub use health::{CheckReport, Health, Report};
pub use page::{Cursor, Page, Paged};
pub use request_id::{RequestId, X_REQUEST_ID};
pub use server::{HttpHandle, HttpSpec, StartError, serve};
pub use takeover::Closing;
pub use websocket::{Gone, NotTold, WebSocket, Why, websocket};
