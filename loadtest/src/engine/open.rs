//! The open loop: journeys begin when the schedule says so, whatever the answers do. Each is a task of its own; the
//! connections are shared, and one that waits for a connection is late by that time.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{Running, clock::Clock, finish, moment};
use crate::{
    arrivals::Schedule,
    client::pool::Pool,
    journey::{Line, Start, Visit, walk},
};

/// Most connections; a machine has 28,000 ports to call from, and the server the same.
pub const CONNECTIONS: usize = 8_192;
/// Most journeys under way: the memory of a generator that cannot keep up has an end.
const UNDER_WAY: usize = 100_000;
/// So many begin before others have their turn.
const AT_ONCE: usize = 64;

/// Begins journeys by the schedule, and waits for the last one.
pub async fn run(running: Rc<Running>, schedule: &Schedule) {
    let pool = Pool::new(&running.world.target, running.connections);
    let clock = Clock::new();
    let began = Instant::now();
    let under_way = Rc::new(Cell::new(0usize));
    let mut tasks = JoinSet::new();
    let mut due = 0;
    for (number, offset) in (0u64..).zip(schedule.arrivals(running.seed)) {
        let intended = began + offset;
        if intended > Instant::now() {
            due = 0;
            if running.world.stop.or(clock.at(intended)).await.is_none() {
                break;
            }
        } else {
            due += 1;
            if due % AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
        if running.world.stop.is_asked() {
            break;
        }
        while tasks.try_join_next().is_some() {}
        let now = Instant::now();
        running.recorder.behind(now.saturating_duration_since(intended));
        if under_way.get() >= UNDER_WAY {
            running.recorder.not_begun(intended, "not begun: the generator has too many journeys under way");
            continue;
        }
        under_way.set(under_way.get() + 1);
        running.recorder.users(under_way.get());
        let (running, pool, under_way) = (running.clone(), pool.clone(), under_way.clone());
        tasks.spawn_local(async move {
            journey(&running, Line::Shared(pool), number, intended).await;
            under_way.set(under_way.get() - 1);
        });
    }
    // The schedule may end with a time in which nobody comes.
    let rest = tokio::time::sleep_until(moment(began + schedule.length()));
    running.world.stop.or(rest).await;
    running.end();
    finish(&running, tasks).await;
}

async fn journey(running: &Running, line: Line, number: u64, intended: Instant) {
    let (random, steps) = running.chooser.journey(number);
    let start = Start {
        name: format!("{}-{number}", running.name),
        customer: (number % running.world.customers.count().max(1) as u64) as usize,
        random,
        intended: Some(intended),
        until: None,
        tries: running.phase.tries,
        final_within: Duration::from_secs_f64(running.phase.final_within),
    };
    let mut visit = Visit::new(&running.world, &running.board, &running.recorder, line, start);
    walk(&mut visit, steps).await;
}
