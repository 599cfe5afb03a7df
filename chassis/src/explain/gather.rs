//! Asking for the evidence: every source at once, each within its time. A source that does not answer is a note.

use std::future::Future;

use futures_util::future::join_all;
use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{PgPool, Row, postgres::PgRow};
use tokio::time::timeout;
use uuid::Uuid;
use viscount_contracts::Topic;

use super::{
    BreakerEvidence, ConsumerEvidence, Explain, Explanation, Inner, Note, PATIENCE, Parked, RelayEvidence,
};
use crate::{
    log::{LogError, Member, Standing},
    resilience::BreakerState,
};

/// From which age on an unpublished event means that publishing has stalled, in seconds.
const STALLED: f64 = 5.0;

impl Explain {
    /// What this process can say of itself without its port: all but the actors.
    pub async fn explanation(&self, service: &str, key: Uuid) -> Explanation {
        let mut explanation = Explanation { service: service.to_owned(), ..Explanation::default() };
        self.about(key, &mut explanation).await;
        explanation
    }

    /// All but the actors, which the port knows.
    pub(crate) async fn about(&self, key: Uuid, into: &mut Explanation) {
        let inner = &*self.inner;
        let standings = join_all(inner.reads.iter().map(|topic| inner.standing(*topic, key)));
        let (standings, parked, relay, log, notes) = futures_util::join!(
            standings,
            within(parked(&inner.pool, inner.consumer, key)),
            within(inner.relay()),
            timeout(PATIENCE, inner.log.check()),
            inner.notes(key),
        );
        let mut parked = match parked {
            Ok(parked) => parked,
            Err(problem) => {
                into.notes.push(unknown("dead letters", &problem));
                Vec::new()
            }
        };
        for (topic, standing) in inner.reads.iter().zip(standings) {
            let letters = parked.iter().position(|(of, _)| of == topic.name());
            let letters = letters.map(|at| parked.swap_remove(at).1);
            match standing {
                Ok(standing) => into.consumers.push(consumer(*topic, &standing, letters)),
                Err(problem) => {
                    into.notes.push(unknown(&format!("the lag of {topic}"), &problem));
                    if letters.is_some() {
                        let nothing = Standing { partition: 0, behind: 0, oldest: None };
                        into.consumers.push(consumer(*topic, &nothing, letters));
                    }
                }
            }
        }
        into.breakers = inner.breakers();
        match relay {
            Ok(relay) => into.relay = relay,
            Err(problem) => into.notes.push(unknown("publishing", &problem)),
        }
        if let Ok(Err(problem)) = log {
            into.notes.push(Note::new("events_unavailable", problem));
        }
        match notes {
            Ok(notes) => into.notes.extend(notes),
            Err(problem) => into.notes.push(unknown("what the service knows", &problem)),
        }
    }
}

impl Inner {
    async fn standing(&self, topic: Topic, key: Uuid) -> Result<Standing, String> {
        let member = Member { consumer: self.consumer, topic, pool: self.pool.clone() };
        let asked = timeout(PATIENCE, self.log.standing(member, key)).await;
        asked
            .unwrap_or_else(|_| Err(LogError::Unavailable("no answer in time".to_owned())))
            .map_err(|e| e.to_string())
    }

    fn breakers(&self) -> Vec<BreakerEvidence> {
        let state = |state| match state {
            BreakerState::Closed => "closed",
            BreakerState::HalfOpen => "half_open",
            BreakerState::Open => "open",
        };
        let each = self.breakers.iter();
        each.map(|(name, look)| BreakerEvidence { name: (*name).to_owned(), state: state(look()).to_owned() })
            .collect()
    }

    /// Without brokers, what is committed is published.
    async fn relay(&self) -> Result<Option<RelayEvidence>, sqlx::Error> {
        if !self.log.shares_work() {
            return Ok(Some(RelayEvidence { lag_events: 0, lag_seconds: 0.0, stalled: false }));
        }
        let row = sqlx::query(
            "select greatest(h.position - r.position, 0) as events,
                    coalesce((select extract(epoch from now() - e.occurred_at) from events e
                              where e.position = r.position + 1), 0)::float8 as seconds
             from log_head h, log_relay r",
        );
        let relay = row.try_map(|row: PgRow| Ok((row.try_get("events")?, row.try_get("seconds")?)));
        Ok(relay.fetch_optional(&self.pool).await?.map(|(lag_events, seconds): (i64, f64)| {
            let lag_seconds = seconds.max(0.0);
            RelayEvidence { lag_events, lag_seconds, stalled: lag_seconds > STALLED }
        }))
    }

    async fn notes(&self, key: Uuid) -> Result<Vec<Note>, String> {
        let Some(note) = &self.noting else { return Ok(Vec::new()) };
        let asking = async {
            let turn = self.asking.clone().acquire_owned().await.map_err(|closed| closed.to_string())?;
            let notes = note(self.pool.clone(), key);
            // Goes on when nobody waits any more, so that its connection is not given to the next one before it is free.
            let asked = tokio::spawn(async move {
                let notes = notes.await;
                drop(turn);
                notes
            });
            let notes = asked.await.map_err(|error| error.to_string())?;
            notes.map_err(|error| error.to_string())
        };
        timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }
}

async fn within<T>(asking: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, String> {
    match timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

fn unknown(what: &str, problem: &str) -> Note {
    Note::new("not_known", format!("{what} cannot be asked for: {problem}"))
}

fn consumer(topic: Topic, standing: &Standing, parked: Option<Parked>) -> ConsumerEvidence {
    let age = standing.oldest.map(|oldest| Timestamp::now().duration_since(oldest).as_secs_f64().max(0.0));
    ConsumerEvidence {
        topic: topic.name().to_owned(),
        partition: standing.partition,
        lag_events: standing.behind,
        lag_seconds: age.unwrap_or_default(),
        parked,
    }
}

/// For each topic, why events of the key are parked.
async fn parked(pool: &PgPool, consumer: &str, key: Uuid) -> Result<Vec<(String, Parked)>, sqlx::Error> {
    sqlx::query(
        "select distinct on (topic) topic, recorded_at, error, event_id, kind, state = 'redriving' as redriving,
                count(*) filter (where state = 'parked') over (partition by topic) as behind
         from dead_letters where consumer = $1 and key = $2 order by topic, position",
    )
    .bind(consumer)
    .bind(key)
    .try_map(|row: PgRow| {
        let parked = Parked {
            since: row.try_get::<SqlTimestamp, _>("recorded_at")?.to_jiff(),
            error: row.try_get("error")?,
            dead_letter_id: row.try_get("event_id")?,
            event: row.try_get("kind")?,
            behind: row.try_get("behind")?,
            redriving: row.try_get("redriving")?,
        };
        Ok((row.try_get("topic")?, parked))
    })
    .fetch_all(pool)
    .await
}
