//! What follows from what is known. Pure and idempotent: told the same twice, the second time nothing follows.

use viscount_contracts::{Money, RefundId, UserId};

use super::{
    command::{Answer, Call, CallId, Command, Intent, Terms},
    event::Event,
    payment::{Charge, Payment, RefundState},
};

impl Payment {
    /// The call whose answer is needed before this intent can be decided; `None` when it can be decided as it is.
    pub fn asks(&self, intent: &Intent) -> Option<Call> {
        match intent {
            Intent::Charge(terms) => {
                let fresh = self.charge == Charge::Expected && terms.amount.amount() > 0;
                fresh.then(|| Call::Charge(terms.clone()))
            }
            Intent::Refund { id, amount } => match &self.charge {
                Charge::Captured { reference, .. }
                    if self.refund(*id).is_none() && self.objection(*amount).is_none() =>
                {
                    Some(Call::Refund { id: *id, amount: *amount, charge: reference.clone() })
                }
                _ => None,
            },
            Intent::Cancel { .. } => None,
        }
    }

    /// The call to repeat for something that is open; `None` when it is no longer open.
    pub fn asks_again(&self, call: CallId) -> Option<Call> {
        match (call, &self.charge) {
            (CallId::Charge, Charge::Pending { terms, cancelled: None }) => Some(Call::Charge(terms.clone())),
            (CallId::Charge, Charge::Pending { .. }) => Some(Call::FindCharge),
            (CallId::Refund(id), Charge::Captured { reference, .. }) => {
                let refund = self.refund(id).filter(|refund| refund.state == RefundState::Open)?;
                Some(Call::Refund { id, amount: refund.amount, charge: reference.clone() })
            }
            _ => None,
        }
    }

    /// What happens.
    pub fn decide(&self, command: Command) -> Vec<Event> {
        match command {
            Command::Charge { terms, answer } => self.charged(terms, answer),
            Command::ChargeAnswered { customer, amount, answer } => {
                self.charge_answered(customer, amount, answer)
            }
            Command::Refund { id, amount, answer } => self.refund_wanted(id, amount, answer),
            Command::RefundAnswered { id, answer } => self.refund_answered(id, answer),
            Command::Cancel { reason } => self.cancelled(reason),
            Command::GiveUp => match &self.charge {
                Charge::Pending { cancelled: Some(_), .. } => {
                    self.voided("cancelled while the payment was pending")
                }
                _ => Vec::new(),
            },
        }
    }

    fn charged(&self, terms: Terms, answer: Option<Answer>) -> Vec<Event> {
        if self.charge == Charge::Expected && terms.amount.amount() <= 0 {
            return self.failed(
                Some(terms.customer),
                terms.amount,
                "invalid_amount",
                "there is nothing to be paid",
            );
        }
        match answer {
            Some(Answer::Unknown | Answer::NeverSeen) if self.charge == Charge::Expected => {
                vec![Event::Pending { terms }]
            }
            // Charged by one who did not know of the cancellation: what came of that must be found out.
            Some(Answer::Unknown) if self.charge == Charge::Voided => {
                vec![Event::Pending { terms }, Event::CancelNoted { reason: "cancelled before".to_owned() }]
            }
            Some(answer) => self.charge_answered(Some(terms.customer), Some(terms.amount), answer),
            None => Vec::new(),
        }
    }

    fn charge_answered(&self, customer: Option<UserId>, amount: Option<Money>, answer: Answer) -> Vec<Event> {
        match (answer, &self.charge) {
            // Said again.
            (Answer::Done { .. }, Charge::Captured { .. }) => Vec::new(),
            // Money that was taken is never overlooked: also when the order was cancelled meanwhile or the provider
            // had said no before. The order then asks for its return.
            (Answer::Done { reference, amount }, _) => self.processed(customer, amount, reference),
            (Answer::Refused { code, detail }, Charge::Expected | Charge::Pending { .. }) => {
                match amount.or_else(|| self.amount()) {
                    Some(amount) => self.failed(customer, amount, &code, &detail),
                    None => Vec::new(),
                }
            }
            (Answer::Refused { .. }, _) => Vec::new(),
            (Answer::NeverSeen | Answer::Unknown, _) => Vec::new(),
        }
    }

    /// The money is there. Refunds that waited for it are now open, as far as there is money for them.
    fn processed(&self, customer: Option<UserId>, amount: Money, reference: String) -> Vec<Event> {
        let mut events = vec![Event::Processed { customer: self.customer.or(customer), amount, reference }];
        let mut left = amount.amount();
        for refund in self.refunds.iter().filter(|refund| refund.state == RefundState::Open) {
            match objection(refund.amount, amount, left) {
                Some((code, detail)) => events.push(refund_failed(refund.id, refund.amount, code, detail)),
                None => left -= refund.amount.amount(),
            }
        }
        events
    }

    fn failed(&self, customer: Option<UserId>, amount: Money, code: &str, detail: &str) -> Vec<Event> {
        let customer = self.customer.or(customer);
        let failed = Event::Failed { customer, amount, code: code.to_owned(), detail: detail.to_owned() };
        std::iter::once(failed).chain(self.nothing_to_return()).collect()
    }

    fn cancelled(&self, reason: String) -> Vec<Event> {
        match &self.charge {
            Charge::Expected => self.voided(&reason),
            Charge::Pending { cancelled: None, .. } => vec![Event::CancelNoted { reason }],
            // Too late, or said again. What was taken is returned by a refund of its own.
            Charge::Pending { .. } | Charge::Captured { .. } | Charge::Failed { .. } | Charge::Voided => {
                Vec::new()
            }
        }
    }

    fn voided(&self, reason: &str) -> Vec<Event> {
        let voided = Event::Voided { reason: reason.to_owned() };
        std::iter::once(voided).chain(self.nothing_to_return()).collect()
    }

    /// Refunds that waited for a charge that will never be.
    fn nothing_to_return(&self) -> impl Iterator<Item = Event> + '_ {
        let open = self.refunds.iter().filter(|refund| refund.state == RefundState::Open);
        open.map(|refund| refund_failed(refund.id, refund.amount, NOT_CAPTURED.0, NOT_CAPTURED.1))
    }

    fn refund_wanted(&self, id: RefundId, amount: Money, answer: Option<Answer>) -> Vec<Event> {
        if self.refund(id).is_some() {
            return match answer {
                Some(answer) => self.refund_answered(id, answer),
                None => Vec::new(),
            };
        }
        match &self.charge {
            Charge::Expected | Charge::Pending { .. } => vec![Event::RefundPending { id, amount }],
            Charge::Voided | Charge::Failed { .. } => {
                vec![refund_failed(id, amount, NOT_CAPTURED.0, NOT_CAPTURED.1)]
            }
            Charge::Captured { .. } => match (answer, self.objection(amount)) {
                // Done is done, whatever we think of it.
                (Some(Answer::Done { reference, amount }), _) => {
                    vec![Event::Refunded { id, amount, reference }]
                }
                (Some(Answer::Refused { code, detail }), _) => {
                    vec![refund_failed(id, amount, &code, &detail)]
                }
                (Some(Answer::Unknown), _) => vec![Event::RefundPending { id, amount }],
                (Some(Answer::NeverSeen) | None, Some((code, detail))) => {
                    vec![refund_failed(id, amount, code, detail)]
                }
                (Some(Answer::NeverSeen) | None, None) => vec![Event::RefundPending { id, amount }],
            },
        }
    }

    fn refund_answered(&self, id: RefundId, answer: Answer) -> Vec<Event> {
        let Some(refund) = self.refund(id) else { return Vec::new() };
        match (answer, &refund.state) {
            (Answer::Done { .. }, RefundState::Done { .. }) => Vec::new(),
            (Answer::Done { reference, amount }, _) => vec![Event::Refunded { id, amount, reference }],
            (Answer::Refused { code, detail }, RefundState::Open) => {
                vec![refund_failed(id, refund.amount, &code, &detail)]
            }
            (Answer::Refused { .. } | Answer::NeverSeen | Answer::Unknown, _) => Vec::new(),
        }
    }

    /// Why a new refund of this much is not possible.
    fn objection(&self, amount: Money) -> Option<(&'static str, &'static str)> {
        match &self.charge {
            Charge::Captured { amount: captured, .. } => {
                objection(amount, *captured, captured.amount().saturating_sub(self.committed_to_refunds()))
            }
            _ => Some(NOT_CAPTURED),
        }
    }
}

const NOT_CAPTURED: (&str, &str) = ("not_captured", "no money was taken for this order");

fn objection(amount: Money, captured: Money, left: i64) -> Option<(&'static str, &'static str)> {
    if amount.currency() != captured.currency() {
        Some(("currency_mismatch", "the charge was in another currency"))
    } else if amount.amount() <= 0 {
        Some(("invalid_amount", "a refund is a positive amount"))
    } else if amount.amount() > left {
        Some(("exceeds_captured", "more than what is left of the charge"))
    } else {
        None
    }
}

fn refund_failed(id: RefundId, amount: Money, code: &str, detail: &str) -> Event {
    Event::RefundFailed { id, amount, code: code.to_owned(), detail: detail.to_owned() }
}
