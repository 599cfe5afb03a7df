//! The rig on a real platform: its processes, its proxies, and how it cleans up behind itself.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bed;
mod cleaning;
mod life;
mod refusals;
mod several;
mod volume;
