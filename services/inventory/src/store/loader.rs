//! Reading many things with one query: whatever was asked for while the last query ran is read by the next one.
//!
//! The same idea as the group commit, for reads. A reader that comes alone is served alone, at once.

use std::{collections::HashMap, fmt::Display, future::Future, hash::Hash, sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::timeout,
};
use viscount_actors::{Restart, Supervisor};
use viscount_chassis::store::is_unavailable;

/// How many may wait to be read.
const QUEUE: usize = 8192;
/// How many are read by one query at most.
const BATCH: usize = 512;
/// How long one query may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The database did not say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot be read: {0}")]
pub struct NotLoaded(pub String);

type Waiting<K, V> = (K, oneshot::Sender<Result<Option<V>, NotLoaded>>);

/// Reads values by key, many at a time. Cheap to clone.
pub struct Loader<K, V> {
    queue: mpsc::Sender<Waiting<K, V>>,
}

impl<K, V> Clone for Loader<K, V> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<K, V> Loader<K, V>
where
    K: Copy + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Starts the reader as a supervised task. `read` gives what there is of these keys.
    pub fn start<F, Fut>(supervisor: &Supervisor, name: &'static str, pool: PgPool, read: F) -> Self
    where
        F: Fn(PgPool, Vec<K>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<HashMap<K, V>, sqlx::Error>> + 'static,
    {
        let (queue, receiver) = mpsc::channel::<Waiting<K, V>>(QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        supervisor.task(name, Restart::Permanent, move || {
            let (receiver, pool, read) = (receiver.clone(), pool.clone(), read.clone());
            async move {
                let mut receiver = receiver.lock().await;
                let mut waiting = Vec::with_capacity(BATCH);
                while receiver.recv_many(&mut waiting, BATCH).await > 0 {
                    // Who has gone meanwhile needs no answer.
                    waiting.retain(|(_, reply)| !reply.is_closed());
                    let mut keys: Vec<K> = Vec::with_capacity(waiting.len());
                    let mut seen = std::collections::HashSet::with_capacity(waiting.len());
                    keys.extend(waiting.iter().map(|(key, _)| *key).filter(|key| seen.insert(*key)));
                    if keys.is_empty() {
                        continue;
                    }
                    let found = match timeout(DEADLINE, read(pool.clone(), keys)).await {
                        Ok(Ok(found)) => Ok(found),
                        Ok(Err(error)) => {
                            if !is_unavailable(&error) {
                                tracing::error!(%error, reader = name, "the database refuses to be read");
                            }
                            Err(not_loaded(error))
                        }
                        Err(_) => Err(not_loaded("no answer in time")),
                    };
                    for (key, reply) in waiting.drain(..) {
                        let answer = match &found {
                            Ok(found) => Ok(found.get(&key).cloned()),
                            Err(error) => Err(error.clone()),
                        };
                        let _ = reply.send(answer);
                    }
                }
                Ok::<(), NotLoaded>(())
            }
        });
        Self { queue }
    }

    /// What there is under this key. The query begins after this call, so it sees all that was committed before.
    pub async fn load(&self, key: K) -> Result<Option<V>, NotLoaded> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send((key, reply)).map_err(|_| not_loaded("too many wait to be read"))?;
        answer.await.unwrap_or_else(|_| Err(not_loaded("the reader was restarted")))
    }
}

fn not_loaded(problem: impl Display) -> NotLoaded {
    NotLoaded(problem.to_string())
}
