//! What is told of a run: a file for machines, a page and a table for people.

pub mod model;
pub mod objectives;
pub mod phase;
