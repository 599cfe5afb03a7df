//! `viscount events tail`: a topic's events, as they are and as they come, from the database of
//! their publisher or from the brokers.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use sqlx::PgPool;
use viscount_chassis::{config::Env, masking::masked_json, store::EventStore};
use viscount_contracts::Envelope;

use crate::{
    cli::{Decode, EventSource, TailArgs},
    failure::Failure,
    home::Home,
    stack::{Attached, Part},
};

const PAGE: i64 = 500;
const LOOK: Duration = Duration::from_millis(200);

/// Runs until the end, or until Ctrl-C.
pub async fn run(args: TailArgs, env: &Env) -> Result<(), Failure> {
    let home = Home::open(env)?;
    let attached = Attached::open(env, &home).await?;
    let pool = PgPool::connect(&attached.url(Part::publishing(args.topic))).await?;
    let store = EventStore::new(args.topic, pool.clone());
    let tail = async {
        match args.source {
            EventSource::Store => tail(&args, &store).await,
            #[cfg(feature = "kafka")]
            EventSource::Broker => super::broker::tail(&args, &store, &pool, env).await,
            #[cfg(not(feature = "kafka"))]
            EventSource::Broker => Err(Failure::Usage(
                "--source broker: this program was built without the feature kafka".to_owned(),
            )),
        }
    };
    let outcome = tokio::select! {
        outcome = tail => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    pool.close().await;
    attached.close().await?;
    outcome
}

async fn tail(args: &TailArgs, store: &EventStore) -> Result<(), Failure> {
    let mut position = args.from.behind(store).await?;
    loop {
        let events = store.log(position, PAGE).await?;
        for event in &events {
            position = event.position;
            if !show(args, event)? {
                return Ok(());
            }
        }
        match events.is_empty() {
            true if args.once => return Ok(()),
            true => tokio::time::sleep(LOOK).await,
            false => {}
        }
    }
}

/// Prints an event, unless it is of another key; false when nobody reads any more.
pub fn show(args: &TailArgs, event: &Envelope) -> Result<bool, Failure> {
    if args.key.is_some_and(|key| key != event.key) {
        return Ok(true);
    }
    match print(event, args.decode) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::doing("standard output", error)),
    }
}

fn print(event: &Envelope, decode: Decode) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Envelope { position, occurred_at, key, version, kind, .. } = event;
    match decode {
        Decode::Raw => writeln!(out, "{}", raw(event)),
        Decode::None => writeln!(out, "{position} {occurred_at} {key} v{version} {kind}"),
        Decode::Json => {
            let data = masked_json(event).unwrap_or_default();
            writeln!(out, "{position} {occurred_at} {key} v{version} {kind} {data}")
        }
    }
}

/// The event in the JSON event format of CloudEvents 1.0, its bytes as they are.
fn raw(event: &Envelope) -> Value {
    let mut told = json!({
        "specversion": "1.0",
        "id": event.id,
        "source": event.topic,
        "type": event.kind,
        "time": event.occurred_at,
        "subject": event.key,
        "version": event.version,
        "position": event.position,
        "datacontenttype": "application/protobuf",
        "data_base64": BASE64.encode(&event.data),
    });
    if let Some(trace) = &event.traceparent {
        told["traceparent"] = trace.as_str().into();
    }
    told
}
