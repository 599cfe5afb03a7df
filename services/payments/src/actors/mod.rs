//! The living side: one actor per payment, and the scheduler that asks again.

mod chaser;
mod payment;

pub use chaser::{Chaser, ChaserSpec, Nudge};
pub use payment::{PaymentActor, PaymentEnv, PaymentEnvInner, Request, Trouble, Work};
