//! Making a projection anew from the events alone, and putting right what differs.
//!
//! A [`Replay`] is what a service gives for one of its projections: how the events of a key come to what its [`Writer`]
//! writes, and in which tables that shows. There is no second copy of anything: the service's own writer runs its own
//! statement, on a connection where temporary tables of the same names stand before the real ones. So nothing of it can
//! reach an event, an inbox, a deadline or the world.
//!
//! The temporary tables are compared with the real ones in one transaction that keeps writers of these tables out while
//! it lasts; readers go on. Rows that are as they should be are not touched. Whatever ends the program before the commit
//! leaves the real tables as they were. See docs/adr/0027-a-replay-writes-beside-and-mends.md.

mod mend;
mod run;
mod stage;

use std::{future::Future, pin::Pin};

use sqlx::PgConnection;
use viscount_contracts::{Envelope, Topic};

pub use run::replay;

use crate::store::{Batch, Entry, Writer};

/// Why a projection could not be made anew. The real tables are as they were.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A database could not be read or written.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// An event cannot be read.
    #[error("an event cannot be read: {0}")]
    Event(String),
    /// Somebody has kept the tables locked for too long.
    #[error("others keep the tables locked; try again")]
    Locked,
}

/// A table that a projection shows in.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The columns of its primary key.
    pub key: &'static [&'static str],
    /// What differs is put right; else it is only counted.
    pub mend: bool,
    /// A condition on rows, named `o`, that do no harm although no event asks for them.
    pub spare: &'static str,
    /// Columns that no event tells of.
    pub aside: &'static [&'static str],
}

impl Table {
    /// A table whose rows are what the events say, no more and no less.
    pub const fn new(name: &'static str, key: &'static [&'static str]) -> Self {
        Self { name, key, mend: true, spare: "false", aside: &[] }
    }

    /// The same, where rows that meet this condition do no harm.
    pub const fn sparing(self, condition: &'static str) -> Self {
        Self { spare: condition, ..self }
    }

    /// The same, where these columns are not made of events. A row that is made anew has their defaults.
    pub const fn without(self, columns: &'static [&'static str]) -> Self {
        Self { aside: columns, ..self }
    }

    /// The same, only looked at.
    pub const fn only_compared(self) -> Self {
        Self { mend: false, ..self }
    }
}

/// How a service makes one of its projections.
pub struct Projection<W: Writer> {
    /// Its name on the command line.
    pub name: &'static str,
    /// Whose events it is made of.
    pub topic: Topic,
    /// Where it shows.
    pub tables: &'static [Table],
    /// The other tables that the writer's statement names.
    pub others: &'static [&'static str],
    /// Writes.
    pub writer: W,
    /// What a key's `fresh` events bring about behind those `before`, oldest first, step by step: each step is written after
    /// the one before it.
    pub steps: Steps<W>,
}

/// See [`Projection::steps`].
pub type Steps<W> =
    fn(before: &[Envelope], fresh: &[Envelope]) -> Result<Vec<<W as Writer>::Projection>, String>;

impl Difference {
    /// True when every row is as it should be.
    pub fn is_none(&self) -> bool {
        self.missing + self.wrong + self.surplus == 0
    }
}

/// A key's events: those whose effect is written, and those whose effect is not yet, oldest first.
pub type Key = (Vec<Envelope>, Vec<Envelope>);

type Writing<'a> = Pin<Box<dyn Future<Output = Result<(), ReplayError>> + 'a>>;

/// A projection that can be made anew.
pub trait Replay {
    /// Its name on the command line.
    fn name(&self) -> &'static str;
    /// Whose events it is made of.
    fn topic(&self) -> Topic;
    /// Where it shows.
    fn tables(&self) -> &'static [Table];
    /// The other tables that its writer names.
    fn others(&self) -> &'static [&'static str];
    /// Writes what the fresh events of these keys bring about.
    fn write<'a>(&'a self, connection: &'a mut PgConnection, keys: &'a [Key]) -> Writing<'a>;
}

impl<W: Writer> Replay for Projection<W> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn topic(&self) -> Topic {
        self.topic
    }

    fn tables(&self) -> &'static [Table] {
        self.tables
    }

    fn others(&self) -> &'static [&'static str] {
        self.others
    }

    fn write<'a>(&'a self, connection: &'a mut PgConnection, keys: &'a [Key]) -> Writing<'a> {
        Box::pin(async move {
            let mut waiting = Vec::with_capacity(keys.len());
            for (before, fresh) in keys {
                let steps = (self.steps)(before, fresh).map_err(ReplayError::Event)?;
                waiting.push(steps.into_iter());
            }
            // One statement cannot write a row twice: first the first steps of all keys, then the second ones, ….
            loop {
                let entries: Vec<_> = waiting
                    .iter_mut()
                    .filter_map(Iterator::next)
                    .map(|projection| Entry { events: Vec::new(), inbox: None, projection })
                    .collect();
                if entries.is_empty() {
                    return Ok(());
                }
                let entries: Vec<_> = entries.iter().collect();
                self.writer.write(connection, &Batch::of(&entries)).await?;
            }
        })
    }
}

/// How far a replay is, in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Read so far.
    pub done: u64,
    /// How many there are.
    pub total: u64,
}

/// What a table is found to differ in.
#[derive(Debug, Clone, Copy)]
pub struct Difference {
    /// Which table.
    pub table: Table,
    /// Rows that the events ask for.
    pub rows: u64,
    /// Rows that were not there.
    pub missing: u64,
    /// Rows that said something else.
    pub wrong: u64,
    /// Rows that no event asks for.
    pub surplus: u64,
}
