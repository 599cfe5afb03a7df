//! Requests of a replay: each is made until its answer is clear, under one key, and written down.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::{
    client::{
        customers::Customers,
        pool::Pool,
        wire::{Answer, Ask, LONGEST_PAUSE},
    },
    measure::recorder::{Outcome, Recorder},
    stop::Stop,
};

/// How often a request is made.
const TRIES: u32 = 12;
/// The pause when an answer is missing, or does not say when to come again; doubles.
const PAUSE: Duration = Duration::from_millis(100);

/// Makes requests for customers.
#[derive(Clone)]
pub struct Sender {
    /// The connections.
    pub pool: Rc<Pool>,
    /// Whose tokens.
    pub customers: Customers,
    /// Where it is written down, when it is part of the load.
    pub recorder: Option<Rc<Recorder>>,
    /// Whether to end early.
    pub stop: Stop,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
}

impl Sender {
    /// The first clear answer, or why there is none. `intended`: when the request was meant to be made.
    pub async fn ask(
        &self,
        operation: &'static str,
        account: usize,
        ask: Ask<'_>,
        intended: Option<Instant>,
    ) -> Result<Answer, String> {
        let mut intended = intended;
        let (mut pause, mut renewed) = (PAUSE, false);
        let mut last = String::new();
        for _ in 0..TRIES {
            let mut ask = ask.clone();
            ask.bearer = self.customers.bearer(account);
            let bearer = ask.bearer.clone();
            let sent = Instant::now();
            let meant = intended.take().unwrap_or(sent);
            let mut wait = None;
            match self.pool.ask(ask).await {
                Ok(answer) if answer.status.is_success() => {
                    self.record(operation, meant, sent, Outcome::Good(answer.status.as_u16()));
                    return Ok(answer);
                }
                Ok(answer) => {
                    let (status, kind) = (answer.status.as_u16(), kind(&answer));
                    if status == 401
                        && !renewed
                        && let Some(bearer) = bearer
                    {
                        renewed = true;
                        // When it fails, the next try says so.
                        let _ = self.customers.renew(account, &bearer).await;
                        continue;
                    }
                    let retry_after = answer.retry_after();
                    self.record(
                        operation,
                        meant,
                        sent,
                        Outcome::Problem { status, kind: &kind, retry_after },
                    );
                    let unclear = kind == "/problems/idempotency-key-in-use"
                        || matches!(status, 429 | 500 | 502 | 503 | 504);
                    if !unclear {
                        return Ok(answer);
                    }
                    wait = retry_after;
                    last = format!("{status} {kind}");
                }
                Err(error) => {
                    self.record(operation, meant, sent, Outcome::Broken(&error.reason()));
                    last = error.reason();
                }
            }
            let wait = tokio::time::sleep(wait.unwrap_or(pause).min(LONGEST_PAUSE));
            if self.stop.or(wait).await.is_none() {
                break;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(last)
    }

    fn record(&self, operation: &'static str, intended: Instant, sent: Instant, outcome: Outcome<'_>) {
        if let Some(recorder) = &self.recorder {
            recorder.request(operation, intended, sent, outcome);
        }
    }
}

/// The problem's type.
pub fn kind(answer: &Answer) -> String {
    let problem: Result<Problem, _> = serde_json::from_slice(&answer.body);
    problem.map_or_else(|_| "without a problem document".to_owned(), |problem| problem.kind)
}
