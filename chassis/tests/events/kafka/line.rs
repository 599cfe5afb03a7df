//! A line to somebody that can be cut: then it is silent, and neither end is told.

use std::sync::Arc;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// Accepts connections on a port of its own and carries them on.
pub struct Line {
    pub port: u16,
    cut: Arc<watch::Sender<bool>>,
    _carrying: JoinSet<()>,
}

impl Line {
    /// To this port of this machine.
    pub async fn to(target: u16) -> Self {
        Self::from(0, target).await
    }

    /// From one port to another.
    pub async fn from(port: u16, target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(watch::Sender::new(false));
        let (mut carrying, is_cut) = (JoinSet::new(), cut.clone());
        carrying.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                connections.spawn(carry(near, target, is_cut.subscribe()));
            }
        });
        Self { port, cut, _carrying: carrying }
    }

    /// From now on nothing goes through, not even the end of a connection.
    pub fn cut(&self) {
        self.cut.send_replace(true);
    }
}

async fn carry(mut near: TcpStream, target: u16, mut cut: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => return,
        _ = cut.wait_for(|cut| *cut) => {}
    }
    // Both sockets stay open, and nobody reads them.
    std::future::pending::<()>().await;
}
