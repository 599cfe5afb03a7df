//! The closed loop: so many clients, each with a connection of its own, each beginning its next journey when the last one
//! has ended.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{Running, finish, moment};
use crate::{
    client::wire::Connection,
    journey::{Line, Start, Visit, walk},
};

/// Journeys of one client have numbers below this.
const JOURNEYS: u64 = 1 << 32;

/// Runs all clients to the end of the phase, and waits for the last answer.
pub async fn run(running: Rc<Running>, clients: u32, ramp_up: Duration) {
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(running.phase.seconds);
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        let at = began + ramp_up * number / clients;
        if at > Instant::now() && running.world.stop.or(tokio::time::sleep_until(moment(at))).await.is_none()
        {
            break;
        }
        let running = running.clone();
        running.recorder.users(number as usize + 1);
        tasks.spawn_local(async move { client(&running, number, until).await });
    }
    running.world.stop.or(tokio::time::sleep_until(moment(until))).await;
    running.end();
    finish(&running, tasks).await;
}

async fn client(running: &Running, client: u32, until: Instant) {
    let mut line = Line::Own(Connection::new(&running.world.target));
    for journey in 0.. {
        let number = u64::from(client) * JOURNEYS + journey;
        let (random, steps) = running.chooser.journey(number);
        let start = Start {
            name: format!("{}-{client}-{journey}", running.name),
            customer: client as usize % running.world.customers.count().max(1),
            random,
            intended: None,
            until: Some(until),
            tries: running.phase.tries,
            final_within: Duration::from_secs_f64(running.phase.final_within),
        };
        let mut visit = Visit::new(&running.world, &running.board, &running.recorder, line, start);
        if visit.is_over() {
            return;
        }
        walk(&mut visit, steps).await;
        visit.come_again().await;
        line = visit.into_line();
    }
}
