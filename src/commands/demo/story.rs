//! The stories: what a customer does, and how it has to end.

use std::time::Instant;

use futures_util::StreamExt;
use serde_json::json;

use super::{
    Paint,
    shop::{Shop, text},
    watch::watch,
};
use crate::failure::Failure;

/// One order's story.
pub struct Story {
    /// What it shows.
    pub title: &'static str,
    pieces: u32,
    payment: &'static str,
    then: Then,
    /// The statuses that are seen, repeats left out.
    ends: &'static [&'static str],
}

/// What the customer does after ordering.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Wait,
    CancelWhenValidated,
    RefundPart,
}

/// Every story of the demo.
pub const STORIES: &[Story] = &[
    Story {
        title: "An order that completes",
        pieces: 2,
        payment: "tok_visa",
        then: Then::Wait,
        ends: &["created", "validated", "paid", "completed"],
    },
    Story {
        title: "An order of more pieces than there are",
        pieces: 900_000,
        payment: "tok_visa",
        then: Then::Wait,
        ends: &["created", "rejected"],
    },
    Story {
        title: "An order whose card is declined",
        pieces: 1,
        payment: "tok_chargeDeclined",
        then: Then::Wait,
        ends: &["created", "validated", "rejected"],
    },
    Story {
        title: "An order that is cancelled while its (slow) payment is under way",
        pieces: 1,
        payment: "tok_slow",
        then: Then::CancelWhenValidated,
        ends: &["created", "validated", "cancelled"],
    },
    Story {
        title: "An order that is partly refunded",
        pieces: 1,
        payment: "tok_visa",
        then: Then::RefundPart,
        ends: &["created", "validated", "paid", "completed", "partially_refunded"],
    },
];

impl Story {
    /// Places the order, follows it and checks its end.
    pub async fn tell(&self, shop: &Shop, paint: &Paint) -> Result<(), Failure> {
        let since = Instant::now();
        let order = shop.order(0, self.pieces, self.payment).await?;
        let id = text(&order, "id")?;
        let mut statuses: Vec<String> = Vec::new();
        let mut version = 0;
        let mut refunded = false;
        loop {
            let mut events = watch(shop, &id, version, since, paint).await?;
            while let Some(seen) = events.next().await {
                let seen = seen?;
                if seen.version != version + 1 {
                    return Err(Failure::Other(format!("version {} came after {version}", seen.version)));
                }
                version = seen.version;
                if statuses.last() != Some(&seen.status) {
                    statuses.push(seen.status.clone());
                }
                if self.then == Then::CancelWhenValidated && seen.status == "validated" {
                    shop.cancel(&id).await?;
                }
            }
            if self.then != Then::RefundPart || refunded {
                break;
            }
            let total = order["total"]["amount"].as_i64().unwrap_or_default();
            shop.refund(&id, &json!({"amount": total / 2, "currency": order["total"]["currency"]})).await?;
            refunded = true;
        }
        if statuses == self.ends {
            return Ok(());
        }
        Err(Failure::Other(format!("seen {}, expected {}", statuses.join(", "), self.ends.join(", "))))
    }
}
