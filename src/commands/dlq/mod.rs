//! `viscount dlq`: what consumers could not handle, and another try of it.
//!
//! It works on the databases, as `events tail` does: the platform may run or not. A redrive is marked there; the running
//! consumer takes it up, or the next one that starts.

mod diff;
mod show;

use std::{
    io::{self, Write as _},
    time::Duration,
};

use jiff::{SignedDuration, SpanRound, Timestamp, Unit};
use sqlx::PgPool;
use uuid::Uuid;
use viscount_chassis::{
    config::Env,
    dead_letters::{self, DeadLetter, Filter, Letter, State, UnreadableMessage},
};
use viscount_contracts::Topic;

use crate::{
    cli::{DlqCommand, DlqWhich},
    failure::Failure,
    home::Home,
    stack::{Attached, Part},
};

/// How many letters are read at once.
const PAGE: i64 = 200;
/// How long a database may take to be reached.
const CONNECT: Duration = Duration::from_secs(10);

/// The databases that have letters, one for each service.
struct Databases(Vec<(Topic, PgPool)>);

/// A letter, and where it was found.
struct Found {
    service: Topic,
    letter: DeadLetter,
}

/// Runs the command to its end.
pub async fn run(command: DlqCommand, env: &Env) -> Result<(), Failure> {
    let home = Home::open(env)?;
    let attached = Attached::open(env, &home).await?;
    let databases = Databases::open(&attached).await?;
    let outcome = match command {
        DlqCommand::List { service, consumer } => list(&databases, service, consumer).await,
        DlqCommand::Show { id, raw } => show::run(&databases, id, raw).await,
        DlqCommand::Diff { id } => diff::run(&databases, id).await,
        DlqCommand::Redrive { which, dry_run } => redrive(&databases, which, dry_run).await,
        DlqCommand::Discard { id, consumer } => discard(&databases, id, consumer).await,
    };
    databases.close().await;
    attached.close().await?;
    print(&outcome?)
}

/// All at once. Who looks at the first lines only has seen enough.
fn print(lines: &[String]) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{}", lines.join("\n")) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::doing("standard output", error))
        }
        _ => Ok(()),
    }
}

impl Databases {
    async fn open(attached: &Attached) -> Result<Self, Failure> {
        let mut pools = Vec::new();
        for topic in Topic::ALL {
            let opening = PgPool::connect_lazy(&attached.url(Part::publishing(topic)))?;
            tokio::time::timeout(CONNECT, opening.acquire())
                .await
                .map_err(|_| Failure::doing(topic.service(), "the database does not answer"))??;
            pools.push((topic, opening));
        }
        Ok(Self(pools))
    }

    /// The database of this service.
    fn of(&self, service: Topic) -> Result<&PgPool, Failure> {
        let found = self.0.iter().find(|(known, _)| *known == service);
        found.map(|(_, pool)| pool).ok_or_else(|| Failure::doing(service.service(), "has no database"))
    }

    /// All letters that are meant, service by service, oldest event first.
    async fn letters(&self, service: Option<Topic>, filter: Filter) -> Result<Vec<Found>, Failure> {
        let mut found = Vec::new();
        for (of, pool) in self.0.iter().filter(|(of, _)| service.is_none_or(|wanted| wanted == *of)) {
            let mut filter = filter.clone();
            loop {
                let page = dead_letters::list_all(pool, &filter, PAGE).await?;
                let Some(last) = page.last() else { break };
                filter.after = Some((last.id(), last.consumer().to_owned()));
                found.extend(page.into_iter().map(|letter| Found { service: *of, letter }));
            }
        }
        Ok(found)
    }

    /// One letter at each consumer that has it; a failure when nobody has.
    async fn find(&self, id: Uuid) -> Result<Vec<Found>, Failure> {
        let mut found = Vec::new();
        for (service, pool) in &self.0 {
            let letters = dead_letters::find_any(pool, id).await?;
            found.extend(letters.into_iter().map(|letter| Found { service: *service, letter }));
        }
        match found.is_empty() {
            true => Err(Failure::Other(format!("there is no dead letter {id}"))),
            false => Ok(found),
        }
    }

    async fn close(self) {
        for (_, pool) in self.0 {
            pool.close().await;
        }
    }
}

async fn list(
    databases: &Databases,
    service: Option<Topic>,
    consumer: Option<String>,
) -> Result<Vec<String>, Failure> {
    let letters = databases.letters(service, Filter { consumer, ..Filter::default() }).await?;
    let mut lines: Vec<String> = letters.iter().map(line).collect();
    lines.push(format!("{} dead letters", letters.len()));
    Ok(lines)
}

async fn redrive(databases: &Databases, which: DlqWhich, dry_run: bool) -> Result<Vec<String>, Failure> {
    let DlqWhich { id, key, consumer } = which;
    if let Some(id) = id {
        let found = databases.find(id).await?;
        if let Some(first) = found.iter().find_map(|found| found.letter.behind()) {
            return Err(Failure::Usage(format!("{id} is parked behind {first}; redrive that one")));
        }
    }
    let letters = databases.letters(None, Filter { id, key, consumer, after: None }).await?;
    if letters.is_empty() {
        return Err(Failure::Other("there is no such dead letter".to_owned()));
    }
    let (mut lines, mut back, mut parked) = (Vec::new(), 0, 0);
    for found in &letters {
        if dry_run || dead_letters::redrive_any(databases.of(found.service)?, &found.letter).await? {
            lines.push(line(found));
            back += 1;
            if let DeadLetter::Event(letter) = &found.letter {
                parked += letter.parked;
            }
        }
    }
    let would = if dry_run { "would go back" } else { "go back" };
    lines.push(format!("{back} dead letters {would}, and {parked} events parked behind them, in order"));
    Ok(lines)
}

/// Gives up for good what is dead.
async fn discard(databases: &Databases, id: Uuid, consumer: Option<String>) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for found in databases.find(id).await? {
        if consumer.as_ref().is_some_and(|wanted| wanted != found.letter.consumer()) {
            continue;
        }
        if let Some(first) = found.letter.behind() {
            return Err(Failure::Usage(format!(
                "{id} is parked behind {first}; it is handled when that one is gone"
            )));
        }
        if dead_letters::discard(databases.of(found.service)?, &found.letter).await? {
            lines.push(format!("{} is given up", line(&found)));
        } else if found.letter.state() == State::Redriving {
            return Err(Failure::Other(format!("{id} is on its way back")));
        }
    }
    match lines.is_empty() {
        true => Err(Failure::Other("there is no such dead letter".to_owned())),
        false => Ok(lines),
    }
}

/// One letter in a line.
fn line(found: &Found) -> String {
    match &found.letter {
        DeadLetter::Event(letter) => line_of_event(found.service, letter),
        DeadLetter::Unreadable(message) => line_of_message(found.service, message),
    }
}

fn line_of_message(service: Topic, message: &UnreadableMessage) -> String {
    let UnreadableMessage { id, topic, partition, offset, bytes, attempts, error, .. } = message;
    let state = if message.state == State::Redriving { " redriving" } else { "" };
    format!(
        "{id} {} <- {topic} partition {partition} offset {offset} unreadable{state}, {bytes} bytes, {attempts} attempts, {} old: {error}",
        of(service, &message.consumer),
        age(message.recorded_at),
    )
}

fn line_of_event(service: Topic, letter: &Letter) -> String {
    let Letter { id, key, version, kind, attempts, parked, error, topic, .. } = letter;
    let state = if letter.state == State::Redriving { " redriving" } else { "" };
    format!(
        "{id} {} <- {topic} {key} v{version} {kind}{state}, {attempts} attempts, {parked} parked, {} old: {error}",
        of(service, &letter.consumer),
        age(letter.recorded_at),
    )
}

/// The service, and the consumer when it is called otherwise.
fn of(service: Topic, consumer: &str) -> String {
    match service.service() {
        service if service == consumer => service.to_owned(),
        service => format!("{service}/{consumer}"),
    }
}

/// For people: `2d 3h`, to the second.
fn age(since: Timestamp) -> String {
    let age = Timestamp::now().duration_since(since).max(SignedDuration::ZERO);
    let whole = SignedDuration::from_secs(age.as_secs());
    let rounding = SpanRound::new().largest(Unit::Day).days_are_24_hours();
    jiff::Span::try_from(whole)
        .and_then(|span| span.round(rounding))
        .map_or_else(|_| format!("{}s", whole.as_secs()), |span| format!("{span:#}"))
}
