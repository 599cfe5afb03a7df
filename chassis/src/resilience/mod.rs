//! Wrappers for every synchronous call: deadline, bulkhead, breaker, limiter, budgeted retry.
//!
//! Calls between processes fail in few ways: the callee is slow, gone, overloaded, or wakes up under a stampede.
//! [`Guard`] puts the known answers around any future, in the one order in which they work:
//!
//! ```text
//! limiter → bulkhead → breaker → timeout → the call        (retry, budgeted, around all of it)
//! ```
//!
//! * the limiter and the bulkhead refuse before anything is sent, and a refusal never counts against the callee;
//! * the timeout is inside the breaker, so a callee that hangs opens it; a panic counts as a failure; a call that
//!   its caller drops gives back its permits, and counts once it had waited long enough to say something;
//! * half-open lets exactly one probe through;
//! * retries are for calls marked idempotent alone, and spend from a budget, so a dead callee is not hit
//!   `(1 + retries)` times as hard as a living one.
//!
//! [`KeyedLimiter`] is the other half: how much one principal or one address may ask of us.
//!
//! All clocks here are tokio's: tests pause them.

mod breaker;
mod budget;
mod bulkhead;
mod clock;
mod config;
mod error;
mod guard;
pub mod keyed_limiter;
mod metrics;
#[cfg(test)]
mod tests;

pub use breaker::BreakerState;
pub use budget::RetryBudget;
pub use config::{
    BreakerConfig, BulkheadConfig, FailureRate, GuardConfig, LimiterConfig, RetryConfig, StandingQueue,
};
pub use error::{CallError, Verdict};
pub use guard::{Guard, Lane};
pub use keyed_limiter::{Allowance, KeyedLimiter, LimitKey, RatePolicy, Refusal};
