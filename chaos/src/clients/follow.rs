//! Following an order over as many connections as it takes: whoever comes again says which version it has seen last.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{
    stream::{Watch, Watched, watch},
    world::World,
};
use crate::history::StreamEnd;

/// The pause before the next connection; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How an order is followed.
#[derive(Debug, Clone, PartialEq)]
pub struct Follow {
    /// Only what comes behind this version.
    pub after: u64,
    /// The client breaks its first connection after so many messages.
    pub leave_after: Option<usize>,
    /// The client reads nothing for so long after each message.
    pub pause: Option<Duration>,
}

/// Follows an order until it has settled, or `within` has passed; true when it has settled.
pub async fn follow(world: &World, order: Uuid, buyer: usize, how: &Follow, within: Duration) -> bool {
    let until = Instant::now() + within;
    let (client, mut after, mut leave_after) = (world.new_client(), how.after, how.leave_after);
    let (mut pause, mut connections) = (FIRST_PAUSE, 0_u64);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let connection = Watch {
            client,
            door: world.door(connections as usize),
            bearer: &world.buyer(buyer).bearer,
            order,
            after,
            leave_after: leave_after.take(),
            pause: how.pause,
        };
        {
            let mut counts = world.counts();
            counts.streams += 1;
            counts.reconnects += u64::from(connections > 0);
        }
        connections += 1;
        // What is given up here is recorded as that.
        let Ok(Watched { end, seen, status }) =
            tokio::time::timeout(left, watch(&world.recorder, connection)).await
        else {
            return false;
        };
        if let Some(status) = status {
            world.seen(order, status);
        }
        if seen > after {
            pause = FIRST_PAUSE;
        }
        after = seen;
        match end {
            // It has shown at least how the order began.
            StreamEnd::Settled if seen == 0 => {
                world.counts().trouble("a stream from the beginning ended as settled and had shown nothing");
                return false;
            }
            StreamEnd::Settled => return true,
            StreamEnd::Refused { status: 401 | 403 | 404 } => {
                world.counts().trouble("a stream of an accepted order was refused");
                return false;
            }
            StreamEnd::Refused { .. } | StreamEnd::Closed { .. } | StreamEnd::Broken { .. } => {}
        }
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
