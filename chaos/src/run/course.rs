//! The course of one experiment: start, load and faults, rest, audit, end.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    Failure,
    figures::{Evidence, Happened as Measured},
    sampler::{Sample, Sampler},
};
use crate::{
    audit::{self, Dataset, Sources, Terms, Violation},
    clients::{Clients, LoadFigures, Stop, Target},
    experiment::{Action, Expectation, Experiment, Step, What, span},
    faults::{self, Bench, Happened, Outcome},
    history::Recorder,
    platform::{Plan, Platform, program::Program},
};

/// The longest time that a part may take to be back when all is over.
const BACK: Duration = Duration::from_secs(60);
/// MiB for PostgreSQL where its disk is to be filled, and the experiment does not say.
const VOLUME: u32 = 768;
/// How long what is still on its way may take, before everything is read for the audit.
const REST: Duration = Duration::from_secs(60);

/// What an experiment has come to.
#[derive(Debug)]
pub(super) struct Outcomes {
    /// What was expected, and what was measured.
    pub expectations: Vec<Expectation>,
    /// What the auditor found.
    pub violations: Vec<Violation>,
    /// What else went wrong, in words.
    pub troubles: Vec<String>,
    /// What came of the load.
    pub load: LoadFigures,
    /// What was done to the platform.
    pub faults: Vec<Happened>,
    /// What the services said meanwhile.
    pub samples: Vec<Sample>,
    /// All that could be measured, by name.
    pub figures: BTreeMap<String, f64>,
    /// How much the auditor looked at: events and lines of the history.
    pub looked_at: (usize, usize),
    /// Begin and end of the load.
    pub load_time: (Timestamp, Timestamp),
}

impl Outcomes {
    /// True when all that must hold held.
    pub fn hold(&self) -> bool {
        self.violations.is_empty()
            && self.troubles.is_empty()
            && self.expectations.iter().all(|expectation| expectation.holds)
    }
}

/// What a run is made with.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    /// The program under test.
    pub program: Program,
    /// What everything random begins from.
    pub seed: u64,
    /// Keeps the servers' data.
    pub keep: bool,
    /// Armed in every service from its start, such as `defect.guard=return`.
    pub armed: Option<String>,
}

/// Runs one experiment in a folder of its own.
pub(super) async fn run(
    experiment: &Experiment,
    setting: &Setting,
    folder: &Path,
) -> Result<Outcomes, Failure> {
    let steps = experiment.schedule(setting.seed)?;
    let plan = plan(experiment, setting, &steps, folder)?;
    crate::clients::allow_files(&experiment.load).map_err(|error| Failure::Usage(error.to_string()))?;
    let failed = |what: &'static str| move |error: std::io::Error| Failure::Usage(format!("{what}: {error}"));

    let platform = Platform::start(plan, folder).await?;
    let bench = Arc::new(Bench::new(&platform).await?);
    let history = folder.join("history.jsonl");
    let recorder = Recorder::create(&history).map_err(|error| Failure::Usage(error.to_string()))?;
    let target = target(&platform, setting.seed);
    let clients = Clients::prepare(&experiment.load, &target, &recorder)
        .await
        .map_err(|error| Failure::Usage(format!("the load could not be prepared: {error}")))?;

    let mut troubles = Vec::new();
    let (load_began, start) = (Timestamp::now(), Instant::now());
    let sampler = Sampler::start(&platform, start);
    let log = Arc::new(faults::Log::create(&folder.join("faults.jsonl")).map_err(failed("faults.jsonl"))?);
    let (over, no_more) = (Stop::default(), Stop::default());
    let going = async {
        // The journey may end by itself before its time.
        let ended = clients.run(&over).await;
        no_more.ask();
        ended
    };
    let faulting = faults::carry_out(&steps, &bench, &log, &no_more);
    let watching = async {
        tokio::select! {
            () = sleep(experiment.length) => {}
            () = no_more.asked() => {}
        }
        over.ask();
    };
    let (ended, happened, ()) = tokio::join!(going, faulting, watching);
    let load_ended = Timestamp::now();
    if let Err(error) = ended {
        troubles.push(format!("the load: {error}"));
    }
    let happened = happened.map_err(failed("faults.jsonl"))?;
    troubles.extend(back_again(&platform).await);

    eprintln!("viscount-chaos: {}: the load is over; settling", experiment.name);
    let redriven = redrive(experiment, &platform, &sampler).await;
    if let Some(Err(trouble)) = &redriven {
        troubles.push(trouble.clone());
    }
    clients.settle(experiment.settle).await;
    if !sampler.until_drained(REST.max(experiment.settle)).await {
        troubles.push("something committed was neither published nor handled in the end".to_owned());
    }
    let (samples, figures_of_load) = (sampler.samples(), clients.figures());
    recorder.close().await.map_err(|error| Failure::Usage(error.to_string()))?;
    troubles.extend(second_opinion(experiment, &platform).await);

    let mut sources = Sources::found_by(|database| platform.database_url(database));
    (sources.brokers, sources.topic_prefix) = (platform.brokers(), platform.topic_prefix().to_owned());
    sources.history = Some(history);
    let data = audit::collect(&sources).await.map_err(|error| Failure::Usage(error.to_string()))?;
    platform.stop().await.unwrap_or_else(|error| troubles.push(error.to_string()));

    let terms = terms(experiment, load_ended, &steps);
    let evidence = folder.join("dataset.jsonl.gz");
    let (data, violations) = judge(data, terms, evidence).await?;
    let measured = happened.iter().map(|happened| measured(experiment, happened)).collect::<Vec<_>>();
    let evidence = Evidence {
        load: &figures_of_load,
        samples: &samples,
        faults: &measured,
        data: &data,
        load_began,
        load_ended,
        clocks_moved: experiment.faults.iter().any(|fault| matches!(fault.what, What::Clock { .. })),
        redriven: redriven.map(|redriven| redriven.is_ok()),
        deadline: deadline(experiment),
    };
    let figures: BTreeMap<String, f64> =
        evidence.figures().into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect();
    troubles.extend(not_done(&happened));
    troubles.extend(unread(&figures_of_load));
    Ok(Outcomes {
        expectations: experiment.holds.judge(&figures),
        violations,
        troubles,
        load: figures_of_load,
        faults: happened,
        samples,
        figures,
        looked_at: (data.events.len(), data.history.len()),
        load_time: (load_began, load_ended),
    })
}

fn plan(experiment: &Experiment, setting: &Setting, steps: &[Step], folder: &Path) -> Result<Plan, Failure> {
    let needs_failpoints = experiment.platform.failpoints || setting.armed.is_some();
    if needs_failpoints && !setting.program.has("failpoints") {
        return Err(Failure::Usage(format!(
            "{} needs a viscount with failpoints: cargo build --release --features failpoints",
            experiment.name
        )));
    }
    let mut plan = Plan { keep: setting.keep, ..experiment.plan(&setting.program.path) };
    if steps.iter().any(|step| matches!(step.action, Action::DiskFull { .. })) {
        plan.volume.get_or_insert(VOLUME);
    }
    // The provider and the operator's means of making it misbehave.
    let on_demand = |step: &Step| matches!(step.action, Action::Provider { .. } | Action::Faults { .. });
    if steps.iter().any(on_demand) && !plan.variables.iter().any(|(name, _)| name == "VISCOUNT_FAULTS") {
        plan.variables.push(("VISCOUNT_FAULTS".to_owned(), "1".to_owned()));
    }
    if let Some(armed) = &setting.armed {
        plan.variables.push(("FAILPOINTS".to_owned(), armed.clone()));
    }
    std::fs::create_dir_all(folder)
        .and_then(|()| faults::clock::prepare(steps, &mut plan, folder))
        .map_err(|error| Failure::Usage(format!("{}: {error}", experiment.name)))?;
    Ok(plan)
}

fn target(platform: &Platform, seed: u64) -> Target {
    let signer = platform.clone();
    Target {
        door: platform.door(),
        replicas: platform.doors("orders"),
        tokens: Arc::new(move |role, subject| {
            let signer = signer.clone();
            Box::pin(
                async move { signer.token(role, Some(subject)).await.map_err(|error| error.to_string()) },
            )
        }),
        seed,
    }
}

/// Whoever does not run is started: faults are over. What cannot be brought back is told.
async fn back_again(platform: &Platform) -> Vec<String> {
    let mut troubles = Vec::new();
    for part in platform.parts() {
        let back = async {
            if !platform.is_running(&part) {
                platform.start_part(&part).await?;
            }
            platform.until_ready(&part, BACK).await
        };
        if let Err(error) = back.await {
            troubles.push(format!("not back after the faults: {error}"));
        }
    }
    troubles
}

/// Services whose consumers may have set something aside.
const CONSUMERS: [&str; 4] = ["catalog", "inventory", "orders", "payments"];

/// What was only refused for a while is handled once more. `None` where nothing was.
async fn redrive(
    experiment: &Experiment,
    platform: &Platform,
    sampler: &Sampler,
) -> Option<Result<(), String>> {
    if !experiment.faults.iter().any(|fault| matches!(fault.what, What::RefuseRows(_))) {
        return None;
    }
    // What is still being tried would be set aside a moment later.
    sampler.until_drained(REST).await;
    for consumer in CONSUMERS {
        match platform.run(&["dlq", "redrive", "--consumer", consumer]).await {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                if !said.contains("there is no such dead letter") {
                    return Some(Err(format!("dlq redrive --consumer {consumer}: {}", said.trim())));
                }
            }
            Err(error) => return Some(Err(format!("dlq redrive: {error}"))),
        }
    }
    Some(Ok(()))
}

/// `viscount audit` is another judge of the same platform. Dead letters are violations to it.
async fn second_opinion(experiment: &Experiment, platform: &Platform) -> Option<String> {
    if has_letters(experiment) {
        return None;
    }
    let within = experiment.settle.as_secs().to_string();
    match platform.run(&["audit", "--within", &within]).await {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            let found: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).take(20).collect();
            Some(format!("viscount audit: {}", found.join("\n  ")))
        }
        Err(error) => Some(format!("viscount audit: {error}")),
    }
}

fn has_letters(experiment: &Experiment) -> bool {
    experiment.faults.iter().any(|fault| matches!(fault.what, What::Poison { .. }))
}

fn terms(experiment: &Experiment, load_ended: Timestamp, steps: &[Step]) -> Terms {
    Terms {
        settle: experiment.settle,
        load_ended: Some(load_ended),
        doubles: !steps.is_empty(),
        letters: has_letters(experiment),
        clocks_moved: steps.iter().any(|step| matches!(step.action, Action::Clock { .. })),
    }
}

/// Writes the evidence down, and judges it.
async fn judge(data: Dataset, terms: Terms, evidence: PathBuf) -> Result<(Dataset, Vec<Violation>), Failure> {
    let judging = tokio::task::spawn_blocking(move || {
        data.write(&evidence).map_err(|error| Failure::Usage(format!("{}: {error}", evidence.display())))?;
        let violations = audit::check(&data, &terms);
        Ok((data, violations))
    });
    judging.await.map_err(|error| Failure::Usage(format!("the audit broke: {error}")))?
}

fn measured(experiment: &Experiment, happened: &Happened) -> Measured {
    let what = experiment.faults.get(happened.fault).map(|fault| &fault.what);
    Measured {
        what: happened.done.clone(),
        begun: happened.at,
        ended: happened.until,
        provider_down: matches!(what, Some(What::Provider(provider)) if provider.down),
        done: happened.result == Outcome::Done,
    }
}

/// A fault that did not happen proves nothing.
fn not_done(happened: &[Happened]) -> Vec<String> {
    let failed = happened.iter().filter(|happened| happened.result == Outcome::Failed);
    let told = failed.map(|happened| format!("{}: {}", happened.what, happened.note));
    told.take(10).collect()
}

/// Of an order that nobody could read nothing is known.
fn unread(load: &LoadFigures) -> Option<String> {
    let first = load.unread.first()?;
    Some(format!("{} orders could not be read when the load was over, such as {first}", load.unread.len()))
}

fn deadline(experiment: &Experiment) -> Option<Duration> {
    let wait = experiment.platform.variables.get("ORDERS_PAYMENT_DEADLINE")?;
    span::parse(wait).ok()
}
