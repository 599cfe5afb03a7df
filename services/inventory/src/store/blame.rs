//! After the database has refused a batch: who is to blame.
//!
//! Oldest first, each entry is tried on the stock as it is now; what fits is counted as taken, what does not fit is to
//! blame, and the others are written without it.

use std::collections::HashMap;

use sqlx::{PgPool, Row as _};
use uuid::Uuid;
use viscount_chassis::idempotency::{self, Claim};

use super::change::{Change, Row};
use crate::domain::{fits, net};

/// For each change whether it cannot be written as things are.
pub(super) async fn culprits(pool: &PgPool, changes: &[&Change]) -> Result<Vec<bool>, sqlx::Error> {
    let states = states(pool, changes).await?;
    let claims: Vec<Option<&Claim>> =
        changes.iter().map(|change| change.adjustment.as_ref().map(|adjustment| &adjustment.claim)).collect();
    let taken = if claims.iter().any(Option::is_some) {
        idempotency::taken(pool, &claims).await?
    } else {
        vec![false; claims.len()]
    };
    let mut shelves = shelves(pool, changes).await?;
    Ok(changes
        .iter()
        .zip(taken)
        .map(|(change, taken)| taken || out_of_step(&states, change) || !place(&mut shelves, change))
        .collect())
}

type States = HashMap<Uuid, String>;
type Shelves = HashMap<(Uuid, String), (i64, i64)>;

/// True when the reservation is not where this change believes it to be.
fn out_of_step(states: &States, change: &Change) -> bool {
    match &change.reservation {
        None => false,
        Some(Row::Open { id, .. }) => states.contains_key(&id.uuid()),
        Some(Row::Step { id, from, .. }) => states.get(&id.uuid()).is_none_or(|state| state != from.name()),
    }
}

/// Puts the change on the shelves if all of it fits.
fn place(shelves: &mut Shelves, change: &Change) -> bool {
    let mut after = Vec::new();
    for ((product, location), (on_hand, reserved)) in net(change.movements.iter()) {
        let key = (product.uuid(), location.to_string());
        let now = shelves.get(&key).copied().unwrap_or_default();
        let then = (now.0 + on_hand, now.1 + reserved);
        if !fits(then.0, then.1) {
            return false;
        }
        after.push((key, then));
    }
    shelves.extend(after);
    true
}

async fn states(pool: &PgPool, changes: &[&Change]) -> Result<States, sqlx::Error> {
    let ids: Vec<Uuid> =
        changes.iter().filter_map(|change| change.reservation.as_ref()).map(|row| row.id().uuid()).collect();
    let rows = sqlx::query("select id, state from reservations where id = any($1)")
        .bind(ids)
        .fetch_all(pool)
        .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

async fn shelves(pool: &PgPool, changes: &[&Change]) -> Result<Shelves, sqlx::Error> {
    let mut products: Vec<Uuid> =
        changes.iter().flat_map(|change| &change.movements).map(|movement| movement.product.uuid()).collect();
    products.sort_unstable();
    products.dedup();
    let rows =
        sqlx::query("select product_id, location, on_hand, reserved from stock where product_id = any($1)")
            .bind(products)
            .fetch_all(pool)
            .await?;
    rows.iter()
        .map(|row| {
            let (on_hand, reserved): (i32, i32) = (row.try_get(2)?, row.try_get(3)?);
            Ok(((row.try_get(0)?, row.try_get(1)?), (on_hand.into(), reserved.into())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use viscount_contracts::{ProductId, ReservationId};

    use super::*;
    use crate::domain::{Location, Movement, Portion, State};

    fn hold(product: ProductId, quantity: u32) -> Change {
        let id = ReservationId::new();
        let portions = vec![Portion { product, location: Location::main(), quantity }];
        Change {
            reservation: Some(Row::Open {
                id,
                of_order: true,
                state: State::Held,
                version: 1,
                expires_at: None,
            }),
            movements: Movement::reserve(id, &portions).collect(),
            portions,
            ..Change::default()
        }
    }

    #[test]
    fn the_oldest_that_fit_go_in_and_only_the_others_are_to_blame() {
        let product = ProductId::new();
        let mut shelves = Shelves::from([((product.uuid(), "main".to_owned()), (10, 2))]);
        let placed = [4, 5, 3, 1, 1].map(|quantity| place(&mut shelves, &hold(product, quantity)));
        assert_eq!(placed, [true, false, true, true, false]);
        assert_eq!(shelves[&(product.uuid(), "main".to_owned())], (10, 10));
    }

    #[test]
    fn a_reservation_that_is_not_where_it_was_thought_to_be_is_to_blame() {
        let change = hold(ProductId::new(), 1);
        let id = change.reservation.as_ref().unwrap().id();
        assert!(!out_of_step(&States::new(), &change));
        assert!(out_of_step(&States::from([(id.uuid(), "released".to_owned())]), &change));
        let step = Row::Step { id, from: State::Held, to: State::Sold, version: 2 };
        let sale = Change { reservation: Some(step), ..Change::default() };
        assert!(!out_of_step(&States::from([(id.uuid(), "held".to_owned())]), &sale));
        assert!(out_of_step(&States::from([(id.uuid(), "expired".to_owned())]), &sale));
        assert!(out_of_step(&States::new(), &sale));
    }
}
