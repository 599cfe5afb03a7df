//! One-time admission to a stream, kept in the database so that any replica can take it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use uuid::Uuid;
use viscount_contracts::OrderId;

/// Seconds that a ticket is good for.
pub const GOOD_FOR: u64 = 30;

/// The tickets of this service.
#[derive(Debug, Clone)]
pub struct Tickets {
    pool: PgPool,
}

impl Tickets {
    /// Tickets in this database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// A new ticket for an order's stream: 256 random bits. Only its hash is kept.
    pub async fn issue(&self, order: OrderId) -> Result<String, sqlx::Error> {
        let ticket = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        sqlx::query(
            "with old as (delete from stream_tickets where expires_at < now())
             insert into stream_tickets (ticket, order_id, expires_at)
             values ($1, $2, now() + make_interval(secs => $3))",
        )
        .bind(hash(&ticket))
        .bind(order.uuid())
        .bind(GOOD_FOR as f64)
        .execute(&self.pool)
        .await?;
        Ok(ticket)
    }

    /// Takes a ticket; true when it was good for this order. It never is again.
    pub async fn redeem(&self, ticket: &str, order: OrderId) -> Result<bool, sqlx::Error> {
        let taken: Option<Uuid> = sqlx::query_scalar(
            "delete from stream_tickets where ticket = $1 and order_id = $2 and expires_at >= now() returning order_id",
        )
        .bind(hash(ticket))
        .bind(order.uuid())
        .fetch_optional(&self.pool)
        .await?;
        Ok(taken.is_some())
    }
}

fn hash(ticket: &str) -> Vec<u8> {
    Sha256::digest(ticket.as_bytes()).to_vec()
}
