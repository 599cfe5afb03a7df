//! A payment, from its events.

use std::collections::BTreeMap;

use uuid::Uuid;
use viscount_contracts::{Event as Contract, events::payments::v1 as proto};

use super::{Event, id, money, read};

/// A payment as its events have made it.
#[derive(Debug)]
pub struct Payment {
    /// expected, voided, pending, captured, failed.
    pub status: &'static str,
    /// The newest version.
    pub version: i32,
    /// Every time that money was taken.
    pub captures: Vec<Capture>,
    /// Refunds by id.
    pub refunds: BTreeMap<Uuid, Return>,
}

/// Money was taken.
#[derive(Debug)]
pub struct Capture {
    /// The event.
    pub event: usize,
    /// How much.
    pub amount: i64,
    /// In which currency.
    pub currency: String,
    /// The provider's name for it.
    pub reference: String,
}

/// Money that goes back.
#[derive(Debug, Default)]
pub struct Return {
    /// open, done, failed.
    pub state: &'static str,
    /// How much.
    pub amount: i64,
    /// In which currency.
    pub currency: String,
    /// Each time that it was done: the event, how much, the provider's name for it.
    pub done: Vec<(usize, i64, String)>,
}

impl Default for Payment {
    fn default() -> Self {
        Self { status: "expected", version: 0, captures: Vec::new(), refunds: BTreeMap::new() }
    }
}

impl Payment {
    /// What was taken in all.
    pub fn captured(&self) -> i64 {
        self.captures.iter().map(|capture| capture.amount).sum()
    }

    /// What has gone back in all.
    pub fn refunded(&self) -> i64 {
        self.refunds.values().flat_map(|refund| &refund.done).map(|(_, amount, _)| amount).sum()
    }

    /// Takes an event in.
    pub(super) fn take(&mut self, at: usize, event: &Event) -> Result<(), String> {
        self.version = event.version;
        match event.kind.as_ref() {
            proto::PaymentPending::KIND => self.status = "pending",
            proto::PaymentVoided::KIND => self.status = "voided",
            proto::PaymentFailed::KIND => self.status = "failed",
            proto::PaymentCancelNoted::KIND => {}
            proto::PaymentProcessed::KIND => {
                let taken: proto::PaymentProcessed = read(event)?;
                let (amount, currency) = money(taken.amount)?;
                self.status = "captured";
                self.captures.push(Capture {
                    event: at,
                    amount,
                    currency,
                    reference: taken.provider_reference,
                });
            }
            proto::PaymentRefundPending::KIND => {
                let refund: proto::PaymentRefundPending = read(event)?;
                self.refund(&refund.refund_id, "open", money(refund.amount)?)?;
            }
            proto::PaymentRefunded::KIND => {
                let refund: proto::PaymentRefunded = read(event)?;
                let money = money(refund.amount)?;
                let amount = money.0;
                self.refund(&refund.refund_id, "done", money)?.done.push((
                    at,
                    amount,
                    refund.provider_reference,
                ));
            }
            proto::PaymentRefundFailed::KIND => {
                let refund: proto::PaymentRefundFailed = read(event)?;
                self.refund(&refund.refund_id, "failed", money(refund.amount)?)?;
            }
            other => return Err(format!("{other} is no event of payments")),
        }
        Ok(())
    }

    fn refund(
        &mut self,
        refund: &str,
        state: &'static str,
        (amount, currency): (i64, String),
    ) -> Result<&mut Return, String> {
        let refund = self.refunds.entry(id(refund)?).or_default();
        (refund.state, refund.amount, refund.currency) = (state, amount, currency);
        Ok(refund)
    }
}
