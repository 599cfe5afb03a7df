//! Carries steps out when they are due.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{sleep, sleep_until},
};

use super::{Body, Fate, Happened, Log, Outcome};
use crate::{
    clients::Stop,
    experiment::{APART, Action, Provider, Step},
    proxy::Weather,
};

/// How long a part may take until it is back.
const BACK: Duration = Duration::from_secs(60);

/// What came of a step, and what there is to say of it.
type Told = (Outcome, String);

/// Carries the steps out, each at its time after now, and waits for the last one. `stop` begins no more, and undoes what
/// lasts. Gives what happened, by begin; what was left out because of `stop` is not among it, and neither is what had to
/// wait for its part's turn until then.
///
/// # Errors
/// When what happened cannot be written down. Everything was undone all the same.
pub async fn carry_out<B: Body>(
    steps: &[Step],
    body: &Arc<B>,
    log: &Arc<Log>,
    stop: &Stop,
) -> io::Result<Vec<Happened>> {
    let begun = tokio::time::Instant::now();
    let mut turns = Turns::default();
    let mut tasks = JoinSet::new();
    for step in steps {
        if stop.is_asked() || stop.or(sleep_until(begun + step.at)).await.is_none() {
            break;
        }
        let turns = turns.of(step);
        let (step, body, log, stop) = (step.clone(), body.clone(), log.clone(), stop.clone());
        tasks.spawn(async move {
            let mut held = Vec::new();
            for turn in &turns {
                held.push(turn.lock().await);
            }
            if stop.is_asked() {
                return Ok(None);
            }
            let at = Timestamp::now();
            let seconds = begun.elapsed().as_secs_f64();
            let (result, note) = match carry(&*body, &step, &stop).await {
                Ok(told) => told,
                Err(why) => (Outcome::Failed, why),
            };
            let happened = Happened {
                at: seconds,
                until: begun.elapsed().as_secs_f64(),
                begun: at,
                ended: Timestamp::now(),
                fault: step.fault,
                done: step.action.name().to_owned(),
                target: step.action.target().to_owned(),
                what: step.action.words(),
                result,
                note,
            };
            log.write(&happened)?;
            // However long it took: it is left alone for a moment.
            if step.action.holds().is_some() {
                let _ = stop.or(sleep(APART)).await;
            }
            Ok(Some(happened))
        });
    }
    let mut all = Vec::new();
    let mut outcome = Ok(());
    while let Some(task) = tasks.join_next().await {
        match task.map_err(io::Error::other).flatten() {
            Ok(happened) => all.extend(happened),
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    outcome?;
    all.sort_by(|one: &Happened, other| one.at.total_cmp(&other.at));
    Ok(all)
}

/// Who goes first: one at a time, each in its turn.
#[derive(Default)]
struct Turns(HashMap<String, Arc<Mutex<()>>>);

impl Turns {
    /// What a step has to wait for, the fault's own turn first.
    fn of(&mut self, step: &Step) -> Vec<Arc<Mutex<()>>> {
        let fault = step.one_at_a_time.then(|| format!("fault {}", step.fault));
        // A part that takes longer to come back than it was planned is not met again before it has.
        let part = step.action.holds().unwrap_or_else(|| format!("{} {}", step.action.name(), step.fault));
        fault.into_iter().chain([part]).map(|name| self.0.entry(name).or_default().clone()).collect()
    }
}

async fn carry<B: Body>(body: &B, step: &Step, stop: &Stop) -> Result<Told, String> {
    let hold = async |hold: &Duration| {
        // Stopped or over: it is undone now.
        let _ = stop.or(sleep(*hold)).await;
    };
    let back = async |part: &str, down: &Duration| {
        hold(down).await;
        let starts = body.start(part, BACK).await?;
        if step.one_at_a_time {
            body.until_in_sync(part, BACK).await?;
        }
        Ok::<_, String>(match starts {
            0 | 1 => String::new(),
            _ => format!("it took {starts} starts"),
        })
    };
    let note = match &step.action {
        Action::Kill { part, down } => {
            let killed = body.kill(part).await;
            let back = back(part, down).await?;
            killed.map(|()| back)?
        }
        Action::Restart { part, down } => {
            let asked = body.terminate(part).await;
            let back = back(part, down).await?;
            // Whoever does not end in time is killed; it has to be back all the same, and it is said.
            asked.map(|()| back)?
        }
        Action::RestartPostgres { down } => {
            let quit = body.quit("postgres").await;
            let back = back("postgres", down).await?;
            quit.map(|()| back)?
        }
        Action::Pause { part, hold: length } => {
            let (pause, resume) = (async { body.pause(part) }, async { body.resume(part) });
            lasting(pause, hold(length), resume).await?;
            String::new()
        }
        Action::Failpoint { part, point, passes, within } => {
            return failpoint(body, part, point, *passes, *within, stop).await;
        }
        Action::Weather { link, weather, hold: length } => {
            let turns = async { body.weather(link, *weather) };
            lasting(turns, hold(length), async { body.weather(link, Weather::Clear) }).await?;
            String::new()
        }
        Action::Cut { link } => {
            body.cut(link)?;
            String::new()
        }
        Action::DiskFull { part, hold: length } => {
            let filled = lasting(body.fill(part, true), hold(length), body.fill(part, false)).await;
            // A database server that could not write may have given up.
            let starts = body.start(part, BACK).await;
            filled?;
            match starts? {
                0 => String::new(),
                starts => format!("it had ended, and took {starts} starts"),
            }
        }
        Action::Clock { part, shift, hold: length } => {
            lasting(body.clock(part, *shift), hold(length), body.clock(part, 0)).await?;
            String::new()
        }
        Action::RepeatEvents { topics, copies, seed } => {
            let messages = body.repeat(topics, *copies, *seed).await?;
            format!("{messages} messages")
        }
        Action::Poison { topic, kind, count, seed } => {
            body.poison(topic, *kind, *count, *seed).await?;
            String::new()
        }
        Action::RefuseRows { rows, hold: length } => {
            lasting(body.refuse(rows, true), hold(length), body.refuse(rows, false)).await?;
            String::new()
        }
        Action::Provider { provider, hold: length } => {
            let behaves = body.provider(Provider::default());
            lasting(body.provider(*provider), hold(length), behaves).await?;
            String::new()
        }
        Action::Faults { service, fault, hold: length } => {
            let id = format!("chaos-{}-{}", step.fault, step.at.as_millis());
            let (set, gone) = (body.fault(service, &id, Some(fault)), body.fault(service, &id, None));
            lasting(set, hold(length), gone).await?;
            String::new()
        }
    };
    Ok((Outcome::Done, note))
}

/// Begins, holds and undoes, also what has failed: half of it may have happened. The first error is told.
async fn lasting(
    begin: impl Future<Output = Result<(), String>>,
    hold: impl Future<Output = ()>,
    undo: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    let begun = begin.await;
    if begun.is_ok() {
        hold.await;
    }
    let undone = undo.await;
    begun.and(undone)
}

/// The process starts armed, dies at its point, and starts clean. The point is disarmed whatever happens.
async fn failpoint<B: Body>(
    body: &B,
    part: &str,
    point: &str,
    passes: u32,
    within: Duration,
    stop: &Stop,
) -> Result<Told, String> {
    let armed = match passes {
        0 => format!("{point}=return"),
        _ => format!("{point}={passes}*off->return"),
    };
    body.arm(part, Some(armed))?;
    let launched = match body.kill(part).await {
        Ok(()) => body.launch(part).await,
        refused => refused,
    };
    let fate = match launched {
        Ok(()) => stop.or(body.until_died(part, within)).await.unwrap_or(Ok(Fate::Lives)),
        Err(why) => Err(why),
    };
    body.arm(part, None)?;
    let killed = match fate {
        Ok(Fate::Died) => Ok(()),
        _ => body.kill(part).await,
    };
    body.start(part, BACK).await?;
    let fate = fate?;
    killed?;
    Ok(match fate {
        Fate::Died => (Outcome::Done, String::new()),
        Fate::Lives => (Outcome::NotHit, format!("nothing passed {point} in time")),
    })
}
