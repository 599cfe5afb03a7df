//! Who else is there: the list of instances, followed by long poll.

use std::sync::Arc;
use std::time::Duration;

use super::client::{Client, Failure};
use super::pause::Pauses;
use super::wire::Instance;
use crate::seldom::Seldom;

/// How long one question may hang; coordination allows 30 s.
const WAIT: Duration = Duration::from_secs(25);
/// The shortest time between two lists: a platform that starts changes its list many times at once.
const AT_MOST_EVERY: Duration = Duration::from_millis(100);

/// Tells each new list, for ever. While coordination is away nothing is told: what was told last stays true.
pub async fn follow_instances(client: Arc<Client>, mut tell: impl FnMut(Vec<Instance>)) {
    let (mut etag, mut pauses, mut refused) = (None, Pauses::default(), Seldom::default());
    loop {
        match client.instances(etag.as_deref(), WAIT).await {
            Ok(Some(list)) => {
                pauses.reset();
                // Without a version there is no waiting; then asking now and then has to do.
                let pause = if list.etag.is_some() { AT_MOST_EVERY } else { Duration::from_secs(1) };
                etag = list.etag;
                tell(list.value);
                tokio::time::sleep(pause).await;
            }
            Ok(None) => pauses.reset(),
            Err(failure) => {
                if let Failure::Status(status) = failure
                    && refused.is_due()
                {
                    tracing::warn!(status, "coordination does not tell who is there");
                }
                // Whatever it was that we knew: the next answer is a whole list.
                etag = None;
                tokio::time::sleep(pauses.next()).await;
            }
        }
    }
}
