//! How long the scenarios take, the group commit against a real PostgreSQL that keeps what it has promised, and spans.
//!
//! `cargo bench -p viscount-bench`, or a part: `cargo bench -p viscount-bench -- committer`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "criterion's macros write undocumented functions; a benchmark without its database says so and ends"
)]

mod committer;
mod spans;

use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};

fn scenarios(criterion: &mut Criterion) {
    for scenario in viscount_bench::scenarios::ALL {
        let mut run = None;
        criterion.bench_function(scenario.name, |bencher| {
            let run = run.get_or_insert_with(|| (scenario.prepare)());
            bencher.iter_custom(|times| {
                let began = Instant::now();
                run(times);
                began.elapsed()
            });
        });
    }
}

criterion_group!(benches, scenarios, committer::group_commit, spans::spans);
criterion_main!(benches);
