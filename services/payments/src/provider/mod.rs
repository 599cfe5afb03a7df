//! The payment provider, seen from our side.
//!
//! - [`Provider`] asks: every call through one guard (deadline, bulkhead, breaker, limiter, budgeted retry), with an
//!   idempotency key, so that asking twice has its effect once. What it cannot find out in a short while is
//!   [`Answer::Unknown`](crate::domain::Answer::Unknown), never a guess.
//! - [`EarlyAnswers`] lets a webhook end a wait that is still going on.
//! - [`signature`] signs and checks webhooks.
//! - [`wire`] is the provider's language.

mod client;
mod early;
pub mod signature;
pub mod wire;

pub use client::{BREAKER, Provider, ProviderConfig, ProviderError};
pub use early::EarlyAnswers;

/// The name of the one provider that is spoken to, as in `/v1/payments/webhooks/{provider}`.
pub const NAME: &str = "simulator";
