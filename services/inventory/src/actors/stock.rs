//! One product, alive: puts pieces aside for whoever asks, first come, first served.
//!
//! Its memory is authoritative while it lives, except for what other replicas do: that shows as a refusal of the
//! database (then it looks and decides again), or as a shortage that is none (so it looks before it refuses anybody).

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use viscount_actors::{Entity, LoadError, Next, Origin, Reply};
use viscount_chassis::{
    idempotency::{self, Claim},
    store::{CommitError, Committer, Entry},
    telemetry::in_trace,
};
use viscount_contracts::{ProductId, Quantity};

use super::shelf::{Hold, Shelf, Shelves, Taken};
use crate::{
    domain::{Adjustment, Balance, BelowReserved, Take},
    metrics::{self, Looked},
    store::{self, AdjustmentRecord, Change, Loader, NotLoaded},
};

/// How often one change is decided anew when others are faster.
const TRIES: u32 = 16;

/// What a stock actor needs of the world.
#[derive(Clone)]
pub struct StockEnv {
    /// Reads balances.
    pub balances: Loader<ProductId, Balance>,
    /// Writes.
    pub committer: Committer<Change>,
    /// Where live shelves are known.
    pub shelves: Shelves,
    /// For the rare look at keys.
    pub pool: sqlx::PgPool,
    /// What counts as little.
    pub low: u32,
}

/// A request for pieces.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// How many.
    pub wanted: Quantity,
    /// Put them aside; else only say whether they are there.
    pub take: bool,
    /// When it was asked. Nobody is refused on older knowledge.
    pub since: Instant,
    /// How long it may wait for others to decide.
    pub until: Instant,
}

/// What a request for pieces gets.
pub enum Answer {
    /// They are put aside.
    Held(Hold),
    /// They are there.
    Enough,
    /// They are not, not even when all undecided holds come back.
    Short {
        /// How many there are.
        available: u64,
    },
    /// Others did not decide in time.
    TooLong,
    /// The database could not be asked.
    Away(String),
}

/// A change by hand, under its idempotency key.
#[derive(Debug, Clone)]
pub struct Adjust {
    /// The change.
    pub adjustment: Adjustment,
    /// The key.
    pub claim: Claim,
    /// When it was asked.
    pub since: Instant,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
}

/// Why stock was not adjusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdjustError {
    /// Less would be left than is held.
    #[error(transparent)]
    BelowReserved(#[from] BelowReserved),
    /// The key has an answer already.
    #[error("the key was used before")]
    KeyTaken,
    /// Too much is waiting.
    #[error("too much is waiting")]
    Overloaded,
    /// The database could not be asked. The change may or may not have happened; the key tells.
    #[error("the database is not available")]
    Away,
}

/// What a stock actor is asked.
pub enum Ask {
    /// For pieces.
    Hold(Wish, Reply<Answer>),
    /// To change what is there. The answer is the stock afterwards as JSON; `None` when only the key knows it.
    Adjust(Box<Adjust>, Reply<Result<Option<Vec<u8>>, AdjustError>>),
    /// To tell others what they know wrongly.
    Announce(Reply<Result<(), CommitError>>),
}

/// The actor of one product.
pub struct StockActor {
    product: ProductId,
    env: StockEnv,
    shelf: Arc<Shelf>,
    /// When the shelf last was as the database had it.
    as_of: Instant,
    /// What was read then, until something is written.
    read: Option<Balance>,
    /// When the database last could not be asked. Who asked before that is not made to wait for another attempt.
    away: Option<(Instant, NotLoaded)>,
}

impl Entity for StockActor {
    const KIND: &'static str = "stock";
    type Id = ProductId;
    type Env = StockEnv;
    type Message = Ask;

    fn kind(ask: &Ask) -> &'static str {
        match ask {
            Ask::Hold(..) => "hold",
            Ask::Adjust(..) => "adjust",
            Ask::Announce(_) => "announce",
        }
    }

    async fn load(product: ProductId, env: StockEnv, _: Origin) -> Result<Self, LoadError> {
        let as_of = Instant::now();
        let balance = read(&env, product).await.map_err(|error| LoadError(error.to_string()))?;
        let shelf = Shelf::new(&balance);
        env.shelves.put(&shelf);
        Ok(Self { product, env, shelf, as_of, read: Some(balance), away: None })
    }

    async fn handle(&mut self, asks: Vec<Ask>) -> Next {
        for ask in asks {
            match ask {
                Ask::Hold(wish, reply) => reply.send(self.hold(wish).await),
                Ask::Adjust(adjust, reply) => {
                    let trace = adjust.traceparent.clone();
                    reply.send(in_trace(trace.as_deref(), self.adjust(*adjust)).await);
                }
                Ask::Announce(reply) => reply.send(self.announce().await),
            }
        }
        Next::Continue
    }

    fn state(&self) -> String {
        let (available, undecided) = self.shelf.figures();
        format!("available {available}, undecided {undecided}")
    }
}

impl Drop for StockActor {
    fn drop(&mut self) {
        self.env.shelves.remove(&self.shelf);
    }
}

async fn read(env: &StockEnv, product: ProductId) -> Result<Balance, NotLoaded> {
    Ok(env.balances.load(product).await?.unwrap_or_else(|| Balance::unknown(product)))
}

impl StockActor {
    /// Serves one request. The next ones wait behind it: who came first and waits for an undecided hold is not
    /// overtaken. Nobody waits in a circle, because a reservation asks for its products in ascending order.
    async fn hold(&mut self, wish: Wish) -> Answer {
        loop {
            let taken = if wish.take { self.shelf.take(wish.wanted) } else { look(&self.shelf, wish.wanted) };
            let why = match taken {
                Taken::Held(hold) => return Answer::Held(hold),
                Taken::Not(Take::Held(_)) => return Answer::Enough,
                Taken::Not(Take::Short { available }) if self.as_of >= wish.since => {
                    return Answer::Short { available };
                }
                Taken::Not(Take::Wait) => {
                    metrics::waited();
                    match timeout_at(wish.until, self.shelf.changed()).await {
                        Ok(()) => continue,
                        Err(_) => return Answer::TooLong,
                    }
                }
                Taken::Not(Take::Doubtful) => Looked::Doubt,
                Taken::Not(Take::Short { .. }) => Looked::Shortage,
            };
            if let Err(NotLoaded(reason)) = self.look_again(wish.since, why).await {
                return Answer::Away(reason);
            }
        }
    }

    /// Reads the product and corrects the shelf. Only called when nothing is undecided.
    async fn look_again(&mut self, since: Instant, why: Looked) -> Result<(), NotLoaded> {
        if let Some((when, error)) = &self.away
            && *when >= since
        {
            return Err(error.clone());
        }
        metrics::looked(why);
        let as_of = Instant::now();
        match read(&self.env, self.product).await {
            Ok(balance) => {
                if self.shelf.correct(&balance) {
                    self.as_of = as_of;
                    self.read = Some(balance);
                }
                Ok(())
            }
            Err(error) => {
                self.away = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// The balance as of `since` or later.
    async fn balance(&mut self, since: Instant) -> Result<Balance, NotLoaded> {
        match self.read.take() {
            Some(balance) if self.as_of >= since => Ok(balance),
            _ => read(&self.env, self.product).await,
        }
    }

    async fn adjust(&mut self, adjust: Adjust) -> Result<Option<Vec<u8>>, AdjustError> {
        let mut since = adjust.since;
        for _ in 0..TRIES {
            let balance = self.balance(since).await.map_err(|_| AdjustError::Away)?;
            let decided = balance.adjust(adjust.adjustment.clone(), self.env.low)?;
            let now = Timestamp::now();
            let version = balance.stream + 1;
            let mut events = vec![store::adjusted(self.product, &adjust.adjustment, version, now)];
            events.extend(store::notices(self.product, &decided.notices, version, now));
            let answer = Arc::new(OnceLock::new());
            let record = AdjustmentRecord {
                product: self.product,
                claim: adjust.claim.clone(),
                answer: answer.clone(),
            };
            let entry = Entry {
                events: events.into_iter().map(|event| event.traced(adjust.traceparent.clone())).collect(),
                inbox: None,
                projection: Change {
                    movements: vec![decided.movement],
                    sign: (decided.sign != balance.sign).then_some((self.product, decided.sign)),
                    adjustment: Some(record),
                    ..Change::default()
                },
            };
            match self.env.committer.commit(entry).await {
                Ok(_) => {
                    self.shelf.moved(&adjust.adjustment.location, i64::from(adjust.adjustment.delta));
                    metrics::adjusted(adjust.adjustment.kind);
                    return Ok(answer.get().cloned());
                }
                Err(CommitError::Conflict) => {}
                Err(CommitError::Refused { .. } | CommitError::Duplicate) => {
                    let taken = idempotency::taken(&self.env.pool, &[Some(&adjust.claim)]).await;
                    if taken.map_err(|_| AdjustError::Away)?.contains(&true) {
                        return Err(AdjustError::KeyTaken);
                    }
                }
                Err(CommitError::Overloaded) => return Err(AdjustError::Overloaded),
                Err(CommitError::Unavailable) => {
                    self.shelf.doubt();
                    return Err(AdjustError::Away);
                }
            }
            since = Instant::now();
        }
        Err(AdjustError::Overloaded)
    }

    /// Tells others where they are wrong, in a commit of its own: what one reservation knows of its surroundings is
    /// tentative, so only the committed stock can say whether it crossed a line.
    async fn announce(&mut self) -> Result<(), CommitError> {
        for _ in 0..TRIES {
            let balance = self.balance(Instant::now()).await.map_err(|_| CommitError::Unavailable)?;
            let (notices, sign) = balance.notices(self.env.low);
            if sign == balance.sign {
                return Ok(());
            }
            let entry = Entry {
                events: store::notices(self.product, &notices, balance.stream, Timestamp::now()),
                inbox: None,
                projection: Change { sign: Some((self.product, sign)), ..Change::default() },
            };
            match self.env.committer.commit(entry).await {
                Ok(_) => {
                    metrics::announced(&notices);
                    return Ok(());
                }
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Err(CommitError::Overloaded)
    }
}

fn look(shelf: &Shelf, wanted: Quantity) -> Taken {
    Taken::Not(shelf.look(wanted).unwrap_or(Take::Held(Vec::new())))
}

/// How long an actor may take for an adjustment or an announcement.
pub const PATIENCE: Duration = Duration::from_secs(9);
