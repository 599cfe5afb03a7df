//! Micro-benchmarks of what every order passes through: the pure cores, the event codecs, the actors' router, the
//! memory of tokens.
//!
//! Each is one [`Scenario`], written once and measured twice: `cargo bench -p viscount-bench` tells how long it takes
//! (criterion, and the group commit against a real PostgreSQL besides); the program `instructions` tells how many
//! instructions it takes (valgrind's callgrind) and holds that against `budgets.toml`. Time depends on the machine and
//! its neighbours, instructions hardly: so the second can be checked wherever the build is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a scenario whose subject refuses measures nothing, and must say so loudly"
)]

pub mod budgets;
pub mod callgrind;
pub mod scenarios;

use std::{fmt, hint::black_box};

// What users run has this allocator, so it is part of what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Does a scenario so many times. What it needs was made before.
pub type Run = Box<dyn FnMut(u64)>;

/// One hot path, the same work every time.
pub struct Scenario {
    /// Its name, as in `budgets.toml`.
    pub name: &'static str,
    /// What is done once.
    pub about: &'static str,
    /// Makes everything that is not to be measured.
    pub prepare: fn() -> Run,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A run that does `once` again and again.
fn repeat<T>(mut once: impl FnMut() -> T + 'static) -> Run {
    Box::new(move |times| {
        for _ in 0..times {
            black_box(once());
        }
    })
}
