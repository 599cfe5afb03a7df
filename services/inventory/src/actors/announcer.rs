//! Tells others when a product runs out, is there again, or gets scarce.
//!
//! The writer says which products are worth a look, as the database left them; the announcer asks which of these others
//! know wrongly, and has the product's actor tell them. After a start, and every few seconds, it looks at all products:
//! so nothing is missed when a process dies between a sale and its news, or when two replicas sell the last pieces.

use std::{convert::Infallible, time::Duration};

use futures_util::{StreamExt, stream};
use sqlx::PgPool;
use tokio::time::{Instant, timeout_at};
use viscount_actors::Router;
use viscount_contracts::ProductId;

use super::stock::{Ask, PATIENCE, StockActor};
use crate::store::{Hints, mistold};

/// How often all products are looked at.
const ROUND: Duration = Duration::from_secs(10);
/// How many announcements are under way at a time.
const AT_ONCE: usize = 64;
/// How many products are told of in one round.
const PER_ROUND: i64 = 5_000;

/// Announces for as long as the service lives. Run as a supervised task.
pub async fn announce(
    pool: PgPool,
    router: Router<StockActor>,
    hints: Hints,
    low: u32,
) -> Result<(), Infallible> {
    let mut round = Instant::now();
    loop {
        let whole_round = timeout_at(round, hints.added()).await.is_err();
        let among = match whole_round {
            true => None,
            false => Some(hints.take()),
        };
        if among.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        match mistold(&pool, among.clone(), low, PER_ROUND).await {
            Ok(products) => tell(&router, &hints, products).await,
            Err(error) => {
                tracing::debug!(%error, "what others know cannot be compared");
                tokio::time::sleep(Duration::from_millis(200)).await;
                hints.add(among.unwrap_or_default());
            }
        }
        if whole_round {
            round = Instant::now() + ROUND;
        }
    }
}

async fn tell(router: &Router<StockActor>, hints: &Hints, products: Vec<ProductId>) {
    let told = stream::iter(products)
        .map(async |product| {
            let told = router.ask(product, PATIENCE, Ask::Announce).await;
            (!matches!(told, Ok(Ok(())))).then_some(product)
        })
        .buffer_unordered(AT_ONCE);
    let failed: Vec<ProductId> = told.filter_map(async |failed| failed).collect().await;
    if !failed.is_empty() {
        tracing::debug!(products = failed.len(), "news could not be told, trying again");
        tokio::time::sleep(Duration::from_millis(200)).await;
        hints.add(failed);
    }
}
