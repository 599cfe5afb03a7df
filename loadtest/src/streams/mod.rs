//! Orders as their customers watch them: one stream an order, by websocket or server-sent events.
//!
//! A stream is not only read but held to its promise ([`message::Story`]): every version once and in order, the past first, then
//! what happens, and an end only when the order has settled. Ten thousand of them are one small task each ([`Crowd`]).
//!
//! How long a message took is the time from its `occurred_at` to its arrival here, by the same clock when both are on
//! one machine. `occurred_at` is when the platform decided the event, before it committed it: the figure includes the
//! commit. Only what happened after the stream was open counts; the past is older by nature.

mod board;
mod crowd;
mod events;
mod files;
mod follow;
mod message;
mod socket;
mod sse;
#[cfg(test)]
mod tests;

pub use board::Board;
pub use crowd::{Crowd, CrowdSpec, Memory};
pub use files::{allow_files, at_its_limit, files_at_most};
pub use follow::{Follow, Transport, Unfollowed};
pub use message::Status;
