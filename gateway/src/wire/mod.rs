//! What comes over the wire, and what of it may go on: framing, paths, headers, bodies.

pub(crate) mod body;
pub(crate) mod framing;
pub(crate) mod headers;
pub(crate) mod path;
pub(crate) mod socket;
pub(crate) mod trail;
