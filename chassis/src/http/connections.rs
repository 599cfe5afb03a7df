//! How many connections a port has open, so that a stop can end as soon as the last one is closed.

use std::any::Any;
use std::time::Duration;

use actix_web::dev::Extensions;
use metrics::{Gauge, gauge};
use tokio::sync::watch;
use tokio::time::timeout;

/// Connections open, by service.
pub const CONNECTIONS: &str = "http_connections";

#[derive(Clone)]
pub(super) struct Connections {
    open: watch::Sender<usize>,
    shown: Gauge,
}

/// One open connection; lives in its data.
struct Open(Connections);

impl Connections {
    pub fn new(service: &'static str) -> Self {
        Connections { open: watch::Sender::new(0), shown: gauge!(CONNECTIONS, "service" => service) }
    }

    /// To be called by actix for each connection.
    pub fn on_connect(self) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + 'static {
        move |_, data| {
            self.open.send_modify(|open| *open += 1);
            self.shown.increment(1.0);
            data.insert(Open(self.clone()));
        }
    }

    /// Waits until none is open; false when the time was not enough.
    pub async fn closed_within(&self, deadline: Duration) -> bool {
        let mut open = self.open.subscribe();
        timeout(deadline, open.wait_for(|open| *open == 0)).await.is_ok()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open = open.saturating_sub(1));
        self.0.shown.decrement(1.0);
    }
}
