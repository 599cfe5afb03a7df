//! How many connections a port has open, so that a stop can end as soon as the last one is closed; and how many of them
//! are streams, which actix knows nothing of.

use std::any::Any;
use std::time::Duration;

use actix_web::dev::Extensions;
use metrics::{Gauge, gauge};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::metrics::HTTP_CONNECTIONS;

/// Streams at once; as many as connections that actix lets one of its threads have.
const MOST_STREAMS: usize = 25_600;

#[derive(Clone)]
pub(super) struct Connections {
    open: watch::Sender<usize>,
    streams: watch::Sender<usize>,
    shown: Gauge,
}

/// One open connection; lives in its data, or with whoever took it over.
pub(super) struct Open {
    of: Connections,
    stream: bool,
}

impl Connections {
    pub fn new(service: &'static str) -> Self {
        Connections {
            open: watch::Sender::new(0),
            streams: watch::Sender::new(0),
            shown: gauge!(HTTP_CONNECTIONS, "service" => service),
        }
    }

    /// To be called by actix for each connection.
    pub fn on_connect(self) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + 'static {
        move |_, data| drop(data.insert(self.opened()))
    }

    /// One more, until what comes back is dropped.
    pub fn opened(&self) -> Open {
        self.open.send_modify(|open| *open += 1);
        self.shown.increment(1.0);
        Open { of: self.clone(), stream: false }
    }

    /// Waits until no stream is open; false when the time was not enough.
    pub async fn streams_closed_within(&self, deadline: Duration) -> bool {
        let mut streams = self.streams.subscribe();
        timeout(deadline, streams.wait_for(|streams| *streams == 0)).await.is_ok()
    }

    /// Waits until none is open; false when the time was not enough.
    pub async fn closed_within(&self, deadline: Duration) -> bool {
        let mut open = self.open.subscribe();
        timeout(deadline, open.wait_for(|open| *open == 0)).await.is_ok()
    }
}

impl Open {
    /// Says that this connection is a stream from now on; false when there are too many already.
    pub fn is_stream(&mut self) -> bool {
        self.stream = self.of.streams.send_if_modified(|streams| {
            let room = *streams < MOST_STREAMS;
            *streams += usize::from(room);
            room
        });
        self.stream
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.of.open.send_modify(|open| *open = open.saturating_sub(1));
        if self.stream {
            self.of.streams.send_modify(|streams| *streams = streams.saturating_sub(1));
        }
        self.of.shown.decrement(1.0);
    }
}
