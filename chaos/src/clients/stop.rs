//! The end of a load, asked for from outside.

use std::{future::Future, sync::Arc};

use tokio::sync::watch;

/// Whether the load has to end. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Ends the load.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// True when the load has to end.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Comes back when the load has to end.
    pub async fn asked(&self) {
        // The sender is here, so it cannot be gone.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }

    /// What the future gives, or nothing when the load has to end before.
    pub async fn or<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.asked() => None,
            given = future => Some(given),
        }
    }
}
