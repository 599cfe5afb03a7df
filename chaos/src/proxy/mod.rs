//! A TCP proxy that can delay, throttle, cut, half-open and black-hole what passes through it.
//!
//! It stands between two parts of a platform and is told a [`Weather`]; whatever that is, bytes are never lost, doubled
//! or changed within a connection that goes on, for TCP promises that to both sides. What the weather holds back waits,
//! and goes on when it is lifted, as packets that are sent again do after a partition has healed. How much may wait is
//! bounded by small queues and the kernel's buffers; then the sender feels it.
//!
//! While nobody listens at the target, nobody listens at the proxy: clients see the refusal that they would see without
//! it, and know that nothing was sent. Each proxy has a thread of its own, so that a busy rig does not delay it.

mod connection;
mod door;
mod link;
mod pump;
#[cfg(test)]
mod tests;
mod weather;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use tokio::{
    runtime,
    sync::{oneshot, watch},
};

use door::Door;
use link::Link;
pub use weather::{Direction, Weather};

/// A proxy that runs. Dropping it closes the listener and all connections.
#[derive(Debug)]
pub struct Proxy {
    name: String,
    address: SocketAddr,
    link: Arc<Link>,
    /// While it runs: what ends its thread, and the thread.
    running: Mutex<Option<(watch::Sender<()>, thread::JoinHandle<()>)>>,
}

/// What has passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Connections that are open now.
    pub open: u64,
    /// Connections that were taken so far.
    pub total: u64,
    /// Bytes that went on from clients to the target.
    pub bytes_up: u64,
    /// Bytes that went on from the target to clients.
    pub bytes_down: u64,
}

impl Proxy {
    /// Listens on a free port of the loopback interface, for this target. Whether anybody listens there is found out
    /// first; as long as nobody does, connections are refused.
    pub async fn start(name: &str, target: SocketAddr) -> io::Result<Self> {
        let (door, address) = Door::reserve()?;
        let link = Arc::new(Link::new(target));
        let (stop, stopped) = watch::channel(());
        let (ready, is_ready) = oneshot::channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = link.clone();
        let thread = thread::Builder::new()
            .name(format!("proxy {name}"))
            .spawn(move || runtime.block_on(door.keep(shared, stopped, ready)))?;
        let running = Mutex::new(Some((stop, thread)));
        let proxy = Self { name: name.to_owned(), address, link, running };
        is_ready.await.map_err(|_| io::Error::other("the proxy ended while it started"))?;
        Ok(proxy)
    }

    /// The link that it is, such as `postgres`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where connections go from now on. Those that are open stay where they are.
    pub fn set_target(&self, target: SocketAddr) {
        self.link.set_target(target);
    }

    /// Changes the weather, for connections that are open, too.
    pub fn set(&self, weather: Weather) {
        self.link.set(weather);
    }

    /// The weather now.
    pub fn weather(&self) -> Weather {
        self.link.weather()
    }

    /// Resets all connections that are open: both sides get a RST. New ones are taken.
    pub fn cut(&self) {
        self.link.cut();
    }

    /// What has passed so far.
    pub fn figures(&self) -> Figures {
        self.link.figures()
    }

    /// Closes the listener and all connections, whoever still knows it. Blocks for a moment.
    pub fn close(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = running {
            drop(stop);
            // Its loop waits for nothing but this; when it has ended the port is free. A panic was told by its hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
    }
}
