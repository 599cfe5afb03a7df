//! Waits for the provider's answer that a webhook may end early.
//!
//! Only a hint, in memory: it shortens a wait of this process. A webhook's effect does not depend on it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::Answer;

type Waits = Arc<Mutex<HashMap<Uuid, watch::Sender<Option<Answer>>>>>;

/// The questions that somebody waits for right now, by idempotency key. Cheap to clone.
#[derive(Clone, Default)]
pub struct EarlyAnswers {
    waits: Waits,
}

/// One wait; ends when dropped.
pub struct Wait {
    key: Uuid,
    waits: Waits,
    told: watch::Receiver<Option<Answer>>,
}

impl EarlyAnswers {
    /// Begins to wait for what is told under this key. There is one asker per key: the entity that owns it.
    pub fn wait(&self, key: Uuid) -> Wait {
        let (tell, told) = watch::channel(None);
        self.waits.lock().insert(key, tell);
        Wait { key, waits: self.waits.clone(), told }
    }

    /// Tells whoever waits for this key. Nobody may.
    pub fn tell(&self, key: Uuid, answer: &Answer) {
        if let Some(wait) = self.waits.lock().get(&key) {
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
        self.waits.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_and_nothing_is_left_behind() {
        let answers = EarlyAnswers::default();
        let key = Uuid::now_v7();
        answers.tell(key, &Answer::Unknown);
        let mut wait = answers.wait(key);
        let refused = Answer::Refused { code: "no".into(), detail: String::new() };
        answers.tell(key, &refused);
        assert_eq!(wait.told().await, refused);
        drop(wait);
        assert!(answers.waits.lock().is_empty());
    }
}
