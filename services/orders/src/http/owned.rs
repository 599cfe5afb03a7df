//! Whose order is it? Somebody else's is answered like one that does not exist.

use viscount_chassis::{auth::Principal, problem::Problem};
use viscount_contracts::OrderId;

use super::Api;
use crate::store::Listed;

/// The order, when the caller owns it or runs the shop.
pub async fn owned(api: &Api, caller: &Principal, id: OrderId) -> Result<Listed, Problem> {
    match api.orders.find(id).await? {
        Some(order) if order.customer == caller.subject || caller.is_admin() => Ok(order),
        _ => Err(Problem::not_found("order")),
    }
}
