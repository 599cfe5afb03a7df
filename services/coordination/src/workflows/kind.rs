//! The events that a workflow consists of, and what each means for it.

use std::borrow::Cow;

use viscount_contracts::Topic;

/// Where an order stands, as far as its events say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Only others have spoken of it yet.
    Unknown,
    /// Accepted; stock is being reserved.
    Created,
    /// Reserved; payment is under way.
    Validated,
    /// Paid; fulfilment is under way.
    Paid,
    /// Fulfilled.
    Completed,
    /// Refused.
    Rejected,
    /// Called off.
    Cancelled,
}

impl Status {
    /// As it is stored.
    pub const fn code(self) -> i16 {
        match self {
            Status::Unknown => 0,
            Status::Created => 1,
            Status::Validated => 2,
            Status::Paid => 3,
            Status::Completed => 4,
            Status::Rejected => 5,
            Status::Cancelled => 6,
        }
    }

    /// The one that is stored so.
    pub const fn from_code(code: i16) -> Self {
        match code {
            1 => Status::Created,
            2 => Status::Validated,
            3 => Status::Paid,
            4 => Status::Completed,
            5 => Status::Rejected,
            6 => Status::Cancelled,
            _ => Status::Unknown,
        }
    }

    /// True while the order waits for something.
    pub const fn waits(self) -> bool {
        matches!(self, Status::Created | Status::Validated | Status::Paid)
    }
}

/// Kinds by the number under which they are stored. A number is never given to another kind.
const KINDS: &[(u8, Topic, &str)] = &[
    (1, Topic::Orders, "OrderCreated"),
    (2, Topic::Orders, "OrderValidated"),
    (3, Topic::Orders, "OrderRejected"),
    (4, Topic::Orders, "OrderPaymentNoted"),
    (5, Topic::Orders, "OrderPaymentProcessed"),
    (6, Topic::Orders, "OrderCompleted"),
    (7, Topic::Orders, "OrderCancelled"),
    (8, Topic::Orders, "OrderRefundRequested"),
    (9, Topic::Orders, "OrderRefunded"),
    (10, Topic::Orders, "OrderRefundFailed"),
    (20, Topic::Inventory, "InventoryReserved"),
    (21, Topic::Inventory, "InventoryRejected"),
    (22, Topic::Inventory, "InventoryReleased"),
    (23, Topic::Inventory, "InventoryDeducted"),
    (40, Topic::Payments, "PaymentProcessed"),
    (41, Topic::Payments, "PaymentFailed"),
    (42, Topic::Payments, "PaymentRefunded"),
    (43, Topic::Payments, "PaymentRefundFailed"),
    (44, Topic::Payments, "PaymentPending"),
    (45, Topic::Payments, "PaymentCancelNoted"),
    (46, Topic::Payments, "PaymentVoided"),
    (47, Topic::Payments, "PaymentRefundPending"),
];

/// A kind of event. One that this program does not know has the number 0 and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// The number under which it is stored.
    pub code: u8,
    /// Its short name, such as `OrderCreated`.
    pub name: Cow<'static, str>,
}

impl Kind {
    /// The one of this name.
    pub fn named(topic: Topic, name: &str) -> Self {
        match KINDS.iter().find(|(_, of, known)| *of == topic && *known == name) {
            Some((code, _, known)) => Self { code: *code, name: Cow::Borrowed(known) },
            None => Self { code: 0, name: Cow::Owned(name.to_owned()) },
        }
    }

    /// The one that is stored so; `None` for a number that a newer program has given.
    pub fn stored(code: u8) -> Option<Self> {
        let found = KINDS.iter().find(|(known, ..)| *known == code);
        found.map(|(code, _, name)| Self { code: *code, name: Cow::Borrowed(name) })
    }

    /// What the order's status is after it, when it changes that.
    pub fn status(&self) -> Option<Status> {
        Some(match self.code {
            1 => Status::Created,
            2 => Status::Validated,
            3 => Status::Rejected,
            5 => Status::Paid,
            6 => Status::Completed,
            7 => Status::Cancelled,
            _ => return None,
        })
    }

    /// How many refunds more, or fewer, are under way after it.
    pub fn refunds(&self) -> i32 {
        match self.code {
            8 => 1,
            9 | 10 => -1,
            _ => 0,
        }
    }
}

/// True when inventory or payments has answered what the order waits for.
pub const fn is_answer(code: u8) -> bool {
    matches!(code, 20 | 21 | 40 | 41)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_of_one_kind_and_every_kind_is_published() {
        for (at, (code, topic, name)) in KINDS.iter().enumerate() {
            assert!(KINDS[..at].iter().all(|(other, ..)| other != code), "{code}");
            assert!(viscount_contracts::events::KINDS.contains(&(*topic, *name)), "{name}");
            assert_eq!(Kind::stored(*code), Some(Kind::named(*topic, name)));
        }
    }

    #[test]
    fn every_event_of_an_order_has_a_number() {
        for (topic, name) in viscount_contracts::events::KINDS {
            if matches!(topic, Topic::Orders | Topic::Payments) {
                assert_ne!(Kind::named(*topic, name).code, 0, "{name}");
            }
        }
    }

    #[test]
    fn a_status_is_stored_and_read_back() {
        for code in 0..7 {
            assert_eq!(Status::from_code(code).code(), code);
        }
    }
}
