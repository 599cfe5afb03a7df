//! Messages that the platform's publishers have not sent: events once more, and what nobody can handle.
//!
//! Each carries the header [`INJECTED`], so that the auditor can tell them from the publishers' own.

mod poison;
mod repeat;
mod send;

pub(super) use poison::poison;
pub(super) use repeat::repeat;

/// The header of all messages that the rig has published.
pub const INJECTED: &str = "x-chaos-injected";
