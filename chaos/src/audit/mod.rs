//! The auditor: rebuilds everything from the events alone and compares.
//!
//! | | promise |
//! |---|---|
//! | I1 | reserved + sold ≤ received, at every version |
//! | I2 | every accepted order is final in time |
//! | I3 | one capture for each paid order; captured − refunded as the order says; the provider's own books agree |
//! | I4 | what is committed is on the topics and nothing else is, each event by its id; what was told has had its effect |
//! | I5 | versions are contiguous, nothing forks, ids are unique |
//! | I6 | a stream that a client saw is the order's history, without a gap or a repeat |
//! | I7 | all events, replayed from the first, give the same projections |
//! | I8 | no answer was broken |
//!
//! [`collect()`] reads databases, topics and the clients' history into a [`Dataset`]; [`check`] judges it, touching nothing.
//! No code is shared with `viscount audit`, which looks at a living platform without its clients: two opinions, each its own.
//! What events mean is written here once more, from their documentation, in `facts`.

mod answers;
mod collect;
mod dataset;
mod facts;
mod file;
mod finality;
mod money;
mod outbox;
mod projections;
mod stock;
mod streams;
mod verdict;
mod versions;

pub use self::{
    collect::{CollectError, Sources, collect, undone},
    dataset::*,
    file::FileError,
    verdict::{EventRef, Promise, Terms, Violation},
};
use self::{facts::Facts, verdict::Findings};

/// Everything in `data` that breaks a promise, by promise. Pure: the same data give the same violations.
pub fn check(data: &Dataset, terms: &Terms) -> Vec<Violation> {
    let facts = Facts::of(data);
    let mut found = Findings::default();
    stock::check(data, &facts, &mut found);
    finality::check(data, &facts, terms, &mut found);
    money::check(data, &facts, terms, &mut found);
    outbox::check(data, &facts, terms, &mut found);
    versions::check(data, &facts, &mut found);
    streams::check(data, &facts, terms, &mut found);
    projections::check(data, &facts, &mut found);
    answers::check(data, &facts, terms, &mut found);
    found.sentence(data, &facts)
}
