//! One run from the profile to the exit status.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    rc::Rc,
};

use super::{prepare, setting, stage::Stage};
use crate::{
    baseline,
    cli::RunArgs,
    failure::Failure,
    measure::{components::Components, usage::Sampler},
    profile::{self, Load, Profile},
    report::{draft::Draft, terminal, write},
    stop::Stop,
};

/// Seconds of each of the baseline's measurements.
const BASELINE_SECONDS: u64 = 12;

/// Runs a profile.
pub async fn run(args: &RunArgs, stop: &Stop) -> Result<ExitCode, Failure> {
    let mut profile = setting::apply(profile::load(&args.profile)?, args)?;
    prepare::connections(&profile)?;
    prepare::be_punctual();
    let target = prepare::target(&args.url, args.i_own_this_target).await?;
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
    world.customers.keep_logged_in();
    let components = Components::find(target.port().unwrap_or_default(), &args.data_dir, &args.pid);
    let sampler = Rc::new(Sampler::start(components.clone()));
    let mut draft = Draft::new(&profile.name, profile.seed, &args.url);
    for note in &components.notes {
        draft.note(note.clone());
    }
    let mut stage = Stage {
        world: world.clone(),
        seed: profile.seed,
        sampler,
        live: !args.no_live,
        replay: replay.as_ref(),
        components: &components,
        draft: &mut draft,
        peak: None,
        waiting: Vec::new(),
        number: 0,
    };
    let ended = phases(&mut stage, &profile, args.find_peak).await;
    if let Err(failure) = &ended {
        // What was measured before is reported all the same.
        draft.note(format!("the run ended early: {failure}"));
    }
    if args.with_baseline && ended.is_ok() && !stop.is_asked() {
        eprintln!("viscount-loadtest: the baseline takes {} s", 2 * BASELINE_SECONDS);
        prepare::be_ordinary();
        let url = args.database_url.as_deref();
        draft.baseline(baseline::measure(url, &args.data_dir, BASELINE_SECONDS, stop).await);
    }
    for (what, count) in world.notes.borrow().iter() {
        draft.note(format!("{count} {what}"));
    }
    let partial = stop.is_asked() || ended.is_err();
    let report = draft.finish(partial);
    let folder = folder(args, &profile.name);
    let written = write::write(&report, &folder)
        .map_err(|error| Failure::Other(format!("{}: {error}", folder.display())))?;
    let mut out = std::io::stdout();
    // A reader who has gone away has seen enough.
    let _ = out.write_all(terminal::summary(&report).as_bytes());
    let _ = writeln!(out, "report: {} and {}", written.html.display(), written.json.display());
    ended?;
    Ok(ExitCode::from(match (stop.is_asked(), report.kept()) {
        (true, _) => crate::INTERRUPTED,
        (false, true) => 0,
        (false, false) => crate::MISSED,
    }))
}

async fn phases(stage: &mut Stage<'_>, profile: &Profile, mut find_peak: bool) -> Result<(), Failure> {
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
    stage.settle().await
}

/// Where the report goes: a folder for each run, unless it was named.
fn folder(args: &RunArgs, profile: &str) -> PathBuf {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    args.out.clone().unwrap_or_else(|| Path::new("loadtest-report").join(format!("{profile}-{now}")))
}
