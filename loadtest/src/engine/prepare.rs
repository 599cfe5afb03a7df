//! Before the load: is the platform there, who buys, and what is there to buy.

use std::{cell::RefCell, rc::Rc};

use rand::{SeedableRng, rngs::StdRng};
use uuid::Uuid;

use crate::{
    cli::RunArgs,
    client::{
        customers::Customers,
        shop::Shop,
        wire::{Ask, Connection, Target, WireError},
    },
    failure::Failure,
    journey::{Shelf, World},
    profile::{Journey, Load, Phase, Profile, Step},
    replay::{Replay, Settings},
    stop::Stop,
    streams::{allow_files, files_at_most},
};

use super::open::CONNECTIONS;

/// An open loop with fewer connections than this is none.
const FEWEST: usize = 64;
/// A replay has at least so many connections.
const LEAST_REPLAYING: u32 = 32;
/// Rather more important than others, who have 0.
const NICE: i32 = -10;

/// The platform: on this machine unless told otherwise, and up.
pub async fn target(url: &str, is_ours: bool) -> Result<Target, Failure> {
    let target = Target::find(url).await?;
    if !target.is_loopback() && !is_ours {
        return Err(Failure::Other(format!(
            "{url} is not on this machine: a load test of somebody else's platform is an attack. If it is yours, say so \
             with --i-own-this-target"
        )));
    }
    match Connection::new(&target).ask(Ask::get("/v1/products?limit=1", None)).await {
        Ok(answer) if answer.status.is_success() => Ok(target),
        Ok(answer) => Err(Failure::Other(format!(
            "{url} is there, but answers GET /v1/products with {}: is it a gateway of First Viscount, and is it ready?",
            answer.status
        ))),
        Err(WireError::Connect(_, error)) => Err(Failure::Other(format!(
            "nothing answers at {url} ({error}): start the platform with `viscount up`, or give its address with --url"
        ))),
        Err(error) => Err(error.into()),
    }
}

/// Customers, goods and what else journeys need.
pub async fn world(
    admin: Option<&str>,
    profile: &Profile,
    target: &Target,
    stop: &Stop,
) -> Result<Rc<World>, Failure> {
    // A replay receives its own goods.
    let orders = profile.phases.iter().any(Phase::orders);
    let shop = Shop::visit(target, profile.baskets.products, orders && admin.is_none()).await?;
    if let Some(token) = admin.filter(|_| orders) {
        shop.restock(target, token, profile.baskets.restock).await?;
    }
    let customers = Customers::register(target, profile.customers).await?;
    let shelf = Shelf::new(&shop, &profile.baskets, &mut StdRng::seed_from_u64(profile.seed));
    let run = Uuid::new_v4().simple().to_string();
    Ok(Rc::new(World {
        target: target.clone(),
        customers,
        shop,
        shelf,
        run: run[..12].to_owned(),
        stop: stop.clone(),
        notes: RefCell::default(),
    }))
}

/// The file's invoices, when the profile replays some.
pub async fn replay(args: &RunArgs, profile: &Profile, target: &Target) -> Result<Option<Replay>, Failure> {
    if !profile.phases.iter().any(|phase| phase.load == Load::Replay) {
        return Ok(None);
    }
    let file = args.file.clone().ok_or_else(|| {
        Failure::Other(format!("the profile {} replays a file: give it with --file", profile.name))
    })?;
    let settings = Settings {
        file,
        invoices: args.invoices,
        speed: args.speed,
        in_flight: args.in_flight as usize,
        payment: profile.baskets.payment.clone(),
    };
    let replay = Replay::prepare(target, settings).await?;
    if let Some(token) = &args.admin_token {
        replay.receive_goods(target, token).await?;
    }
    Ok(Some(replay))
}

/// Asks the scheduler to run this thread before others. On a machine that is shared with an overloaded platform, a single
/// thread gets a share like each of the platform's many, and could not keep its schedule. It needs a right that not everybody
/// has; without it, being late is in the report.
pub fn be_punctual() {
    // Refused is as good as not asked.
    let _ = rustix::process::setpriority_process(None, NICE);
}

/// Like everybody else again: programs that are started have the same preference, and pgbench is not to have any.
pub fn be_ordinary() {
    let _ = rustix::process::setpriority_process(None, 0);
}

/// Connections that there may be at once.
#[derive(Debug, PartialEq)]
pub struct Connections {
    /// Those of an open loop.
    pub open: usize,
    /// What a reader should know.
    pub note: Option<String>,
}

/// Lets this process have as many connections as the profile needs at once. An open loop takes what there is: whether it is
/// enough depends on how quick the answers are, and who waits for a connection is late by that time.
pub fn connections(profile: &Profile, in_flight: u32) -> Result<Connections, Failure> {
    let room = files_at_most();
    let (files, open) = needed(profile, in_flight, room);
    allow_files(files).map_err(|error| Failure::Other(error.to_string()))?;
    let is_open = |phase: &Phase| matches!(phase.load, Load::Open { .. });
    let note = (open < CONNECTIONS && profile.phases.iter().any(is_open)).then(|| {
        format!(
            "this process may open {room} files: open loops have {open} connections at most, instead of {CONNECTIONS} \
             (`ulimit -Hn`)"
        )
    });
    Ok(Connections { open, note })
}

/// Files that are needed when there is room for so many, and connections of open loops among them.
fn needed(profile: &Profile, in_flight: u32, room: u64) -> (u64, usize) {
    let (mut files, mut open) = (0, CONNECTIONS);
    for phase in &profile.phases {
        // A customer who follows an order has a second connection meanwhile.
        let share =
            |journeys: &mut dyn Iterator<Item = &Journey>| journeys.map(|journey| journey.share).sum::<f64>();
        let all = share(&mut phase.journeys.iter()).max(f64::MIN_POSITIVE);
        let follow =
            share(&mut phase.journeys.iter().filter(|journey| journey.steps.iter().any(Step::streams)));
        let (each, streams) = (1.0 + follow / all, u64::from(phase.streams));
        let load = match phase.load {
            Load::Closed { clients, .. } => f64::from(clients),
            Load::Replay => f64::from(in_flight.max(LEAST_REPLAYING)),
            Load::Open { .. } => {
                let fitting = (room.saturating_sub(streams) as f64 / each) as usize;
                let fitting = fitting.clamp(FEWEST, CONNECTIONS);
                open = open.min(fitting);
                fitting as f64
            }
        };
        files = files.max((load * each) as u64 + streams);
    }
    (files, open)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn refused(url: &str, is_ours: bool) -> String {
        target(url, is_ours).await.err().unwrap().to_string()
    }

    #[tokio::test]
    async fn a_target_that_is_not_up_is_told_in_one_sentence() {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let message = refused(&format!("http://{free}"), false).await;
        assert!(
            message.starts_with(&format!("nothing answers at http://{free} (Connection refused")),
            "{message}"
        );
        assert!(message.ends_with("start the platform with `viscount up`, or give its address with --url"));
    }

    #[test]
    fn an_open_loop_takes_the_connections_that_there_are() {
        let profile = |phase: &str| {
            let text = format!(
                "about = \"t\"\n[[phase]]\nname = \"p\"\nseconds = 9\n{phase}\n[[phase.journey]]\nsteps = [{{ do = \"order\" }}, \
                 {{ do = \"follow\" }}]\n"
            );
            crate::profile::check::parse("t", &text).unwrap()
        };
        let open = profile("streams = 1000\nopen = { schedule = \"constant\", rate = 5 }");
        assert_eq!(needed(&open, 32, u64::MAX), (2 * 8_192 + 1_000, 8_192));
        assert_eq!(needed(&open, 32, 3_840), (3_840, 1_420), "each order is followed on a second connection");
        assert_eq!(needed(&open, 32, 500).1, FEWEST, "with so few it is said that they are not enough");
        let closed = profile("closed = { clients = 10_000 }");
        assert_eq!(needed(&closed, 32, 3_840), (20_000, 8_192), "each client needs its own");
    }

    #[tokio::test]
    async fn somebody_elses_platform_is_not_touched() {
        // A network for documentation (RFC 5737): nobody is there.
        let message = refused("http://192.0.2.1:8080", false).await;
        assert!(
            message.contains("is not on this machine") && message.contains("--i-own-this-target"),
            "{message}"
        );
        assert!(refused("https://127.0.0.1", true).await.contains("not of the form http://host:port"));
    }
}
