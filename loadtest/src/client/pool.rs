//! Connections that are shared: an open loop needs as many as there are requests under way, and no more than the machine
//! has ports and descriptors for.

use std::{cell::RefCell, rc::Rc, time::Instant};

use tokio::sync::Semaphore;

use super::wire::{Answer, Ask, Connection, Target, WireError};

/// Connections to one target. The one that was used last is used first, so that as few as possible are open.
pub struct Pool {
    target: Target,
    idle: RefCell<Vec<Connection>>,
    permits: Semaphore,
}

impl Pool {
    /// At most so many connections; who comes when all are in use waits in turn.
    pub fn new(target: &Target, most: usize) -> Rc<Self> {
        Rc::new(Self { target: target.clone(), idle: RefCell::default(), permits: Semaphore::new(most) })
    }

    /// One request on a free connection, and when it was sent.
    pub async fn ask_timed(&self, ask: Ask<'_>) -> (Instant, Result<Answer, WireError>) {
        // It is never closed, so there always is a permit at last.
        let _permit = self.permits.acquire().await;
        let sent = Instant::now();
        let idle = self.idle.borrow_mut().pop();
        let mut connection = idle.unwrap_or_else(|| Connection::new(&self.target));
        let answer = connection.ask(ask).await;
        self.idle.borrow_mut().push(connection);
        (sent, answer)
    }

    /// One request on a free connection.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Answer, WireError> {
        self.ask_timed(ask).await.1
    }
}
