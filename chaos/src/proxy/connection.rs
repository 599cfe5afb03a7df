//! One connection: a client, the target, and what goes between them.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tokio::{net::TcpStream, sync::watch, time::timeout};

use super::{
    Direction,
    link::{Counted, Link},
    pump::{Broken, Pump},
};

/// How long the target may take to take a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Carries a connection until both sides have ended it, or one has broken it, or it is cut.
pub(super) async fn carry(
    mut client: TcpStream,
    link: Arc<Link>,
    _counted: Counted,
    mut cuts: watch::Receiver<u64>,
) {
    let target = tokio::select! {
        biased;
        target = reach(&link) => target,
        _ = cuts.changed() => None,
    };
    let Some(mut target) = target else {
        let _ = client.set_zero_linger();
        return;
    };
    // Both sides chose for themselves how they send; between them nothing waits for more.
    let _ = client.set_nodelay(true);
    let _ = target.set_nodelay(true);
    let ended_well = tokio::select! {
        _ = cuts.changed() => false,
        ended = flow(&mut client, &mut target, &link) => ended.is_ok(),
    };
    if !ended_well {
        let _ = client.set_zero_linger();
        let _ = target.set_zero_linger();
    }
}

/// Connects to the target, when the weather lets a connection through.
async fn reach(link: &Link) -> Option<TcpStream> {
    link.until_carries(Direction::Up).await;
    let target = *link.target.borrow();
    match timeout(CONNECT_PATIENCE, TcpStream::connect(target)).await {
        // On a port that nobody listens on a connection can meet itself.
        Ok(Ok(stream)) if stream.local_addr().ok() != Some(target) => Some(stream),
        _ => {
            link.doubt.notify_one();
            None
        }
    }
}

async fn flow(client: &mut TcpStream, target: &mut TcpStream, link: &Link) -> Result<(), Broken> {
    let (from_client, to_client) = client.split();
    let (from_target, to_target) = target.split();
    let client_ended = AtomicBool::new(false);
    let up = Pump::new(link, Direction::Up, from_client, to_target, &client_ended);
    let down = Pump::new(link, Direction::Down, from_target, to_client, &client_ended);
    tokio::try_join!(up.run(), down.run()).map(|_| ())
}
