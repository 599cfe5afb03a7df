//! One run from the profile to the exit status.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    rc::Rc,
};

use super::{prepare, setting, stage::Stage};
use crate::{
    baseline::{Measuring, Wanted},
    cli::RunArgs,
    client::wire::Target,
    failure::Failure,
    measure::{components::Components, usage::Sampler},
    profile::{self, Load, Profile},
    report::{draft::Draft, terminal, write},
    stop::Stop,
};

/// Seconds of each of the baseline's measurements before the load, and again after it.
const BASELINE_SECONDS: u64 = 6;

/// Runs a profile.
pub async fn run(args: &RunArgs, stop: &Stop) -> Result<ExitCode, Failure> {
    let mut profile = setting::apply(profile::load(&args.profile)?, args)?;
    let connections = prepare::connections(&profile, args.in_flight)?;
    prepare::be_punctual();
    let target = prepare::target(&args.url, args.i_own_this_target).await?;
    let mut baseline = baseline(args, &target).await?;
    let preparing = async {
        let replay = prepare::replay(args, &profile, &target).await?;
        if let (Some(replay), true) = (&replay, args.all_customers) {
            profile.customers = replay.customers().max(1) as u32;
        }
        let world = prepare::world(args.admin_token.as_deref(), &profile, &target, stop).await?;
        Ok::<_, Failure>((replay, world))
    };
    let Some((replay, world)) = stop.or(preparing).await.transpose()? else {
        eprintln!("viscount-loadtest: interrupted before the load began");
        return Ok(ExitCode::from(crate::INTERRUPTED));
    };
    let folder = folder(args, &profile.name);
    let unwritable = |error| Failure::Other(format!("{}: {error}", folder.display()));
    write::prepare(&folder).map_err(unwritable)?;
    let _kept = world.customers.keep_logged_in();
    let components = Components::find(&target, &args.data_dir, &args.pid);
    let mut draft = Draft::new(&profile.name, profile.seed, &args.url);
    for note in components.notes.iter().chain(&connections.note) {
        draft.note(note.clone());
    }
    half(&mut baseline, "before the load", stop).await;
    let mut stage = Stage {
        world: world.clone(),
        seed: profile.seed,
        sampler: Rc::new(Sampler::start(components.clone())),
        live: !args.no_live,
        replay: replay.as_ref(),
        components: &components,
        draft: &mut draft,
        peak: None,
        waiting: Vec::new(),
        phases: 0,
        windows: 0,
        connections: connections.open,
    };
    let ended = phases(&mut stage, &profile, args.find_peak).await;
    if let Err(failure) = &ended {
        draft.failed(failure);
    } else if !stop.is_asked() {
        half(&mut baseline, "after the load", stop).await;
    }
    if let Some(mut baseline) = baseline {
        baseline.notes.drain(..).for_each(|note| draft.note(note));
        draft.baseline(baseline.told());
    }
    for (what, count) in world.notes.borrow().iter() {
        draft.note(format!("{count} {what}"));
    }
    let partial = stop.is_asked() || ended.is_err();
    let report = draft.finish(partial);
    let mut out = std::io::stdout();
    // A reader who has gone away has seen enough.
    let _ = out.write_all(terminal::summary(&report).as_bytes());
    let written = write::write(&report, &folder).map_err(unwritable)?;
    let _ = writeln!(out, "report: {} and {}", written.html.display(), written.json.display());
    ended?;
    Ok(ExitCode::from(match (stop.is_asked(), report.kept()) {
        (true, _) => crate::INTERRUPTED,
        (false, true) => 0,
        (false, false) => crate::MISSED,
    }))
}

/// The server for the baseline, when one is wanted.
async fn baseline(args: &RunArgs, target: &Target) -> Result<Option<Measuring>, Failure> {
    if !args.with_baseline {
        return Ok(None);
    }
    let wanted = Wanted {
        url: args.database_url.as_deref(),
        data_dir: &args.data_dir,
        target: Some(target),
        is_ours: args.i_own_this_target,
    };
    Measuring::prepare(&wanted).await.map(Some)
}

/// One half of the baseline.
async fn half(baseline: &mut Option<Measuring>, when: &str, stop: &Stop) {
    let Some(baseline) = baseline else { return };
    eprintln!("viscount-loadtest: the baseline {when} takes {} s", 2 * BASELINE_SECONDS);
    prepare::be_ordinary();
    baseline.measure(when, BASELINE_SECONDS, stop).await;
    prepare::be_punctual();
}

/// All phases, and what is left to write of them.
pub async fn phases(stage: &mut Stage<'_>, profile: &Profile, find_peak: bool) -> Result<(), Failure> {
    let ended = one_by_one(stage, profile, find_peak).await;
    // Whatever ended it: loads that are over and not written yet are not thrown away.
    stage.settle().await;
    ended
}

async fn one_by_one(stage: &mut Stage<'_>, profile: &Profile, mut find_peak: bool) -> Result<(), Failure> {
    for phase in &profile.phases {
        if stage.world.stop.is_asked() {
            break;
        }
        if find_peak && matches!(phase.load, Load::Open { .. }) {
            find_peak = false;
            stage.search(phase).await?;
            if stage.world.stop.is_asked() {
                break;
            }
        }
        stage.phase(phase).await?;
    }
    Ok(())
}

/// Where the report goes: a folder for each run, unless it was named.
fn folder(args: &RunArgs, profile: &str) -> PathBuf {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    args.out.clone().unwrap_or_else(|| Path::new("loadtest-report").join(format!("{profile}-{now}")))
}
