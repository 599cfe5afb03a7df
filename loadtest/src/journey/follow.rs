//! Watching the last order until it has settled.

use std::time::Instant;

use rand::RngExt;

use super::Visit;
use crate::{
    measure::recorder::Outcome,
    streams::{Follow, Transport, Unfollowed},
};

/// One in so many comes back after a broken connection: what it missed has to be told, and nothing twice.
const BREAKS: u32 = 10;

/// Follows the last order by a stream. It counts as good when every version came once and in order up to the end.
pub async fn follow(visit: &mut Visit, by: Transport) -> Option<()> {
    let order = visit.last.as_ref()?.order;
    let breaks = visit.random.random_range(0..BREAKS) == 0;
    let customer = visit.customer;
    let world = visit.world.clone();
    let bearer = || world.customers.bearer(customer);
    let renew = |refused| world.customers.renewed(customer, refused);
    let follow = Follow {
        target: &world.target,
        order,
        bearer: &bearer,
        renew: &renew,
        transport: by,
        within: visit.final_within,
        drop_after: breaks.then_some(2),
    };
    let began = Instant::now();
    let followed = world.stop.or(follow.to_the_end(&visit.board)).await?;
    let record = |outcome: Outcome<'_>| visit.recorder.request("follow", began, began, outcome);
    match &followed {
        Ok(_) => record(Outcome::Good(200)),
        Err(Unfollowed::Refused { status, kind, retry_after }) => {
            record(Outcome::Problem { status: *status, kind, retry_after: *retry_after });
        }
        Err(other) => record(Outcome::Broken(&other.to_string())),
    }
    followed.ok().map(|_| ())
}
