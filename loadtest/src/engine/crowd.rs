//! Streams that are held open while a phase's load goes on.

use std::rc::Rc;

use crate::{
    client::customers::{Customers, KeptLoggedIn},
    failure::Failure,
    journey::World,
    measure::{components::Components, processes},
    profile::Phase,
    report::model,
    streams::{Board, Crowd, CrowdSpec, Memory, at_its_limit},
};

/// Whose orders these are: not the load's customers, whose orders are waited for.
const CUSTOMERS: u32 = 8;
/// Orders beyond the streams, as a share: some settle before the load begins, and while it goes on.
const EXTRA: f64 = 0.2;
/// The share of server-sent events.
const SSE: f64 = 0.5;
/// The provider takes its time for these.
const PAYMENT: &str = "tok_slow";

/// Streams that are open, and whose owners are kept logged in as long as they are.
pub struct Gathered {
    crowd: Crowd,
    _kept: KeptLoggedIn,
}

/// Opens a phase's streams, if it has any.
pub async fn gather(
    world: &World,
    phase: &Phase,
    components: &Components,
    board: &Rc<Board>,
) -> Result<Option<Gathered>, Failure> {
    if phase.streams == 0 {
        return Ok(None);
    }
    let customers = Customers::register(&world.target, CUSTOMERS).await?;
    let kept = customers.keep_logged_in();
    let products: Vec<_> = world.shop.products.iter().map(|product| product.id).collect();
    let spec =
        CrowdSpec { streams: phase.streams as usize, extra: EXTRA, sse: SSE, payment: PAYMENT.to_owned() };
    let memory = || memory(components);
    let mut crowd =
        Crowd::gather(&world.target, &customers, &products, &spec, board, &world.stop, &memory).await?;
    if crowd.gathered.streams < spec.streams {
        let named = components.own.iter().map(|(name, pid)| (name.as_str(), *pid));
        let shared = components.shared.iter().map(|pid| ("the platform's process", *pid));
        crowd.gathered.hindrances =
            named.chain(shared).filter_map(|(name, pid)| at_its_limit(name, pid)).collect();
    }
    Ok(Some(Gathered { crowd, _kept: kept }))
}

/// What services and gateway hold, and this process.
fn memory(components: &Components) -> Memory {
    let bytes = |pid| processes::memory(pid).map(|memory| (memory.own * 1024.0 * 1024.0) as u64);
    let pids = components.own.iter().map(|(_, pid)| *pid).chain(components.shared.iter().copied());
    Memory { platform: pids.map(bytes).sum(), own: bytes(std::process::id()) }
}

/// What came of it, for the report.
pub fn told(Gathered { crowd, .. }: &Gathered, board: &Board, phase: &mut model::Phase) {
    let gathered = &crowd.gathered;
    let (seconds, warm_up) = (board.recorder().seconds(), board.recorder().warm_up().as_secs() as usize);
    if let Some(least) = seconds.iter().skip(warm_up).map(|second| second.open_streams).min() {
        phase.figures.insert("streams_open_at_least".to_owned(), least as f64);
    }
    phase.figures.insert("streams_open_at_end".to_owned(), crowd.open() as f64);
    if let Some(bytes) = gathered.bytes_per_stream {
        phase.figures.insert("platform_kb_per_stream".to_owned(), bytes / 1e3);
    }
    if let Some(bytes) = gathered.own_bytes_per_stream {
        phase.figures.insert("generator_kb_per_stream".to_owned(), bytes / 1e3);
    }
    let tally = board.tally();
    let faults: u64 = tally.faults.values().sum();
    phase.figures.insert("stream_faults".to_owned(), faults as f64);
    phase.notes.push(format!(
        "{} orders were placed for the streams in {:.1} s, {} streams were open {:.1} s later; {} ended with their whole \
         story told, {} were opened again",
        gathered.orders,
        gathered.placing.as_secs_f64(),
        gathered.streams,
        gathered.opening.as_secs_f64(),
        tally.settled,
        tally.reconnects
    ));
    phase.notes.extend(gathered.hindrances.iter().cloned());
    for (what, counts) in [("promises broken", &tally.faults), ("connections broken", &tally.broken)] {
        if !counts.is_empty() {
            let counts: Vec<_> = counts.iter().map(|(reason, count)| format!("{count} × {reason}")).collect();
            phase.notes.push(format!("streams, {what}: {}", counts.join(", ")));
        }
    }
    if tally.ahead > 0 {
        phase.notes.push(format!(
            "{} messages came from the future: the clocks differ, and the delivery times mean nothing",
            tally.ahead
        ));
    }
}
