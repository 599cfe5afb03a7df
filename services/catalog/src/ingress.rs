//! Which events of others mean what to the catalogue. The whole subscription on one screen.

use std::{future::Future, sync::Arc};

use viscount_chassis::{
    consumer::{HandleError, Handler},
    store::{CommitError, is_unavailable},
    telemetry::current_traceparent,
};
use viscount_contracts::{DecodeError, Envelope, ProductId, events::inventory::v1::InventoryUpdated};

use crate::{
    catalog::{Catalog, Refusal},
    domain::Evidence,
};

/// What an event tells of which product.
fn route(event: &Envelope) -> Result<(ProductId, Evidence), DecodeError> {
    let updated: InventoryUpdated = event.decode()?;
    let product = updated
        .product_id
        .parse()
        .map_err(|problem| event.unreadable::<InventoryUpdated>(format!("product_id: {problem}")))?;
    Ok((product, Evidence { available: updated.available, version: event.version }))
}

/// Hands inventory's news to the catalogue.
#[derive(Clone)]
pub struct ToCatalog {
    catalog: Catalog,
}

impl ToCatalog {
    /// To this catalogue.
    pub fn new(catalog: Catalog) -> Self {
        Self { catalog }
    }
}

impl Handler for ToCatalog {
    fn wants(&self, event: &Envelope) -> bool {
        event.is::<InventoryUpdated>()
    }

    fn handle(&self, event: Arc<Envelope>) -> impl Future<Output = Result<(), HandleError>> + 'static {
        let catalog = self.catalog.clone();
        async move {
            let (product, told) = route(&event).map_err(|error| HandleError::Poison(error.to_string()))?;
            let kept = catalog.told(product, told, event.id, current_traceparent().as_deref()).await;
            kept.map_err(|refusal| match &refusal {
                Refusal::Commit(CommitError::Overloaded | CommitError::Unavailable) => {
                    HandleError::Away(refusal.to_string())
                }
                Refusal::Database(error) if is_unavailable(error) => HandleError::Away(refusal.to_string()),
                _ => HandleError::Poison(refusal.to_string()),
            })
        }
    }
}
