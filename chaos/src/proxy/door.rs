//! Takes connections, as long as somebody listens at the target.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{oneshot, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{Weather, connection::carry, link::Link};

/// Connections that may wait to be taken.
const BACKLOG: u32 = 1_024;
/// Connections that may be open; what comes beyond is reset.
const MOST: u64 = 20_000;
/// How often a target that was away is asked.
const PROBE_EVERY: Duration = Duration::from_millis(20);
/// How long a target may take to say that it is there. One that is stopped takes connections all the same.
const PROBE_PATIENCE: Duration = Duration::from_millis(500);
/// How long to wait when no connection can be taken, for want of file descriptors.
const OUT_OF_FILES: Duration = Duration::from_millis(50);
/// Probes come from here, so that one can never meet itself on the port that it asks (RFC 9293, simultaneous open).
const PROBER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The proxy's port.
pub(super) struct Door {
    address: SocketAddr,
    /// Bound and never listening: the port stays ours while nobody listens on it, and connections are refused.
    _reserved: TcpSocket,
}

impl Door {
    /// Takes a free port of the loopback interface.
    pub fn reserve() -> io::Result<(Self, SocketAddr)> {
        let reserved = TcpSocket::new_v4()?;
        reserved.set_reuseaddr(true)?;
        reserved.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = reserved.local_addr()?;
        Ok((Self { address, _reserved: reserved }, address))
    }

    /// Opens and closes as the target comes and goes, until `stopped` has no sender any more.
    pub async fn keep(self, link: Arc<Link>, mut stopped: watch::Receiver<()>, ready: oneshot::Sender<()>) {
        tokio::select! {
            () = self.serve(link, ready) => {}
            _ = stopped.changed() => {}
        }
    }

    async fn serve(&self, link: Arc<Link>, ready: oneshot::Sender<()>) {
        let mut ready = Some(ready);
        loop {
            if link.weather() == Weather::BlackHole
                || (link.weather() != Weather::Refuse && is_there(&link).await)
            {
                match self.listen() {
                    Ok(listener) => {
                        if let Some(ready) = ready.take() {
                            // Whoever started this may have gone.
                            let _ = ready.send(());
                        }
                        accept(&listener, &link).await;
                    }
                    Err(_) => sleep(OUT_OF_FILES).await,
                }
            } else {
                if let Some(ready) = ready.take() {
                    let _ = ready.send(());
                }
                sleep(PROBE_EVERY).await;
            }
        }
    }

    fn listen(&self) -> io::Result<TcpListener> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        socket.listen(BACKLOG)
    }
}

/// Takes connections until nobody is there for them.
async fn accept(listener: &TcpListener, link: &Arc<Link>) {
    let mut sky = link.sky.subscribe();
    let mut target = link.target.subscribe();
    let mut asked = Instant::now();
    while link.weather() != Weather::Refuse {
        tokio::select! {
            biased;
            _ = sky.changed() => {
                link.forget_grants();
                link.doubt.notify_one();
            }
            _ = target.changed() => link.doubt.notify_one(),
            () = link.doubt.notified() => {
                sleep_until(asked + PROBE_EVERY / 2).await;
                asked = Instant::now();
                if link.weather() != Weather::BlackHole && !is_there(link).await {
                    return;
                }
            }
            taken = listener.accept() => match taken {
                Ok((client, _)) if link.open() < MOST => {
                    tokio::spawn(carry(client, link.clone(), link.counted(), link.cuts.subscribe()));
                }
                // A RST says it at once; if that cannot be had, its end does.
                Ok((client, _)) => drop(client.set_zero_linger()),
                Err(_) => sleep(OUT_OF_FILES).await,
            },
        }
    }
}

/// Whether somebody listens at the target.
async fn is_there(link: &Link) -> bool {
    let target = *link.target.borrow();
    let Ok(socket) = TcpSocket::new_v4() else { return true };
    // Without the second address of the loopback interface (it is Linux's) the first one has to do.
    let _ = socket.bind(SocketAddr::new(PROBER, 0));
    !matches!(timeout(PROBE_PATIENCE, socket.connect(target)).await,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused)
}
