//! What the proxy's owner, its door and its connections share.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{Direction, Figures, Weather};

/// State of one proxy.
#[derive(Debug)]
pub(super) struct Link {
    /// The weather.
    pub sky: watch::Sender<Weather>,
    /// Where connections go.
    pub target: watch::Sender<SocketAddr>,
    /// How often all connections were cut.
    pub cuts: watch::Sender<u64>,
    /// Somebody has reason to believe that nobody listens at the target.
    pub doubt: Notify,
    gates: [Mutex<Option<Instant>>; 2],
    open: AtomicU64,
    total: AtomicU64,
    bytes: [AtomicU64; 2],
}

/// One connection that counts as open.
pub(super) struct Counted(Arc<Link>);

impl Link {
    pub fn new(target: SocketAddr) -> Self {
        Self {
            sky: watch::Sender::new(Weather::Clear),
            target: watch::Sender::new(target),
            cuts: watch::Sender::new(0),
            doubt: Notify::new(),
            gates: [Mutex::new(None), Mutex::new(None)],
            open: AtomicU64::new(0),
            total: AtomicU64::new(0),
            bytes: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }

    pub fn set_target(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    pub fn set(&self, weather: Weather) {
        self.sky.send_replace(weather);
        if weather == Weather::Refuse {
            self.cut();
        }
    }

    pub fn weather(&self) -> Weather {
        *self.sky.borrow()
    }

    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub fn figures(&self) -> Figures {
        Figures {
            open: self.open.load(Ordering::Relaxed),
            total: self.total.load(Ordering::Relaxed),
            bytes_up: self.bytes[0].load(Ordering::Relaxed),
            bytes_down: self.bytes[1].load(Ordering::Relaxed),
        }
    }

    /// How many connections are open.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Counts a connection, until what comes back is dropped.
    pub fn counted(self: &Arc<Self>) -> Counted {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    /// Counts bytes that went on.
    pub fn passed(&self, direction: Direction, bytes: usize) {
        self.bytes[direction as usize].fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// When so many bytes may go on, at this rate, behind all that were granted before.
    pub fn grant(&self, direction: Direction, bytes: usize, bytes_per_second: u64) -> Instant {
        let mut gate = self.gates[direction as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let begin = gate.map_or(now, |before| before.max(now));
        let at = begin + Duration::from_secs_f64(bytes as f64 / bytes_per_second.max(1) as f64);
        *gate = Some(at);
        at
    }

    /// What was granted under another weather holds nobody up.
    pub fn forget_grants(&self) {
        for gate in &self.gates {
            *gate.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Waits until the weather lets something through this way.
    pub async fn until_carries(&self, direction: Direction) {
        // The sender is in here: it cannot be gone.
        let _ = self.sky.subscribe().wait_for(|weather| weather.carries(direction)).await;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
