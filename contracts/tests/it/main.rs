//! What every version of the events has promised, and the documents that are made of their schemas.
//!
//! ```text
//! cargo test -p viscount-contracts --test it                      checks
//! UPDATE_DOCS=1 cargo test -p viscount-contracts --test it        writes docs/events.md and docs/asyncapi.yaml anew
//! RECORD_EVENTS=1 cargo test -p viscount-contracts --test it      completes contracts/testdata/<this version>
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod asyncapi;
mod corpus;
mod documents;
mod full;
mod markdown;
mod recordings;
mod schema;
mod yaml;
