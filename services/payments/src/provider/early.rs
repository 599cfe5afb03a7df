//! Waits for the provider's answer that a webhook may end early.
//!
//! Only a hint, in memory: it shortens a wait of this process. A webhook's effect does not depend on it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;
use viscount_contracts::OrderId;

use crate::domain::{Answer, CallId};

/// Which call of which order. Not its idempotency key: the refund that an order asks for by itself has the order's own
/// id, which is the key of its charge as well.
type Question = (OrderId, CallId);
type Waits = Arc<Mutex<HashMap<Question, watch::Sender<Option<Answer>>>>>;

/// The questions that somebody waits for right now. Cheap to clone.
#[derive(Clone, Default)]
pub struct EarlyAnswers {
    waits: Waits,
}

/// One wait; ends when dropped.
pub struct Wait {
    question: Question,
    waits: Waits,
    told: watch::Receiver<Option<Answer>>,
}

impl EarlyAnswers {
    /// Begins to wait for what is told of this call. There is one asker: the entity that owns it.
    pub fn wait(&self, order: OrderId, call: CallId) -> Wait {
        let (tell, told) = watch::channel(None);
        let question = (order, call);
        self.waits.lock().insert(question, tell);
        Wait { question, waits: self.waits.clone(), told }
    }

    /// Tells whoever waits for this call. Nobody may.
    pub fn tell(&self, order: OrderId, call: CallId, answer: &Answer) {
        if let Some(wait) = self.waits.lock().get(&(order, call)) {
            wait.send_replace(Some(answer.clone()));
        }
    }
}

impl Wait {
    /// What was told; waits for ever when nothing is.
    pub async fn told(&mut self) -> Answer {
        if let Ok(answer) = self.told.wait_for(Option::is_some).await
            && let Some(answer) = answer.clone()
        {
            return answer;
        }
        std::future::pending().await
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waits.lock().remove(&self.question);
    }
}

#[cfg(test)]
mod tests {
    use viscount_contracts::RefundId;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_and_nothing_is_left_behind() {
        let answers = EarlyAnswers::default();
        let order = OrderId::new();
        answers.tell(order, CallId::Charge, &Answer::Unknown);
        let mut wait = answers.wait(order, CallId::Charge);
        let refused = Answer::Refused { code: "no".into(), detail: String::new() };
        answers.tell(order, CallId::Charge, &refused);
        assert_eq!(wait.told().await, refused);
        drop(wait);
        assert!(answers.waits.lock().is_empty());
    }

    /// An order that ended before it was paid asks for its money back with its own id. A late webhook of the charge once
    /// passed for the answer to that: the money was said to be back, by the charge's reference.
    #[tokio::test(start_paused = true)]
    async fn the_charges_webhook_is_no_answer_to_the_refund_that_has_the_orders_id() {
        let answers = EarlyAnswers::default();
        let order = OrderId::new();
        let refund = CallId::Refund(RefundId::from(order.uuid()));
        let mut wait = answers.wait(order, refund);
        answers.tell(order, CallId::Charge, &Answer::Unknown);
        let refused = Answer::Refused { code: "no".into(), detail: String::new() };
        answers.tell(order, refund, &refused);
        assert_eq!(wait.told().await, refused);
        assert_eq!(refund.key(order), CallId::Charge.key(order), "which is why keys do not tell them apart");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_of_another_call_wakes_nobody() {
        let answers = EarlyAnswers::default();
        let order = OrderId::new();
        let mut wait = answers.wait(order, CallId::Refund(RefundId::from(order.uuid())));
        answers.tell(order, CallId::Charge, &Answer::Unknown);
        let told = tokio::time::timeout(std::time::Duration::from_secs(60), wait.told()).await;
        assert!(told.is_err(), "{told:?}");
    }
}
