//! One run from the profile to the exit status.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{prepare, setting, stage::Stage};
use crate::{
    cli::RunArgs,
    failure::Failure,
    measure::{components::Components, usage::Sampler},
    profile::{self, Load, Profile},
    report::{draft::Draft, terminal, write},
    stop::Stop,
};

/// Runs a profile.
pub async fn run(args: &RunArgs, stop: &Stop) -> Result<ExitCode, Failure> {
    let profile = setting::apply(profile::load(&args.profile)?, args)?;
    prepare::connections(&profile)?;
    let target = prepare::target(&args.url, args.i_own_this_target).await?;
    let admin = args.admin_token.as_deref();
    let Some(world) = stop.or(prepare::world(admin, &profile, &target, stop)).await.transpose()? else {
        eprintln!("viscount-loadtest: interrupted before the load began");
        return Ok(ExitCode::from(crate::INTERRUPTED));
    };
    world.customers.keep_logged_in();
    let components = Components::find(target.port().unwrap_or_default(), &args.data_dir, &args.pid);
    let sampler = Sampler::start(components.clone());
    let mut draft = Draft::new(&profile.name, profile.seed, &args.url);
    for note in &components.notes {
        draft.note(note.clone());
    }
    let mut stage = Stage {
        world: world.clone(),
        seed: profile.seed,
        sampler: &sampler,
        components: &components,
        draft: &mut draft,
        peak: None,
        waiting: Vec::new(),
        number: 0,
    };
    phases(&mut stage, &profile, args.find_peak).await?;
    for (what, count) in world.notes.borrow().iter() {
        draft.note(format!("{count} {what}"));
    }
    let partial = stop.is_asked();
    let report = draft.finish(partial);
    let folder = folder(args, &profile.name);
    let written = write::write(&report, &folder)
        .map_err(|error| Failure::Other(format!("{}: {error}", folder.display())))?;
    // A reader who has gone away has seen enough.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), terminal::summary(&report).as_bytes());
    let _ = written;
    Ok(ExitCode::from(match (partial, report.kept()) {
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
    stage.settle().await;
    Ok(())
}

/// Where the report goes: a folder for each run, unless it was named.
fn folder(args: &RunArgs, profile: &str) -> PathBuf {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    args.out.clone().unwrap_or_else(|| Path::new("loadtest-report").join(format!("{profile}-{now}")))
}
