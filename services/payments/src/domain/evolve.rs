//! The payment after an event. Total: what happened cannot be refused.

use jiff::Timestamp;
use viscount_contracts::{Money, RefundId};

use super::{
    event::Event,
    payment::{Charge, Payment, Refund, RefundState},
};

impl Payment {
    /// Takes an event in, together with the time when it happened.
    pub fn evolve(&mut self, event: &Event, at: Timestamp) {
        self.version += 1;
        match event {
            Event::Pending { terms } => {
                self.customer = Some(terms.customer);
                self.charge = Charge::Pending { terms: terms.clone(), cancelled: None };
            }
            Event::CancelNoted { .. } => {
                if let Charge::Pending { cancelled, .. } = &mut self.charge {
                    *cancelled = Some(at);
                }
            }
            Event::Voided { .. } => self.charge = Charge::Voided,
            Event::Processed { customer, amount, reference } => {
                self.customer = self.customer.or(*customer);
                self.charge = Charge::Captured { amount: *amount, reference: reference.clone() };
            }
            Event::Failed { customer, amount, code, detail } => {
                self.customer = self.customer.or(*customer);
                self.charge = Charge::Failed { amount: *amount, code: code.clone(), detail: detail.clone() };
            }
            Event::RefundPending { id, amount } => self.set_refund(*id, *amount, RefundState::Open),
            Event::Refunded { id, amount, reference } => {
                self.set_refund(*id, *amount, RefundState::Done { reference: reference.clone() });
            }
            Event::RefundFailed { id, amount, code, detail } => {
                self.set_refund(
                    *id,
                    *amount,
                    RefundState::Failed { code: code.clone(), detail: detail.clone() },
                );
            }
        }
    }

    fn set_refund(&mut self, id: RefundId, amount: Money, state: RefundState) {
        match self.refunds.iter_mut().find(|refund| refund.id == id) {
            Some(refund) => {
                refund.amount = amount;
                refund.state = state;
            }
            None => self.refunds.push(Refund { id, amount, state }),
        }
    }
}
