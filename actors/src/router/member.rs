//! A router as a child of its supervisor.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::Entity;
use super::shared::Shared;
use crate::exits::{ExitFilter, KeptExit};
use crate::tree::{Child, FORCE, Managed, TreeNode};

pub(super) struct Member<E: Entity> {
    pub(super) child: Arc<Child>,
    pub(super) shared: Arc<Shared<E>>,
}

impl<E: Entity> Managed for Member<E> {
    fn id(&self) -> u64 {
        self.child.id()
    }

    fn halt(self: Arc<Self>) -> BoxFuture<'static, ()> {
        async move {
            self.shared.hold().await;
            Arc::clone(&self.child).halt().await;
        }
        .boxed()
    }

    fn start(self: Arc<Self>) -> BoxFuture<'static, ()> {
        async move {
            Arc::clone(&self.child).start().await;
            self.shared.release();
        }
        .boxed()
    }

    fn stop(self: Arc<Self>, until: Instant, forced: Arc<Mutex<Vec<String>>>) -> BoxFuture<'static, ()> {
        async move {
            self.shared.close();
            if self.shared.is_held() {
                self.shared.kill();
            }
            if timeout_at(until, self.shared.emptied()).await.is_err() {
                let unanswered = self.shared.in_flight();
                forced.lock().push(format!("{} ({unanswered} messages unanswered)", self.child.path));
                self.shared.kill();
                let _ = timeout(FORCE, self.shared.emptied()).await;
            }
            // Nothing is left to do for the router's own actor, so that it needs no grace.
            let late = until.max(Instant::now() + FORCE);
            Arc::clone(&self.child).stop(late, forced).await;
        }
        .boxed()
    }

    fn snapshot(&self) -> TreeNode {
        let mut node = self.child.snapshot();
        self.shared.describe(&mut node);
        node
    }

    fn exits(&self, filter: &ExitFilter, found: &mut Vec<Arc<KeptExit>>) {
        self.child.exits(filter, found);
        self.shared.exits(filter, found);
    }

    fn crash(&self, path: &str) -> bool {
        self.child.crash(path)
    }

    fn release(&self, path: &str, id: &str) -> bool {
        *self.child.path == *path && self.shared.release_entity(id)
    }

    /// The router's own actor does what has to be done, at the pace of its spec.
    fn inspect(&self, _: Instant) {}
}
