//! Whether the partitions grow, as the offsets of what has arrived tell.
//!
//! A topic that is deleted and made anew, and a log that has lost its end, take the next message of a living producer
//! without an error: in the middle of the history, at an offset that another message had before.

use std::collections::HashMap;

/// What is known of the partitions that one producer writes to.
#[derive(Default)]
pub(super) struct Growth(HashMap<i32, End>);

struct End {
    /// The largest offset that is known.
    known: i64,
    /// What the library said last, if that was not known.
    counted: Option<i64>,
}

impl Growth {
    /// Notes the offset of a message, in the order of acknowledgement. False when another one had it before.
    ///
    /// For a batch that is acknowledged by its successor, or as a duplicate, the broker gives no offset. Then the library
    /// counts the batch's messages from a negative number on, also beyond zero: these say nothing.
    pub(super) fn note(&mut self, partition: i32, offset: i64) -> bool {
        let end = self.0.entry(partition).or_insert(End { known: -1, counted: None });
        if offset < 0 || end.counted.is_some_and(|counted| counted + 1 == offset) {
            end.counted = Some(offset);
            return true;
        }
        end.counted = None;
        let grows = offset > end.known;
        end.known = offset;
        grows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_that_comes_again_is_noticed_and_one_that_is_not_known_is_no_offset() {
        let mut growth = Growth::default();
        for (partition, offset) in [(0, 5), (1, 0), (0, 6), (1, 3)] {
            assert!(growth.note(partition, offset));
        }
        // Batches without an offset, of three and of two messages; then the next, which has one.
        for offset in [-1, 0, 1, -1001, -1001, 12] {
            assert!(growth.note(0, offset), "{offset}");
        }
        assert!(!growth.note(1, 0));
        assert!(!growth.note(0, 12));
    }
}
