//! Named points where a test may kill the process.
//!
//! With the feature `failpoints` on, `FAILPOINTS="store.after-commit=3*off->return"` lets the fourth pass through that
//! point die by SIGKILL: no destructor runs, nothing is flushed. Without the feature a point is an empty function.

/// Marks a point by name; dies there when the test has armed it with the action `return`.
#[macro_export]
macro_rules! failpoint {
    ($name:expr) => {
        $crate::failpoint::pass($name)
    };
}

/// Every failpoint there is, in the order in which an order passes them; last what a redrive passes.
pub const NAMES: &[&str] = &[
    "store.before-commit",
    "store.after-commit",
    "store.before-publish",
    "store.after-publish",
    "store.after-reply",
    "consumer.before-handle",
    "consumer.after-handle",
    "consumer.before-offset",
    "consumer.after-offset",
    "payments.before-provider",
    "payments.after-provider",
    "http.before-answer",
    "consumer.redriven",
];

/// Defects that a test may put in on purpose, to see that it would be noticed: armed by their names with the action
/// `return`, such as `FAILPOINTS="defect.guard=return"`. See docs/adr/0039.
pub const DEFECTS: &[&str] = &[
    // An event that comes again is taken for a new one.
    "defect.dedupe",
    // The database lets more pieces be reserved than there are.
    "defect.guard",
    // An event counts as handled as soon as it has been read.
    "defect.offset",
];

/// Reads `FAILPOINTS` from the environment. Call once at the start of the process.
pub fn arm() {
    #[cfg(feature = "failpoints")]
    {
        // The scenario is meant to live as long as the process.
        std::mem::forget(fail::FailScenario::setup());
    }
}

/// What the macro expands to.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn pass(_name: &'static str) {}

/// What the macro expands to.
#[cfg(feature = "failpoints")]
pub fn pass(name: &'static str) {
    fail::fail_point!(name, |_| die());
}

/// Whether a defect is to show. Without the feature it never is, and the compiler knows it.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn defect(_name: &'static str) -> bool {
    false
}

/// Whether a defect is to show.
#[cfg(feature = "failpoints")]
pub fn defect(name: &'static str) -> bool {
    fail::fail_point!(name, |_| true);
    false
}

#[cfg(feature = "failpoints")]
fn die() {
    let pid = std::process::id().to_string();
    let killed = std::process::Command::new("kill").args(["-KILL", &pid]).status();
    tracing::error!(?killed, "failpoint reached but the process lives");
    std::process::abort();
}
