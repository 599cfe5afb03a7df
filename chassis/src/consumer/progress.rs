//! How far a consumer has come: the contiguous finished prefix, and where it is kept.

use std::collections::BTreeSet;

use sqlx::PgPool;

use super::ConsumerSpec;

/// Which positions are in hand. Everything read and not in hand is done.
pub(super) struct Progress {
    open: BTreeSet<i64>,
    read: i64,
    saved: i64,
}

impl Progress {
    pub(super) fn new(start: i64) -> Self {
        Self { open: BTreeSet::new(), read: start, saved: start }
    }

    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    pub(super) fn begin(&mut self, position: i64) {
        self.open.insert(position);
        self.read = self.read.max(position);
    }

    pub(super) fn skip(&mut self, position: i64) {
        self.read = self.read.max(position);
    }

    pub(super) fn done(&mut self, position: i64) {
        self.open.remove(&position);
    }

    /// The end of the finished prefix, when it has moved since it was last saved.
    pub(super) fn unsaved(&self) -> Option<i64> {
        let finished = self.open.first().map_or(self.read, |oldest| oldest - 1);
        (finished > self.saved).then_some(finished)
    }

    pub(super) fn saved(&mut self, position: i64) {
        self.saved = position;
    }
}

/// Where the consumer stood.
pub(super) async fn saved(pool: &PgPool, spec: &ConsumerSpec) -> Result<i64, sqlx::Error> {
    let position =
        sqlx::query_scalar("select position from consumer_offsets where consumer = $1 and topic = $2")
            .bind(spec.consumer)
            .bind(spec.topic.name())
            .fetch_optional(pool)
            .await?;
    Ok(position.unwrap_or(0))
}

/// Keeps where it stands. A replica that is behind does not turn the clock back.
pub(super) async fn save(pool: &PgPool, spec: &ConsumerSpec, position: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into consumer_offsets as o (consumer, topic, position) values ($1, $2, $3)
         on conflict (consumer, topic) do update set position = excluded.position where o.position < excluded.position",
    )
    .bind(spec.consumer)
    .bind(spec.topic.name())
    .bind(position)
    .execute(pool)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever order events finish in, no unfinished event is ever below the saved place.
        #[test]
        fn the_saved_place_never_passes_an_open_event(
            wanted in prop::collection::vec(any::<bool>(), 1..60),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let mut progress = Progress::new(0);
            let mut open = Vec::new();
            for (position, wanted) in (1..).zip(&wanted) {
                if *wanted {
                    progress.begin(position);
                    open.push(position);
                } else {
                    progress.skip(position);
                }
            }
            for index in order {
                if !open.is_empty() {
                    let position = open.remove(index.index(open.len()));
                    progress.done(position);
                }
                if let Some(finished) = progress.unsaved() {
                    prop_assert!(open.iter().all(|position| *position > finished));
                    progress.saved(finished);
                }
            }
            for position in open {
                progress.done(position);
            }
            let last = wanted.len() as i64;
            prop_assert!(progress.unsaved() == Some(last) || progress.saved == last);
        }
    }
}
