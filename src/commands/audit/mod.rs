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

mod events;
mod facts;
mod money;
mod orders;
mod report;
mod stock;
mod streams;
mod world;

use std::time::Duration;

use viscount_chassis::config::Env;

pub use self::report::Verdict;
use self::{report::Report, world::World};
use crate::{cli::AuditArgs, failure::Failure, home::Home, stack::Attached};

/// Checks everything and prints what was found.
pub async fn run(args: AuditArgs, env: &Env) -> Result<Verdict, Failure> {
    let home = Home::open(env)?;
    let attached = Attached::open(env, &home).await?;
    let checked = async {
        let world = World::open(&attached).await?;
        let mut report = check(&world, args.within).await?;
        streams::check(&world, env, &home, args.streams, &mut report).await?;
        Ok::<_, Failure>(report)
    }
    .await;
    attached.close().await?;
    let report = checked?;
    print!("{report}");
    Ok(report.verdict())
}

/// How often a suspicion is looked at, and the pause before each further look.
const LOOKS: usize = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// Checks what can be seen in the databases.
pub async fn check(world: &World, within: u64) -> Result<Report, Failure> {
    let mut waited = Report::default();
    // First, because it waits until orders have come to rest.
    orders::check_final(world, within, &mut waited).await?;
    let mut found = look(world).await?;
    for _ in 1..LOOKS {
        if found.is_clean() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        found = look(world).await?;
    }
    Ok(waited.and(found))
}

async fn look(world: &World) -> Result<Report, Failure> {
    let mut report = Report::default();
    let facts = facts::read(world).await?;
    stock::check(world, &mut report).await?;
    stock::check_orders(world, &facts, &mut report).await?;
    money::check(world, &facts, &mut report).await?;
    events::check(world, &mut report).await?;
    orders::check_projection(world, &facts, &mut report).await?;
    Ok(report)
}
