//! Letters on their way to their service's topic: copies of what consumers could not handle, for those who watch topics.
//!
//! A letter is a row in the service's database first; that is what counts, and what a redrive works with. Rows that are not
//! published as they are now are looked for, sent, and marked when the brokers have acknowledged them. Every replica does
//! that, so a letter may come twice, with the same `dlq_id`. While the brokers are away, rows wait. One that has gone back
//! and was handled meanwhile is not published any more.

mod post;
mod wire;

use std::{sync::Arc, time::Duration};

use metrics::counter;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use sqlx::PgPool;
use tokio::{
    sync::watch,
    time::{Instant, error::Elapsed, sleep, timeout},
};
use viscount_contracts::DeadLetterTopic;

use self::post::Post;
use super::{Inner, topics};
use crate::{dead_letters, log::LogError};

/// How often it is looked for letters.
const LOOK: Duration = Duration::from_secs(1);
/// How many of each sort are sent at once: they may be large.
const AT_ONCE: usize = 16;
/// How long the database may take for one answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How often the same trouble is told.
const TELL: Duration = Duration::from_secs(30);

/// Why letters have to wait.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// The rows cannot be read, or marked.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// Nor that.
    #[error("the database did not answer in time")]
    Late(#[from] Elapsed),
    /// The topic cannot be asked for.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The brokers do not take them.
    #[error("the brokers: {0}")]
    Kafka(#[from] KafkaError),
}

/// Publishes what is found in this database until it is asked to stop.
pub(super) async fn run(
    inner: Arc<Inner>,
    pool: PgPool,
    topic: DeadLetterTopic,
    mut stop: watch::Receiver<bool>,
) {
    // At the beginning, the tables may not be there yet.
    let mut told = Instant::now();
    let mut post = None;
    let mut is_more = false;
    loop {
        let pause = if is_more { Duration::ZERO } else { LOOK.mul_f64(rand::random_range(0.8..1.2)) };
        let round = async {
            sleep(pause).await;
            round(&inner, &pool, topic, &mut post).await
        };
        let outcome = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            outcome = round => outcome,
        };
        is_more = matches!(outcome, Ok(true));
        if let Err(trouble) = outcome {
            if told.elapsed() >= TELL {
                told = Instant::now();
                tracing::warn!(topic = topic.name(), error = %trouble, "letters wait for their topic");
            }
            end(&inner, post.take()).await;
        }
    }
    end(&inner, post).await;
}

/// Sends what there is, and waits until it has arrived. True when there may be more.
async fn round(
    inner: &Arc<Inner>,
    pool: &PgPool,
    topic: DeadLetterTopic,
    post: &mut Option<Post>,
) -> Result<bool, Trouble> {
    let letters = timeout(ANSWER, dead_letters::unpublished(pool, AT_ONCE)).await??;
    if letters.is_empty() {
        return Ok(false);
    }
    let post = match post {
        Some(post) => post,
        None => {
            topics::ensure(inner, topic).await?;
            post.insert(Post::open(inner, topic)?)
        }
    };
    let is_more = letters.len() >= AT_ONCE;
    let sent: Vec<_> = letters.iter().map(|letter| post.send(wire::outgoing(letter))).collect();
    let mut refused = None;
    for (letter, receipt) in letters.iter().zip(sent) {
        let arrived = match receipt {
            Ok(receipt) => receipt.arrived().await,
            Err(error) => Err(error),
        };
        match arrived {
            Ok(()) => {
                counter!(crate::metrics::DEAD_LETTERS_PUBLISHED_TOTAL, "topic" => topic.name()).increment(1)
            }
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)) => {
                counter!(crate::metrics::DEAD_LETTERS_NOT_PUBLISHED_TOTAL, "topic" => topic.name())
                    .increment(1);
                let (consumer, id) = (letter.consumer(), letter.id());
                tracing::error!(topic = topic.name(), consumer, %id, "a letter is too large for its topic; only its row has it");
            }
            Err(error) => {
                refused.get_or_insert(error);
                continue;
            }
        }
        timeout(ANSWER, dead_letters::note_published(pool, letter)).await??;
    }
    match refused {
        Some(error) => Err(error.into()),
        None => Ok(is_more),
    }
}

async fn end(inner: &Inner, post: Option<Post>) {
    if let Some(post) = post {
        post.close(inner).await;
    }
}
