//! Defects that can be put into the model on purpose, to see that the simulation finds each.

use clap::ValueEnum;

/// One defect of the model. The services' cores stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Defect {
    /// An event may have its effect again: the inbox is not asked.
    DedupeOff,
    /// Two writers of one aggregate are both let through: versions are not guarded.
    GuardOff,
    /// The database takes reservations of what is not there.
    StockGuardOff,
    /// A consumer says that an event is done when it takes it in hand.
    OffsetBeforeCommit,
    /// The relay says that an event is published before it is.
    CursorBeforePublish,
    /// The answer to an idempotency key is written after the commit of its effect.
    KeyAfterCommit,
    /// Each request to the provider has a key of its own.
    FreshProviderKey,
    /// No look at an order is promised with its first commit.
    DeadlineIgnored,
    /// A client is answered before the commit.
    AnswerBeforeCommit,
    /// Events behind a dead letter of their key are handled.
    ParkNothing,
    /// A stream reads the past first and subscribes then.
    SubscribeLate,
    /// An order believes in its events before they are committed, and keeps believing when they are not.
    BelieveEarly,
}
