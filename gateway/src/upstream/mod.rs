//! The services, as the gateway sees them: which instances there are, which of them to ask, and how asking goes.

pub(crate) mod discovery;
pub(crate) mod forward;
pub(crate) mod pool;
pub(crate) mod probe;
pub(crate) mod tunnel;

pub(crate) use forward::{Call, Upstream};
