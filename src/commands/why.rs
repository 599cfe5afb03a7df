//! `viscount why <order>`: what it waits for, what could explain that it does not come, and what has happened so far.

use std::fmt::Write;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use viscount_chassis::config::Env;

use super::ops::{OpsClient, OpsError};
use crate::{cli::WhyArgs, failure::Failure};

/// What is printed of the answer.
#[derive(Debug, Deserialize)]
struct Why {
    order_id: String,
    status: String,
    finished: bool,
    trace_id: Option<String>,
    waits_for: Option<WaitsFor>,
    causes: Vec<Cause>,
    timeline: Vec<Moment>,
}

#[derive(Debug, Deserialize)]
struct WaitsFor {
    words: String,
    since: Timestamp,
    until: Option<Timestamp>,
    seconds: f64,
}

#[derive(Debug, Deserialize)]
struct Cause {
    kind: String,
    service: String,
    instance: Option<String>,
    detail: String,
    since: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Moment {
    at: Timestamp,
    service: String,
    #[serde(rename = "type")]
    kind: String,
    version: i32,
}

/// Asks and prints.
pub async fn run(args: &WhyArgs, env: &Env) -> Result<(), Failure> {
    let client = OpsClient::open(&args.ops, env)?;
    let path = format!("/v1/ops/orders/{}/why", args.order);
    let answer = match client.get::<Value>(&path, &[]).await {
        Err(OpsError::NotFound(_)) => {
            return Err(Failure::Other(format!("nobody knows of an order {}", args.order)));
        }
        asked => asked?,
    };
    if args.json {
        println!("{answer:#}");
        return Ok(());
    }
    let why: Why = serde_json::from_value(answer)
        .map_err(|error| Failure::Other(format!("the answer cannot be read: {error}")))?;
    print!("{}", told(&why));
    Ok(())
}

fn told(why: &Why) -> String {
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _ = lines(why, &mut out);
    out
}

fn lines(why: &Why, out: &mut String) -> std::fmt::Result {
    write!(out, "order {} is {}", why.order_id, why.status)?;
    match &why.waits_for {
        Some(wait) => writeln!(out, ", and waits for {}", wait.words)?,
        None if why.finished => writeln!(out, " and finished: nothing more will happen by itself")?,
        None => writeln!(out)?,
    }
    if let Some(wait) = &why.waits_for {
        write!(out, "  since {:.3} ({})", wait.since, span(wait.seconds))?;
        match wait.until {
            Some(until) => writeln!(out, ", cancels itself at {until:.0}")?,
            None => writeln!(out)?,
        }
    }
    if let Some(trace) = &why.trace_id {
        writeln!(out, "  trace {trace}")?;
    }
    if !why.causes.is_empty() {
        writeln!(out, "\nwhat could explain it, the most certain first")?;
    }
    for Cause { kind, service, instance, detail, since } in &why.causes {
        let place =
            instance.as_ref().map_or_else(|| service.clone(), |instance| format!("{service} ({instance})"));
        write!(out, "  {kind}  {place}")?;
        match since {
            Some(since) => writeln!(out, "  since {since:.3}")?,
            None => writeln!(out)?,
        }
        writeln!(out, "    {}", printable(detail))?;
    }
    if !why.timeline.is_empty() {
        writeln!(out, "\nwhat happened")?;
    }
    for Moment { at, service, kind, version } in &why.timeline {
        writeln!(out, "  {at:.3}  {service:<9}  {:<24} version {version}", printable(kind))?;
    }
    Ok(())
}

/// Errors may hold what somebody else has written: nothing of it moves the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

fn span(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_told_for_people() {
        let why: Why = serde_json::from_value(json!({
            "order_id": "0198", "status": "created", "finished": false, "trace_id": "4bf9",
            "waits_for": {
                "what": "stock_reservation", "words": "inventory to reserve its lines", "service": "inventory",
                "since": "2026-01-02T03:04:05.678Z", "until": "2026-01-02T03:19:05Z", "seconds": 75.2,
            },
            "causes": [{
                "kind": "dead_letter", "service": "inventory", "instance": "127.0.0.1:8083",
                "detail": "inventory has given up OrderCreated: \u{1b}[2Jno", "since": "2026-01-02T03:04:06Z",
                "evidence": {},
            }],
            "timeline": [{
                "at": "2026-01-02T03:04:05.678Z", "service": "orders", "type": "OrderCreated", "version": 1,
                "event_id": "0198",
            }],
        }))
        .unwrap();
        assert_eq!(
            told(&why),
            "order 0198 is created, and waits for inventory to reserve its lines
  since 2026-01-02T03:04:05.678Z (1 min 15 s), cancels itself at 2026-01-02T03:19:05Z
  trace 4bf9

what could explain it, the most certain first
  dead_letter  inventory (127.0.0.1:8083)  since 2026-01-02T03:04:06.000Z
    inventory has given up OrderCreated:  [2Jno

what happened
  2026-01-02T03:04:05.678Z  orders     OrderCreated             version 1
"
        );
    }

    #[test]
    fn a_finished_order_is_told_as_finished() {
        let why = json!({
            "order_id": "0198", "status": "completed", "finished": true, "causes": [], "timeline": [],
        });
        let why: Why = serde_json::from_value(why).unwrap();
        assert_eq!(told(&why), "order 0198 is completed and finished: nothing more will happen by itself\n");
    }
}
