//! What a relay puts before its messages.

use std::{collections::BTreeMap, sync::Arc};

use metrics::counter;
use viscount_contracts::Topic;

use super::{Described, Registry, RegistryError, frame};

/// The frames of one topic's events.
#[derive(Debug)]
pub(in crate::log::kafka) struct Writer {
    prefixes: BTreeMap<String, Vec<u8>>,
}

impl Writer {
    fn new(id: u32, topic: Topic) -> Self {
        let framed = |(index, message)| (message, frame::prefix(id, &[index]));
        Self { prefixes: (0..).zip(topic.messages()).map(framed).collect() }
    }

    /// What stands before an event of this kind. Nothing when this program's schema does not have the kind: a newer
    /// program has committed it, and it goes out plain.
    pub(in crate::log::kafka) fn prefix(&self, kind: &str) -> Option<&[u8]> {
        self.prefixes.get(kind).map(Vec::as_slice)
    }
}

impl Registry {
    /// How a topic's events are framed. Asked whenever publishing begins, for a registry may have lost its memory; while
    /// it is away, what it has said before is good enough.
    pub(in crate::log::kafka) async fn writer(&self, topic: Topic) -> Result<Arc<Writer>, RegistryError> {
        let what = format!("publishing {topic}");
        let placed = self.place(topic, self.auto_register).await;
        let known = self.writers.lock().get(&topic).cloned();
        match (placed, known) {
            (Ok(placed), _) => {
                let writer = Arc::new(Writer::new(placed.id, topic));
                self.known.insert(placed.id, Arc::new(Described::own(placed.id, topic)));
                self.writers.lock().insert(topic, writer.clone());
                self.trouble.lock().remove(&what);
                tracing::info!(%topic, schema = placed.id, "the schema has its id");
                Ok(writer)
            }
            (Err(RegistryError::Unavailable(_)), Some(writer)) => Ok(writer),
            (Err(error), _) => {
                counter!(crate::metrics::SCHEMA_REGISTRY_FAILURES_TOTAL).increment(1);
                self.trouble.lock().insert(what, error.to_string());
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_index() {
        let writer = Writer::new(258, Topic::Orders);
        assert_eq!(writer.prefix("OrderCreated"), Some(&[0, 0, 0, 1, 2, 2, 4][..]));
        assert_eq!(Writer::new(1, Topic::Identity).prefix("UserRegistered"), Some(&[0, 0, 0, 0, 1, 0][..]));
        assert_eq!(writer.prefix("OrderTeleported"), None);
    }
}
