//! `Idempotency-Key`: the first answer is written in the transaction of its effect, and given again to every retry.
//!
//! Keys belong to a principal: two buyers may use the same one. The fingerprint covers method, path and body, so a key
//! that comes back with another request is an error (422), never somebody's old answer. While the first request is
//! still under way its retries are told so (409). Refused requests leave nothing behind, so they can be corrected and
//! sent again with the same key.
//!
//! The way of a request: [`Idempotency::begin`] → decide → put a [`StoredAnswer`] into the entry that is committed, with
//! [`bind`] and [`cte`] in the writer's statement → on [`CommitError::Refused`](crate::store::CommitError) naming
//! [`CONSTRAINT`] (another replica was faster) → [`Idempotency::replay`]. Before any other refusal is told:
//! [`Idempotency::replay_or`], because what is impossible now may be what the first request with this key has done.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use moka::sync::Cache;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use sqlx::{PgPool, Postgres, Row, postgres::PgArguments, query::Query};
use uuid::Uuid;

use crate::problem::Problem;

/// The constraint that a second writer of the same key runs into.
pub const CONSTRAINT: &str = "idempotency_keys_pkey";

/// How long an answer is kept.
const KEEP: Duration = Duration::from_secs(24 * 3600);

/// How many answers are forgotten by one statement.
const FORGET_AT_ONCE: i64 = 10_000;

/// Known keys kept in memory, so that an ordinary retry does not have to run into the constraint.
const REMEMBERED: u64 = 100_000;

/// One use of a key: whose, which, and for what request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The caller.
    pub principal: Uuid,
    /// The key as it came.
    pub key: String,
    /// SHA-256 over method, path and body.
    pub fingerprint: [u8; 32],
}

impl Claim {
    /// The claim of a request. `body` is the parsed body written out again, so that white space does not matter.
    pub fn new(
        principal: impl Into<Uuid>,
        key: impl Into<String>,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Self {
        let mut hash = Sha256::new();
        for part in [method.as_bytes(), path.as_bytes(), body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self { principal: principal.into(), key: key.into(), fingerprint: hash.finalize().into() }
    }
}

/// The answer that a key stands for from now on.
#[derive(Debug, Clone)]
pub struct StoredAnswer {
    /// Whose.
    pub claim: Claim,
    /// The HTTP status.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The body, byte for byte.
    pub body: Bytes,
}

/// Whether a request is the first with its key.
pub enum Begun {
    /// It is. Keep the ticket until the answer is committed.
    First(Ticket),
    /// It is not; this was the answer.
    Replay(StoredAnswer),
}

/// Marks a key as being under way in this process until dropped.
pub struct Ticket {
    under_way: Arc<Mutex<HashSet<(Uuid, String)>>>,
    known: Cache<(Uuid, String), ()>,
    claim: Claim,
}

impl Ticket {
    /// The claim that the ticket is for.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Says that the answer is committed.
    pub fn committed(self) {
        self.known.insert((self.claim.principal, self.claim.key.clone()), ());
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.under_way.lock().remove(&(self.claim.principal, self.claim.key.clone()));
    }
}

/// The keys of one service.
#[derive(Clone)]
pub struct Idempotency {
    pool: PgPool,
    under_way: Arc<Mutex<HashSet<(Uuid, String)>>>,
    known: Cache<(Uuid, String), ()>,
}

impl Idempotency {
    /// Keys kept in this database.
    pub fn new(pool: PgPool) -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).time_to_live(KEEP).build();
        Self { pool, under_way: Arc::default(), known }
    }

    /// Opens a request: first of its key, or a retry. 409 while the first is under way, 422 when the key was used for
    /// another request.
    pub async fn begin(&self, claim: Claim) -> Result<Begun, Problem> {
        let id = (claim.principal, claim.key.clone());
        if self.known.contains_key(&id)
            && let Some(answer) = self.find(&claim).await?
        {
            return Ok(Begun::Replay(answer));
        }
        if !self.under_way.lock().insert(id) {
            return Err(Problem::conflict(
                "idempotency-key-in-use",
                "Request under way",
                "a request with this Idempotency-Key is being worked on; ask again in a moment",
            ));
        }
        Ok(Begun::First(Ticket { under_way: self.under_way.clone(), known: self.known.clone(), claim }))
    }

    /// After [`CONSTRAINT`] has refused a commit: the answer that is there already.
    pub async fn replay(&self, claim: &Claim) -> Result<StoredAnswer, Problem> {
        self.find(claim)
            .await?
            .ok_or_else(|| Problem::unavailable("the first answer is not there yet", Duration::from_secs(1)))
    }

    /// After a request was refused: the answer to the first request with this key, if there was one, else the refusal.
    ///
    /// A process that has forgotten the key (it was restarted, or another replica answered) decides the retry again,
    /// in the world that the first request has left: all is refunded by now, the product is no longer sold.
    pub async fn replay_or(&self, claim: &Claim, refusal: Problem) -> Result<StoredAnswer, Problem> {
        if (400..500).contains(&refusal.status)
            && let Some(answer) = self.find(claim).await?
        {
            return Ok(answer);
        }
        Err(refusal)
    }

    async fn find(&self, claim: &Claim) -> Result<Option<StoredAnswer>, Problem> {
        let row = sqlx::query(
            "select fingerprint, status, location, body from idempotency_keys where principal = $1 and key = $2",
        )
        .bind(claim.principal)
        .bind(&claim.key)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        if row.try_get::<Vec<u8>, _>(0)? != claim.fingerprint {
            return Err(Problem::new(422, "idempotency-key-reused", "Key used for another request")
                .with_detail("this Idempotency-Key came with another request before"));
        }
        let status: i16 = row.try_get(1)?;
        self.known.insert((claim.principal, claim.key.clone()), ());
        Ok(Some(StoredAnswer {
            claim: claim.clone(),
            status: u16::try_from(status).unwrap_or(200),
            location: row.try_get(2)?,
            body: row.try_get::<Vec<u8>, _>(3)?.into(),
        }))
    }

    /// Forgets answers that are older than 24 hours, now and every ten minutes. Run as a supervised task.
    pub async fn forget_old(self) -> Result<(), sqlx::Error> {
        let mut pace = tokio::time::interval(Duration::from_secs(600));
        loop {
            pace.tick().await;
            if let Err(error) = self.forget().await {
                tracing::debug!(%error, "old idempotency keys stay a little longer");
            }
        }
    }

    /// Portions, so that no statement runs into the timeout however much there is to forget.
    async fn forget(&self) -> Result<(), sqlx::Error> {
        loop {
            let deleted = sqlx::query(
                "delete from idempotency_keys where ctid = any(array(
                    select ctid from idempotency_keys where created_at < now() - interval '24 hours' limit $1))",
            )
            .bind(FORGET_AT_ONCE)
            .execute(&self.pool)
            .await?;
            if deleted.rows_affected() == 0 {
                return Ok(());
            }
        }
    }
}

/// For [`crate::store::Writer::blame`]: which of these claims have an answer already.
pub async fn taken(pool: &PgPool, claims: &[Option<&Claim>]) -> Result<Vec<bool>, sqlx::Error> {
    let principals: Vec<Uuid> = claims.iter().flatten().map(|claim| claim.principal).collect();
    let keys: Vec<&str> = claims.iter().flatten().map(|claim| claim.key.as_str()).collect();
    let rows = sqlx::query(
        "select k.principal, k.key from unnest($1::uuid[], $2::text[]) as u (principal, key)
         join idempotency_keys k on k.principal = u.principal and k.key = u.key",
    )
    .bind(principals)
    .bind(keys)
    .fetch_all(pool)
    .await?;
    let there: HashSet<(Uuid, String)> =
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>()?;
    Ok(claims
        .iter()
        .map(|claim| claim.is_some_and(|claim| there.contains(&(claim.principal, claim.key.clone()))))
        .collect())
}

/// The body of a CTE that inserts the answers bound by [`bind`], whose six parameters begin at `$first`.
pub fn cte(first: usize) -> String {
    let parameter = |offset: usize, kind: &str| format!("${}::{kind}[]", first + offset);
    format!(
        "insert into idempotency_keys (principal, key, fingerprint, status, location, body)
         select * from unnest({}, {}, {}, {}, {}, {}) returning 1",
        parameter(0, "uuid"),
        parameter(1, "text"),
        parameter(2, "bytea"),
        parameter(3, "smallint"),
        parameter(4, "text"),
        parameter(5, "bytea"),
    )
}

/// Binds the six parameters of [`cte`].
pub fn bind<'q, 'a>(
    query: Query<'q, Postgres, PgArguments>,
    answers: impl Iterator<Item = &'a StoredAnswer>,
) -> Query<'q, Postgres, PgArguments> {
    let (mut principals, mut keys, mut prints, mut statuses) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut locations, mut bodies) = (Vec::new(), Vec::new());
    for answer in answers {
        principals.push(answer.claim.principal);
        keys.push(answer.claim.key.as_str());
        prints.push(answer.claim.fingerprint.as_slice());
        statuses.push(i16::try_from(answer.status).unwrap_or(200));
        locations.push(answer.location.as_deref());
        bodies.push(answer.body.as_ref());
    }
    query.bind(principals).bind(keys).bind(prints).bind(statuses).bind(locations).bind(bodies)
}
