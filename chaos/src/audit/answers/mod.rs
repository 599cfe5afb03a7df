//! I8: no answer was broken. What was answered 2xx is there, what was refused has no effect, a repeated key gave the same
//! answer, and what a client has seen once it never sees undone. An operation whose answer is unknown may have had its effect
//! or not.

mod changed;
mod placed;
mod reads;

use super::{
    dataset::Dataset,
    facts::Facts,
    verdict::{Findings, Terms},
};

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, terms: &Terms, found: &mut Findings) {
    placed::check(data, facts, found);
    changed::check(data, facts, found);
    reads::check(facts, terms, found);
}
