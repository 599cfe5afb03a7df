//! What the layer promises, in virtual time. One binary; a module per promise.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(missing_docs, clippy::disallowed_methods)]

mod house;

mod smoke;
