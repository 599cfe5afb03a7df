//! One run from the profile to the exit status.

use std::{cell::RefCell, process::ExitCode, rc::Rc, time::Duration};

use rand::{SeedableRng, rngs::StdRng};
use uuid::Uuid;

use super::{Running, setting};
use crate::{
    cli::RunArgs,
    client::{
        customers::Customers,
        shop::Shop,
        wire::{Ask, Connection, Target, WireError},
    },
    failure::Failure,
    journey::{Chooser, Shelf, World},
    measure::recorder::Recorder,
    profile::{self, Load, Profile, Rate},
    stop::Stop,
    streams::Board,
};

/// Runs a profile.
pub async fn run(args: &RunArgs, stop: &Stop) -> Result<ExitCode, Failure> {
    let profile = setting::apply(profile::load(&args.profile)?, args)?;
    let target = target(args).await?;
    let Some(world) =
        stop.or(world(args.admin_token.as_deref(), &profile, &target, stop)).await.transpose()?
    else {
        return Ok(ExitCode::from(crate::INTERRUPTED));
    };
    world.customers.keep_logged_in();
    let mut peak: Option<f64> = None;
    for (number, phase) in profile.phases.iter().enumerate() {
        if stop.is_asked() {
            break;
        }
        let recorder = Recorder::new(Duration::from_secs_f64(phase.warm_up));
        let seed = profile.seed.wrapping_add(number as u64);
        let running = Running {
            world: world.clone(),
            recorder: recorder.clone(),
            board: Board::new(recorder.clone()),
            phase: Rc::new(phase.clone()),
            chooser: Rc::new(Chooser::new(phase, seed)),
            name: number.to_string(),
            seed,
        };
        let unit = match &phase.load {
            Load::Open { unit: Rate::Peak, .. } => peak.unwrap_or(1.0),
            _ => 1.0,
        };
        running.load(unit).await;
        for (name, operation) in recorder.operations().iter() {
            println!(
                "{name:10} {} good {} p50 {} p99 {} {:?} {:?}",
                operation.count,
                operation.good,
                operation.latency.value_at_quantile(0.5),
                operation.latency.value_at_quantile(0.99),
                operation.problems,
                operation.broken
            );
        }
        if phase.sets_peak {
            peak = Some(recorder.orders().len() as f64 / recorder.lasted().as_secs_f64());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The platform: on this machine unless told otherwise, and up.
async fn target(args: &RunArgs) -> Result<Target, Failure> {
    let target = Target::find(&args.url).await?;
    if !target.is_loopback() && !args.i_own_this_target {
        return Err(Failure::Other(format!(
            "{} is not on this machine: a load test of somebody else's platform is an attack. If it is yours, say so with --i-own-this-target",
            args.url
        )));
    }
    match Connection::new(&target).ask(Ask::get("/v1/products?limit=1", None)).await {
        Ok(answer) if answer.status.is_success() => Ok(target),
        Ok(answer) => Err(Failure::Other(format!(
            "{} is there, but GET /v1/products answers {}: is it a First Viscount gateway, and is it ready?",
            args.url, answer.status
        ))),
        Err(WireError::Connect(_, error)) => Err(Failure::Other(format!(
            "nothing answers at {} ({error}): start the platform with `viscount up`, or give its address with --url",
            args.url
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
    let orders = profile.phases.iter().any(profile::Phase::orders);
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
