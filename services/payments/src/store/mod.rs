//! How payments are kept: events are the truth, everything else is written beside them in the same transaction.
//!
//! - [`codec`] turns the core's events into protobuf and back.
//! - [`Projection`] says what one step changes in the service's own tables; [`PaymentsWriter`] writes a batch of them.
//! - [`open_calls`] are the durable deadlines of questions whose answer is not known.
//! - [`reads`] serve the HTTP side.

pub mod codec;
pub mod open_calls;
mod projection;
pub mod reads;
mod writer;

pub use projection::{Projection, WebhookId};
pub use writer::PaymentsWriter;
