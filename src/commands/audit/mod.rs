//! `viscount audit`: the platform's promises, checked over all databases, from the data alone.
//!
//! | | promise |
//! |---|---|
//! | I1 | reserved + sold ≤ received, at every version |
//! | I2 | every accepted order is final in time |
//! | I3 | one capture for each paid order; captured − refunded as the order says; the provider agrees |
//! | I4 | outbox = log: positions without a gap, every event of interest handled, no dead letters |
//! | I5 | versions contiguous, projections as the events say |
//! | I6 | a stream is the history, without a gap or a repeat |
//!
//! The auditor only reads, and it reads what services own without asking them. A suspicion is looked at again after a
//! moment before it becomes a violation: an order in motion between two databases is none.

mod catalog;
mod effects;
mod events;
mod facts;
mod ledger;
mod money;
mod orders;
mod payments;
mod report;
mod stock;
mod streams;
#[cfg(test)]
mod tests;
mod world;

use std::{collections::HashMap, time::Duration};

use viscount_chassis::config::Env;
use viscount_contracts::Topic;

pub use self::report::Verdict;
use self::{
    report::{Report, Suspects},
    world::World,
};
use crate::{cli::AuditArgs, failure::Failure, home::Home, stack::Attached};

/// Checks everything and prints what was found.
pub async fn run(args: AuditArgs, env: &Env) -> Result<Verdict, Failure> {
    let home = Home::open(env)?;
    let attached = Attached::open(env, &home).await?;
    let checked = async {
        let world = World::open(&attached, env).await?;
        let door = streams::Door::find(env, &home).await?;
        // On a server of somebody else's the services may run where their door cannot be found from here.
        let running = door.is_some() || env.get("DATABASE_URL").is_some();
        let terms = Terms { within: args.within, running, patience: Patience::USUAL };
        let mut report = check(&world, &terms).await?;
        streams::check(&world, door.as_ref(), args.streams, &mut report).await?;
        Ok::<_, Failure>(report)
    }
    .await;
    attached.close().await?;
    let report = checked?;
    print!("{report}");
    Ok(report.verdict())
}

/// How often a suspicion is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The most looks.
    pub looks: usize,
    /// The pause before each further look.
    pub pause: Duration,
}

impl Patience {
    /// Ten seconds and the looks themselves: services that were away have caught up by then.
    pub const USUAL: Self = Self { looks: 20, pause: Duration::from_millis(500) };

    /// In how many looks in a row something has to be wrong.
    fn enough(self) -> usize {
        self.looks.div_ceil(2)
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Seconds within which an order has to be final.
    pub within: u64,
    /// A platform runs on these databases: who is behind will catch up. When none does, what is still to be handled
    /// waits for its start, and that is no violation.
    pub running: bool,
    /// How often a suspicion is looked at.
    pub patience: Patience,
}

/// Checks what can be seen in the databases.
pub async fn check(world: &World, terms: &Terms) -> Result<Report, Failure> {
    let mut waited = Report::default();
    // First, because it waits until orders have come to rest.
    orders::check_final(world, terms, &mut waited).await?;
    let heads = events::heads(world).await?;
    let mut suspects = Suspects::default();
    let mut found = look(world, terms, &heads).await?;
    suspects.see(&found);
    for looks in 1..terms.patience.looks {
        // Under load something is always in motion, but never the same thing twice.
        if found.is_clean() || (looks > 1 && suspects.are_fresh()) {
            break;
        }
        tokio::time::sleep(terms.patience.pause).await;
        found = look(world, terms, &heads).await?;
        suspects.see(&found);
    }
    Ok(waited.and(suspects.sentence(found, terms.patience.enough())))
}

/// Looks at everything once. `heads` are the ends of the logs when the audit began.
async fn look(world: &World, terms: &Terms, heads: &HashMap<Topic, i64>) -> Result<Report, Failure> {
    let mut report = Report::default();
    // Places first: what lies behind them is done, and its effects are there for all that is read from now on.
    let places = events::places(world).await?;
    let facts = facts::read(world).await?;
    let payments = payments::read(world).await?;
    stock::check(world, &mut report).await?;
    effects::check_stock(world, &places, &facts, &mut report).await?;
    effects::check_payments(&places, &facts, &payments, &mut report);
    money::check(world, &places, &facts, &payments, &mut report).await?;
    ledger::check(world, &mut report).await?;
    events::check(world, &places, &mut report).await?;
    if terms.running {
        events::check_behind(&places, heads, &mut report);
    }
    orders::check_refunds(&facts, terms, &mut report);
    orders::check_projection(world, &facts, &mut report).await?;
    payments::check_projection(world, &payments, &mut report).await?;
    payments::check_questions(world, terms, &mut report).await?;
    catalog::check(world, &places, &mut report).await?;
    Ok(report)
}
