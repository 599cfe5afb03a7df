//! One message of a stream, and what a stream owes.

use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};
use viscount_contracts::OrderId;

/// A message as the contract has it; websocket and server-sent events carry the same.
#[derive(Debug, Clone, Deserialize)]
pub struct Message {
    /// Whose event.
    pub order_id: OrderId,
    /// 1, 2, 3, … without a gap.
    pub version: u32,
    /// Its kind: not looked at, but owed. The same goes for its data.
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    /// The order's status after it.
    pub status: Status,
    /// When it was decided, which is before it was committed.
    pub occurred_at: Timestamp,
    #[serde(rename = "data")]
    _data: IgnoredAny,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted.
    Created,
    /// In stock.
    Validated,
    /// Paid.
    Paid,
    /// Fulfilled.
    Completed,
    /// Refused.
    Rejected,
    /// Called off.
    Cancelled,
    /// Some money went back.
    PartiallyRefunded,
    /// All money went back.
    Refunded,
}

impl Status {
    /// True when the order waits for nothing of its own.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Created | Self::Validated | Self::Paid)
    }
}

/// What a stream must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A message that is not about the order.
    #[error("a message about another order")]
    Stranger,
    /// Versions are missing.
    #[error("a gap in the versions")]
    Gap,
    /// A version came again.
    #[error("a version came twice")]
    Repeat,
    /// It ended in the middle of the story.
    #[error("closed as if the order had settled")]
    Unfinished,
    /// It ended with another code than 1000 although nothing was wrong.
    #[error("closed with an unexpected code")]
    Code,
    /// It could not be read.
    #[error("a message that is not of the contract")]
    Unreadable,
}

/// What has been told of an order so far, across reconnects.
#[derive(Debug, Clone, Copy)]
pub struct Story {
    order: OrderId,
    version: u32,
    status: Option<Status>,
}

impl Story {
    /// Nothing told yet.
    pub fn of(order: OrderId) -> Self {
        Self { order, version: 0, status: None }
    }

    /// The last version that was told.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The status that was told last.
    pub fn status(&self) -> Option<Status> {
        self.status
    }

    /// True when a stream may end.
    pub fn may_end(&self) -> bool {
        self.status.is_some_and(Status::is_final)
    }

    /// Takes the next message; it has to be the next.
    pub fn take(&mut self, message: &Message) -> Result<(), Fault> {
        if message.order_id != self.order {
            return Err(Fault::Stranger);
        }
        match message.version.cmp(&(self.version + 1)) {
            std::cmp::Ordering::Less => return Err(Fault::Repeat),
            std::cmp::Ordering::Greater => return Err(Fault::Gap),
            std::cmp::Ordering::Equal => {}
        }
        self.version = message.version;
        self.status = Some(message.status);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn order(number: u128) -> OrderId {
        Uuid::from_u128(number).into()
    }

    fn message(of: u128, version: u32, status: &str) -> Message {
        let text = format!(
            r#"{{"order_id":"{}","version":{version},"type":"OrderSomething","status":"{status}",
                "occurred_at":"2026-01-02T03:04:05.678901Z","data":{{"total":{{"amount":1,"currency":"GBP"}}}}}}"#,
            Uuid::from_u128(of)
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_story_is_told_once_and_in_order() {
        let mut story = Story::of(order(1));
        story.take(&message(1, 1, "created")).unwrap();
        story.take(&message(1, 2, "validated")).unwrap();
        assert!(!story.may_end());
        assert_eq!(story.take(&message(1, 2, "validated")), Err(Fault::Repeat));
        assert_eq!(story.take(&message(1, 4, "completed")), Err(Fault::Gap));
        assert_eq!(story.take(&message(2, 3, "paid")), Err(Fault::Stranger));
        story.take(&message(1, 3, "rejected")).unwrap();
        assert!(story.may_end());
        assert_eq!((story.version(), story.status()), (3, Some(Status::Rejected)));
    }

    #[test]
    fn a_message_without_what_the_contract_promises_cannot_be_read() {
        let whole = r#"{"order_id":"01890000-0000-7000-8000-000000000001","version":1,"type":"x","status":"paid","occurred_at":"2026-01-02T03:04:05Z","data":null}"#;
        assert!(serde_json::from_str::<Message>(whole).is_ok());
        for part in [r#""type":"x","#, r#","data":null"#, r#""version":1,"#] {
            assert!(serde_json::from_str::<Message>(&whole.replace(part, "")).is_err(), "{part}");
        }
        assert!(serde_json::from_str::<Message>(&whole.replace("paid", "payed")).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_not_the_next_version_is_a_fault(before in 0u32..50, next in 0u32..60) {
            let mut story = Story::of(order(1));
            for version in 1..=before {
                story.take(&message(1, version, "created")).unwrap();
            }
            let taken = story.take(&message(1, next, "created"));
            prop_assert_eq!(taken.is_ok(), next == before + 1);
            prop_assert_eq!(story.version(), if taken.is_ok() { next } else { before });
        }
    }
}
