//! Products of which others may know the wrong thing, until somebody has looked.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;
use viscount_contracts::ProductId;

/// Which products want looking at. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hints {
    inner: Arc<(Mutex<HashSet<ProductId>>, Notify)>,
}

impl Hints {
    /// More than this are forgotten: the announcer's regular look at everything finds them.
    const MOST: usize = 20_000;

    /// Says that these products want looking at.
    pub fn add(&self, products: impl IntoIterator<Item = ProductId>) {
        let mut hinted = self.inner.0.lock();
        for product in products {
            if hinted.len() < Self::MOST {
                hinted.insert(product);
            }
        }
        drop(hinted);
        self.inner.1.notify_one();
    }

    /// Takes what there is.
    pub fn take(&self) -> Vec<ProductId> {
        std::mem::take(&mut *self.inner.0.lock()).into_iter().collect()
    }

    /// Waits until something was added since the last wait.
    pub async fn added(&self) {
        self.inner.1.notified().await;
    }
}
