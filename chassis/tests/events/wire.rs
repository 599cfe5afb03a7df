//! A wire to the database that can fall silent: what is connected stays connected and says nothing any more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use sqlx::postgres::PgConnectOptions;
use tokio::net::{TcpListener, TcpStream};

type Silent = Arc<AtomicBool>;

pub struct Wire {
    port: u16,
    connections: Arc<Mutex<Vec<Silent>>>,
}

impl Wire {
    pub async fn to(database: &PgConnectOptions) -> Self {
        let (host, port) = (database.get_host().to_owned(), database.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self { port: listener.local_addr().unwrap().port(), connections: Arc::default() };
        let connections = wire.connections.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect((host.as_str(), port)).await.unwrap();
                let silent = Silent::default();
                connections.lock().push(silent.clone());
                tokio::spawn(carry(near, far, silent));
            }
        });
        wire
    }

    pub fn options(&self, database: &PgConnectOptions) -> PgConnectOptions {
        database.clone().host("127.0.0.1").port(self.port)
    }

    /// Every connection of this moment; later ones work.
    pub fn fall_silent(&self) {
        for silent in self.connections.lock().iter() {
            silent.store(true, Ordering::SeqCst);
        }
    }
}

async fn carry(near: TcpStream, far: TcpStream, silent: Silent) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let (from, to) = tokio::select! {
            ready = near.readable() => { ready.unwrap(); (&near, &far) }
            ready = far.readable() => { ready.unwrap(); (&far, &near) }
        };
        if silent.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        match from.try_read(&mut bytes) {
            Ok(0) => return,
            Ok(count) => {
                let mut rest = &bytes[..count];
                while !rest.is_empty() {
                    to.writable().await.unwrap();
                    if let Ok(written) = to.try_write(rest) {
                        rest = &rest[written..];
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
