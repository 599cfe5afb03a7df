//! The tables of payments: questions that are open and when they are due again, webhooks that had their effect, money.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;
use viscount_contracts::OrderId;
use viscount_payments::domain::{CallId, Charge, Payment};

use crate::{defect::Defect, store::Tables};

/// How long after an unanswered question it is asked again for the first time.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// A question whose answer is not known.
#[derive(Debug, Clone, Copy)]
pub struct Open {
    /// Whose payment.
    pub order: OrderId,
    /// Which call.
    pub call: CallId,
    /// When it is asked again.
    pub due: Timestamp,
    /// How often it was.
    pub attempts: u32,
}

/// What one commit changes.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Questions that are open from now on.
    pub opened: Vec<(Uuid, Open)>,
    /// Those that are no more.
    pub closed: Vec<Uuid>,
    /// The webhook that this is the effect of.
    pub webhook: Option<u64>,
    /// Which payment, and what was taken and returned by this step.
    pub moved: Option<(OrderId, i64, i64)>,
}

impl Change {
    /// What changes when `before` becomes `after`.
    pub fn between(before: &Payment, after: &Payment, at: Timestamp, webhook: Option<u64>) -> Self {
        let (was, is) = (before.open_calls(), after.open_calls());
        // What waited for its payment is done at once; an unanswered question is left alone for a moment.
        let waited = !matches!(before.charge(), Charge::Captured { .. }) && after.captured() > 0;
        let due = if waited { at } else { at + FIRST_PAUSE };
        let order = after.order();
        let open = |call: &CallId| (call.key(order), Open { order, call: *call, due, attempts: 0 });
        let taken = after.captured() - before.captured();
        let returned = after.refunded() - before.refunded();
        Self {
            opened: is.iter().filter(|call| !was.contains(call)).map(open).collect(),
            closed: was.iter().filter(|call| !is.contains(call)).map(|call| call.key(order)).collect(),
            webhook,
            moved: (taken != 0 || returned != 0).then_some((order, taken, returned)),
        }
    }

    /// True when nothing changes.
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.closed.is_empty() && self.webhook.is_none()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct PaymentTables {
    /// By key.
    pub open: BTreeMap<Uuid, Open>,
    /// Webhooks that had their effect.
    pub webhooks: BTreeSet<u64>,
    /// Money that was taken and returned, as the ledger has it.
    pub ledger: BTreeMap<OrderId, (i64, i64)>,
}

impl Tables for PaymentTables {
    type Change = Change;

    fn fits(&self, change: &Change, _: Option<Defect>) -> bool {
        change.webhook.is_none_or(|webhook| !self.webhooks.contains(&webhook))
    }

    fn apply(&mut self, change: &Change) {
        for (key, open) in &change.opened {
            self.open.entry(*key).or_insert(*open);
        }
        for key in &change.closed {
            self.open.remove(key);
        }
        self.webhooks.extend(change.webhook);
        if let Some((order, taken, returned)) = change.moved {
            let sums = self.ledger.entry(order).or_default();
            *sums = (sums.0 + taken, sums.1 + returned);
        }
    }

    fn flaw(&self, change: &Change) -> Option<String> {
        let (order, ..) = change.moved?;
        let (taken, returned) = self.ledger.get(&order).copied().unwrap_or_default();
        let order = crate::shared::number(order.uuid());
        (returned > taken).then(|| format!("of order {order} {returned} went back, and {taken} had come"))
    }
}

impl PaymentTables {
    /// Takes questions that are due, and sets when each is due again.
    pub fn due(&mut self, now: Timestamp, most: usize) -> Vec<Open> {
        let due = self.open.values_mut().filter(|open| open.due <= now).take(most);
        due.map(|open| {
            open.due = now + SignedDuration::from_secs(1 << open.attempts.min(5));
            open.attempts += 1;
            *open
        })
        .collect()
    }
}
