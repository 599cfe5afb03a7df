//! `viscount events tail --source broker`: a topic as the brokers have it.
//!
//! Events of one key come in their order, others in any; one may come twice. What is shown is what every consumer gets.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::timeout;
use viscount_chassis::{
    config::Env,
    log::{EventLog, LogError, Start},
    store::EventStore,
};

use super::{Begin, tail::show};
use crate::{cli::TailArgs, failure::Failure, stack};

const PAGE: usize = 500;
/// How long the brokers may give nothing of what is known to be there.
const PATIENCE: Duration = Duration::from_secs(15);
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs until everything is shown that was published when it began, or for ever.
pub async fn tail(args: &TailArgs, store: &EventStore, pool: &PgPool, env: &Env) -> Result<(), Failure> {
    let Some(log) = stack::brokers(env)? else {
        return Err(Failure::Usage("--source broker: KAFKA_BROKERS is not set".to_owned()));
    };
    let outcome = read(args, store, pool, &log).await;
    log.close(FAREWELL).await;
    outcome
}

async fn read(args: &TailArgs, store: &EventStore, pool: &PgPool, log: &dyn EventLog) -> Result<(), Failure> {
    let brokers = |error: LogError| Failure::doing("the brokers", error);
    let after = args.from.behind(store).await?;
    let published: i64 = sqlx::query_scalar("select position from log_relay").fetch_one(pool).await?;
    let start = if args.from == Begin::End { Start::Now } else { Start::Beginning };
    let mut reader = log.follow(args.topic, start).await.map_err(brokers)?;
    let mut awaited = Awaited::new(after, if args.once { published } else { 0 });
    while !args.once || awaited.left > 0 {
        let next = reader.next(PAGE);
        let events = match args.once {
            false => next.await,
            true => timeout(PATIENCE, next).await.map_err(|_| awaited.failure())?,
        };
        for event in events.map_err(brokers)? {
            awaited.seen(event.position);
            if event.position > after && !show(args, &event)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The positions that are known to be published and have not been seen yet.
struct Awaited {
    after: i64,
    seen: Vec<bool>,
    left: usize,
}

impl Awaited {
    fn new(after: i64, published: i64) -> Self {
        let left = usize::try_from(published - after).unwrap_or(0);
        Self { after, seen: vec![false; left], left }
    }

    fn seen(&mut self, position: i64) {
        let place = usize::try_from(position - self.after - 1).ok();
        if let Some(seen) = place.and_then(|place| self.seen.get_mut(place))
            && !std::mem::replace(seen, true)
        {
            self.left -= 1;
        }
    }

    fn failure(&self) -> Failure {
        let all = self.seen.len();
        Failure::Other(format!("{} of {all} published events did not come from the brokers", self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_position_is_awaited_once() {
        let mut awaited = Awaited::new(2, 5);
        for position in [1, 2, 4, 4, 9, 3] {
            awaited.seen(position);
        }
        assert_eq!(awaited.left, 1);
        awaited.seen(5);
        assert_eq!(awaited.left, 0);
        assert_eq!(Awaited::new(5, 3).left, 0);
    }
}
