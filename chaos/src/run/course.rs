//! The course of one experiment: start, load and faults, rest, audit, end.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    Failure,
    figures::{Evidence, Happened as Measured},
    sampler::{Sample, Sampler},
};
use crate::{
    audit::{self, Dataset, Sources, Terms, Violation},
    clients::{self, Clients, Journey, LoadFigures, Stop, Target},
    experiment::{Action, Expectation, Experiment, Step, What, span},
    faults::{self, Bench, Happened, Outcome},
    history::{self, Recorder},
    platform::{Plan, Platform, program::Program},
};

/// The longest time that a part may take to be back when all is over.
const BACK: Duration = Duration::from_secs(60);
/// MiB for PostgreSQL where its disk is to be filled, and the experiment does not say.
const VOLUME: u32 = 768;
/// How long what is still on its way may take, before everything is read for the audit: longer than payments leave a question to
/// the provider alone between two tries, a minute and a fifth, and a cancelled charge before that, half a minute.
const REST: Duration = Duration::from_secs(120);
/// Between two looks at what is still open.
const LOOK: Duration = Duration::from_millis(500);
/// How long a stream may be mute where streams are what is looked at, and nothing is broken.
const MUTE: Duration = Duration::from_secs(30);

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
    /// How much of it was planned. The end of the load leaves out what has not begun.
    pub planned: usize,
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

/// Runs one experiment in a folder of its own. What fails once the load has begun is a trouble: clients were promised
/// something by then.
pub(super) async fn run(
    experiment: &Experiment,
    setting: &Setting,
    folder: &Path,
) -> Result<Outcomes, Failure> {
    let steps = experiment.schedule(setting.seed)?;
    let plan = plan(experiment, setting, &steps, folder)?;
    clients::allow_files(&experiment.load).map_err(|error| Failure::Usage(error.to_string()))?;
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
    let done = folder.join("faults.jsonl");
    let log = Arc::new(faults::Log::create(&done).map_err(failed("faults.jsonl"))?);
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
    let happened = happened.unwrap_or_else(|error| {
        troubles.push(format!("faults.jsonl: {error}"));
        faults::read(&done).unwrap_or_default()
    });
    troubles.extend(back_again(&platform).await);

    eprintln!("viscount-chaos: {}: the load is over; settling", experiment.name);
    let redriven = redrive(experiment, &platform, &sampler).await;
    if let Some(Err(trouble)) = &redriven {
        troubles.push(trouble.clone());
    }
    clients.settle(experiment.settle).await;
    let terms = terms(experiment, load_ended, &steps);
    let mut sources = Sources::found_by(|database| platform.database_url(database));
    (sources.brokers, sources.topic_prefix) = (platform.brokers(), platform.topic_prefix().to_owned());
    (sources.history, sources.terms) = (Some(history.clone()), Some(terms));
    troubles.extend(until_rest(&sampler, &sources, REST.max(experiment.settle)).await);
    let (samples, figures_of_load) = (sampler.samples(), clients.figures());
    if let Err(error) = recorder.close().await {
        troubles.push(error.to_string());
    }
    troubles.extend(unexpected(&figures_of_load));
    troubles.extend(second_opinion(experiment, &platform).await);
    troubles.extend(platform.deaths());

    let data = audit::collect(&sources).await.map_err(|error| error.to_string());
    platform.stop().await.unwrap_or_else(|error| troubles.push(error.to_string()));

    let evidence = folder.join("dataset.jsonl.gz");
    let Judged { data, violations, troubles: unjudged } = judge(data, history, terms, evidence).await;
    troubles.extend(unjudged);
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
    Ok(Outcomes {
        expectations: experiment.holds.judge(&figures),
        violations,
        troubles,
        load: figures_of_load,
        faults: happened,
        planned: steps.len(),
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
    if steps.iter().any(on_demand) {
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

/// Waits until everything committed is published and handled, and nothing is open any more; tells what still is after so long.
async fn until_rest(sampler: &Sampler, sources: &Sources, within: Duration) -> Vec<String> {
    let until = Instant::now() + within;
    loop {
        let drained = sampler.until_drained(until.saturating_duration_since(Instant::now())).await;
        let undone = audit::undone(sources).await.unwrap_or_else(|error| vec![error.to_string()]);
        if drained && undone.is_empty() {
            return undone;
        }
        if Instant::now() >= until {
            let unhandled = "something committed was neither published nor handled in the end".to_owned();
            return undone.into_iter().chain((!drained).then_some(unhandled)).collect();
        }
        sleep(LOOK).await;
    }
}

/// What clients did not expect, and what they waited for in vain.
fn unexpected(load: &LoadFigures) -> Vec<String> {
    let some = |what: &str, of: Vec<String>| {
        let first = of.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        (!of.is_empty()).then(|| format!("{} {what}: {first}", of.len()))
    };
    let ids = |ids: &[Uuid]| ids.iter().map(ToString::to_string).collect();
    let troubles = load.troubles.iter().map(|(trouble, count)| format!("{count} × {trouble}"));
    troubles
        .chain(some("orders were not seen final in time", ids(&load.not_final)))
        .chain(some("orders could not be read when the load was over", ids(&load.unread)))
        .chain(some("requests were never answered", load.unanswered.clone()))
        .collect()
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
        mute: match experiment.load.journey {
            Journey::Streams if steps.is_empty() => MUTE,
            _ => Terms::default().mute.max(experiment.settle),
        },
    }
}

/// What can be said of what was left behind.
#[derive(Debug, Default)]
struct Judged {
    data: Dataset,
    violations: Vec<Violation>,
    troubles: Vec<String>,
}

/// Writes the evidence down, and judges it. Of a platform that cannot be read any more there is what clients saw.
async fn judge(
    collected: Result<Dataset, String>,
    history: PathBuf,
    terms: Terms,
    evidence: PathBuf,
) -> Judged {
    let judging = tokio::task::spawn_blocking(move || {
        let mut judged = Judged::default();
        match collected {
            Ok(data) => judged.data = data,
            Err(error) => {
                judged.troubles.push(format!("what it left behind cannot be read: {error}"));
                judged.data.history = history::read(&history).unwrap_or_default();
                return judged;
            }
        }
        if let Err(error) = judged.data.write(&evidence) {
            judged.troubles.push(format!("{}: {error}", evidence.display()));
        }
        judged.violations = audit::check(&judged.data, &terms);
        judged
    });
    judging.await.unwrap_or_else(|error| Judged {
        troubles: vec![format!("the audit broke: {error}")],
        ..Judged::default()
    })
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

fn deadline(experiment: &Experiment) -> Option<Duration> {
    let wait = experiment.platform.variables.get("ORDERS_PAYMENT_DEADLINE")?;
    span::parse(wait).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::library;

    #[test]
    fn only_who_asks_for_faults_on_demand_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let setting = Setting { program: Program::default(), seed: 1, keep: false, armed: None };
        for (name, has_them) in
            [("panics", true), ("provider", true), ("poison", false), ("kill-services", false)]
        {
            let experiment = library::one(name).unwrap();
            let steps = experiment.schedule(1).unwrap();
            let plan = plan(&experiment, &setting, &steps, folder.path()).unwrap();
            let told =
                plan.variables.iter().filter(|(name, value)| name == "VISCOUNT_FAULTS" && value == "1");
            assert_eq!(told.count(), usize::from(has_them), "{name}");
        }
    }

    #[tokio::test]
    async fn a_platform_that_cannot_be_read_any_more_fails_and_what_clients_saw_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (history, evidence) = (folder.path().join("history.jsonl"), folder.path().join("none/dataset"));
        let good =
            Dataset::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/good.jsonl.gz")).unwrap();
        let mut lines = Vec::new();
        for line in good.history.iter().take(20) {
            serde_json::to_writer(&mut lines, line).unwrap();
            lines.push(b'\n');
        }
        std::fs::write(&history, lines).unwrap();

        let gone = Err("order_db: connection refused".to_owned());
        let judged = judge(gone, history.clone(), Terms::default(), evidence.clone()).await;
        assert_eq!(judged.troubles, ["what it left behind cannot be read: order_db: connection refused"]);
        assert_eq!((judged.data.history.len(), judged.violations.len()), (20, 0));

        // Evidence that cannot be written down is judged all the same.
        let judged = judge(Ok(good), history, Terms::default(), evidence).await;
        assert!(judged.troubles.len() == 1 && judged.troubles[0].contains("none/dataset"), "{judged:?}");
        assert!(!judged.data.events.is_empty());
    }

    #[test]
    fn what_clients_waited_for_in_vain_is_a_trouble() {
        assert_eq!(unexpected(&LoadFigures::default()), Vec::<String>::new());
        let load = LoadFigures {
            troubles: [("an accepted order without an id".to_owned(), 2)].into(),
            not_final: vec![Uuid::nil()],
            unread: vec![Uuid::max()],
            unanswered: vec!["cancel of 7".to_owned()],
            ..LoadFigures::default()
        };
        let told = unexpected(&load);
        assert_eq!(told[0], "2 × an accepted order without an id");
        assert!(told[1].starts_with("1 orders were not seen final in time: 0000"), "{told:?}");
        assert!(told[2].starts_with("1 orders could not be read when the load was over: ffff"), "{told:?}");
        assert_eq!(told[3], "1 requests were never answered: cancel of 7");
    }
}
