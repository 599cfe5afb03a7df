//! `viscount events tail`: a topic's events, as they are and as they come.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use sqlx::PgPool;
use viscount_chassis::{config::Env, masking::masked_json, store::EventStore};
use viscount_contracts::Envelope;

use crate::{
    cli::{Decode, EventsCommand},
    failure::Failure,
    home::Home,
    stack::{Attached, Part},
};

const PAGE: i64 = 500;
const LOOK: Duration = Duration::from_millis(200);

/// Runs until the end, or until Ctrl-C.
pub async fn run(command: EventsCommand, env: &Env) -> Result<(), Failure> {
    let EventsCommand::Tail { topic, from, key, decode, once } = command;
    let home = Home::open(env)?;
    let attached = Attached::open(env, &home).await?;
    let pool = PgPool::connect(&attached.url(Part::publishing(topic))).await?;
    let tail = tail(EventStore::new(topic, pool), from, once, |event| {
        if key.is_none_or(|key| key == event.key) { print(event, decode) } else { Ok(()) }
    });
    let outcome = tokio::select! {
        outcome = tail => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    attached.close().await?;
    outcome
}

async fn tail(
    store: EventStore,
    from: i64,
    once: bool,
    mut show: impl FnMut(&Envelope) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut position = from;
    loop {
        let events = store.log(position, PAGE).await?;
        for event in &events {
            position = event.position;
            match show(event) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(Failure::doing("standard output", error)),
            }
        }
        match events.is_empty() {
            true if once => return Ok(()),
            true => tokio::time::sleep(LOOK).await,
            false => {}
        }
    }
}

fn print(event: &Envelope, decode: Decode) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Envelope { position, occurred_at, key, version, kind, .. } = event;
    write!(out, "{position} {occurred_at} {key} v{version} {kind}")?;
    if let Decode::Json = decode {
        let data = masked_json(event).unwrap_or_default();
        write!(out, " {data}")?;
    }
    writeln!(out)
}
