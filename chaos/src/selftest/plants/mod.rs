//! What is planted: for each promise its own list.

mod answers;
mod money;
mod outbox;
mod projections;
mod stock;
mod streams;

use super::Plant;
use crate::audit::Promise;

/// One plant of a list: promise, name, what the auditor must say, how it is planted.
macro_rules! plants {
    ($($promise:ident $name:literal, $says:literal, $(@ $terms:expr,)? $plant:expr;)*) => {
        pub const PLANTS: &[$crate::selftest::Plant] = &[$($crate::selftest::Plant {
            promise: $crate::audit::Promise::$promise,
            name: $name,
            says: $says,
            terms: $crate::selftest::plants::terms!($($terms)?),
            plant: $plant,
        }),*];
    };
}
/// The usual terms, or others.
macro_rules! terms {
    () => {
        |_| {}
    };
    ($terms:expr) => {
        $terms
    };
}
use plants;
use terms;

/// Every plant, promise by promise.
pub fn all() -> impl Iterator<Item = &'static Plant> {
    let lists = || {
        [stock::PLANTS, money::PLANTS, outbox::PLANTS, streams::PLANTS, projections::PLANTS, answers::PLANTS]
            .into_iter()
            .flatten()
    };
    Promise::ALL.into_iter().flat_map(move |promise| lists().filter(move |plant| plant.promise == promise))
}
