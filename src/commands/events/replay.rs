//! `viscount events replay`: a projection made anew from the events alone.

use std::{
    io::{IsTerminal as _, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sqlx::{Connection, PgConnection, PgPool};
use viscount_chassis::{
    config::Env,
    replay::{Difference, Progress, Replay, replay},
    store::EventStore,
};
use viscount_contracts::Topic;

use crate::{
    cli::ReplayArgs,
    failure::Failure,
    home::Home,
    stack::{Attached, Part},
};

/// How often progress is told where nobody watches a terminal.
const LINES: Duration = Duration::from_secs(3);

/// What a service can make anew.
fn projections(service: Topic) -> Vec<Box<dyn Replay>> {
    match service {
        Topic::Orders => viscount_orders::projections(),
        Topic::Payments => viscount_payments::projections(),
        Topic::Catalog => viscount_catalog::projections(),
        Topic::Inventory | Topic::Identity | Topic::Coordination => Vec::new(),
    }
}

/// Makes one projection anew and tells what it differed in.
pub async fn run(args: ReplayArgs, env: &Env) -> Result<(), Failure> {
    let projection = chosen(&args)?;
    let home = Home::open(env)?;
    let attached = Attached::open(env, &home).await?;
    let outcome = tokio::select! {
        outcome = made_anew(&args, projection.as_ref(), &attached) => outcome,
        // The tables stay as they were: nothing is committed before the end.
        _ = tokio::signal::ctrl_c() => Err(Failure::Other("stopped; nothing was changed".to_owned())),
    };
    attached.close().await?;
    outcome
}

fn chosen(args: &ReplayArgs) -> Result<Box<dyn Replay>, Failure> {
    let service = args.service.service();
    let all = projections(args.service);
    let names: Vec<_> = all.iter().map(|projection| projection.name()).collect();
    if names.is_empty() {
        return Err(Failure::Usage(format!("{service} has no projection that is made of events alone")));
    }
    let unknown = format!("{service} has no projection {:?}; it has {}", args.projection, names.join(", "));
    let found = all.into_iter().find(|projection| projection.name() == args.projection);
    found.ok_or(Failure::Usage(unknown))
}

async fn made_anew(args: &ReplayArgs, projection: &dyn Replay, attached: &Attached) -> Result<(), Failure> {
    let pool = PgPool::connect(&attached.url(Part::publishing(projection.topic()))).await?;
    let source = EventStore::new(projection.topic(), pool.clone());
    let mut connection = PgConnection::connect(&attached.url(Part::publishing(args.service))).await?;
    let mut shown = Shown::new();
    let outcome =
        replay(projection, &source, &mut connection, !args.dry_run, &mut |progress| shown.show(progress))
            .await;
    shown.clear();
    let differences = outcome.map_err(|error| Failure::doing("nothing was changed", error))?;
    connection.close().await?;
    pool.close().await;
    for difference in &differences {
        println!("{}", told(difference, args.dry_run));
    }
    Ok(())
}

/// A table's line.
fn told(difference: &Difference, dry_run: bool) -> String {
    let Difference { table, rows, missing, wrong, surplus } = difference;
    let name = table.name;
    if difference.is_none() {
        return format!("{name}: {rows} rows, all as the events say");
    }
    let what = match (table.mend, dry_run) {
        (true, false) => "put right",
        (true, true) => "to be put right",
        (false, _) => "it is append only and was not changed",
    };
    format!("{name}: {rows} rows; {missing} missing, {wrong} wrong, {surplus} too many: {what}")
}

/// Progress: a line that is drawn over on a terminal, else a line every few seconds.
struct Shown {
    began: Instant,
    last: Instant,
    bar: ProgressBar,
    is_terminal: bool,
}

impl Shown {
    fn new() -> Self {
        let is_terminal = stderr().is_terminal();
        let target = if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) =
            ProgressStyle::with_template("{pos} of {len} events, {per_sec}, {eta} left {wide_bar}")
        {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self { began: now, last: now, bar, is_terminal }
    }

    fn show(&mut self, progress: Progress) {
        let Progress { done, total } = progress;
        self.bar.set_length(total);
        self.bar.set_position(done);
        let is_done = done >= total;
        if self.is_terminal || (self.last.elapsed() < LINES && !is_done) {
            return;
        }
        self.last = Instant::now();
        let pace = done as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let left = (total.saturating_sub(done)) as f64 / pace.max(1.0);
        eprintln!("{done} of {total} events, {pace:.0}/s, {left:.0} s left");
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
